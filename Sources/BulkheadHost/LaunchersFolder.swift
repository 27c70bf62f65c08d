public import BulkheadCore
public import BulkheadLaunch
import CLinux
import Foundation
import Glibc

/// The folder `launchers` of the state folder: a socket for each launcher, and the records of those that have ended.
public final class LaunchersFolder: TravellingDescriptor {
    let path: String
    let descriptor: Int32

    /// Opens the folder, which is made where it is missing.
    /// - Parameter state: The state folder.
    /// - Throws: ``BulkheadError`` with the code `storage`.
    public init(in state: StateFolder) throws(BulkheadError) {
        path = state.path + "/launchers"
        guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else { throw Self.failed(path, errno) }
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW
        let opened = unsafe clinux_openat(AT_FDCWD, path, flags, 0)
        guard opened >= 0 else { throw Self.failed(path, -opened) }
        descriptor = opened
        guard fchmod(opened, 0o700) == 0 else { throw Self.failed(path, errno) }
    }

    deinit {
        close(descriptor)
    }

    /// A name for a launcher that no other has.
    static func freshName() -> String {
        let digits = String(UInt64.random(in: 0 ... .max), radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    /// The path of a launcher's socket, short however long the state folder's own path is.
    func socketPath(of name: String) -> String { "/proc/self/fd/\(descriptor)/\(name)" }

    /// Reads what a launcher has left, if anything.
    /// - Parameter name: The launcher's name.
    /// - Returns: Its record; nil where there is none, or none that can be understood.
    /// - Throws: ``BulkheadError`` with the code `storage` where it cannot be read.
    public func record(ofLauncher name: String) throws(BulkheadError) -> OutcomeRecord? {
        let file = path + "/" + OutcomeRecord.fileName(ofLauncher: name)
        guard let bytes = try PrivateFile.read(file, limit: LaunchLimits.recordBytes) else { return nil }
        return try? OutcomeRecord(decoding: bytes[...])
    }

    /// When a launcher left its record, which is when its attempt ended, without a supervisor.
    /// - Parameter name: The launcher's name.
    /// - Returns: The moment by the machine's clock; nil where there is no record.
    public func recordedAt(ofLauncher name: String) -> Timestamp? {
        let file = path + "/" + OutcomeRecord.fileName(ofLauncher: name)
        guard let status = try? FileStatus.of(file) else { return nil }
        return Timestamp(milliseconds: status.modified / 1_000_000)
    }

    /// Removes a launcher's record, once its outcome is committed, and the socket of one that was killed.
    public func forget(launcher name: String) {
        forgetRecord(ofLauncher: name)
        forgetSocket(ofLauncher: name)
    }

    /// Removes a launcher's record, once its outcome is committed.
    public func forgetRecord(ofLauncher name: String) {
        _ = unsafe unlinkat(descriptor, OutcomeRecord.fileName(ofLauncher: name), 0)
    }

    /// Removes the socket of a launcher that was killed.
    func forgetSocket(ofLauncher name: String) {
        _ = unsafe unlinkat(descriptor, name, 0)
    }

    /// Removes what no running attempt needs.
    /// - Parameter names: The launchers of running attempts.
    public func sweep(keeping names: Set<String>) {
        for file in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] {
            let name = file.split(separator: ".").first.map(String.init) ?? file
            if !names.contains(name) { _ = unsafe unlinkat(descriptor, file, 0) }
        }
    }

    private static func failed(_ path: String, _ errno: Int32) -> BulkheadError {
        BulkheadError(
            .storage,
            "the folder \(path) cannot be used",
            cause: SystemFailure(errno).description,
            advice: "mend its owner and mode, or remove it"
        )
    }
}
