import Glibc

/// A block of dynamic users that is one state folder's, as long as anybody holds the file.
///
/// The lock (flock(2)) belongs to the open file, and so to all processes that it was handed to. It is shared, so that
/// the supervisor after this one gets it beside the launchers of this one; whose it is, the file says, which only a
/// holder of the exclusive lock writes.
public final class UserBlock: TravellingDescriptor {
    private let file: OpenDescriptor
    var descriptor: Int32 { file.number }

    private init(_ file: consuming OpenDescriptor) {
        self.file = file
    }

    /// Locks a block.
    ///
    /// - Parameters:
    ///   - path: Its lock file.
    ///   - owner: The state folder's identity.
    /// - Returns: The block; nil where it is another state folder's.
    /// - Throws: What the kernel said where the file cannot be used.
    static func lock(_ path: String, for owner: String) throws(SystemFailure) -> UserBlock? {
        let file = try OpenDescriptor.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
        if try take(LOCK_EX, of: file) { try write(owner, to: file) }
        // What was exclusive may be lost on the way to this, to somebody who then wrote another name.
        guard try take(LOCK_SH, of: file), try name(in: file) == owner else { return nil }
        return UserBlock(file)
    }

    private static func take(
        _ kind: Int32,
        of file: borrowing OpenDescriptor
    ) throws(SystemFailure) -> Bool {
        if flock(file.number, kind | LOCK_NB) == 0 { return true }
        guard errno == EWOULDBLOCK else { throw SystemFailure(errno) }
        return false
    }

    /// Longer than every identity.
    private static let nameBytes = 256

    private static func name(in file: borrowing OpenDescriptor) throws(SystemFailure) -> String {
        var bytes = [UInt8](repeating: 0, count: nameBytes)
        let count = unsafe pread(file.number, &bytes, bytes.count, 0)
        guard count >= 0 else { throw SystemFailure(errno) }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    private static func write(
        _ name: String,
        to file: borrowing OpenDescriptor
    ) throws(SystemFailure) {
        let bytes = Array(name.utf8)
        guard ftruncate(file.number, 0) == 0,
            unsafe pwrite(file.number, bytes, bytes.count, 0) == bytes.count
        else { throw SystemFailure(errno) }
    }
}
