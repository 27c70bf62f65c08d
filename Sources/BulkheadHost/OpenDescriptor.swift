import BulkheadCore
import CLinux
import Foundation

/// A file descriptor that is closed when its owner goes.
///
/// All of them are close-on-exec: a launcher is started by another thread at any moment.
public struct OpenDescriptor: ~Copyable, Sendable {
    /// The number, valid as long as this value lives.
    public let number: Int32

    /// Takes over a descriptor that nobody else closes.
    public init(owning number: Int32) {
        self.number = number
    }

    deinit {
        close(number)
    }

    /// Opens a path below a folder.
    /// - Parameters:
    ///   - path: The path, relative to the folder unless it begins with a slash.
    ///   - folder: An open folder; the working folder without one.
    ///   - flags: `O_*` flags; `O_CLOEXEC` is added.
    ///   - mode: The mode of a file that is created, less the umask.
    /// - Returns: The descriptor.
    /// - Throws: ``SystemFailure`` with the errno.
    static func open(
        _ path: String,
        at folder: Int32 = AT_FDCWD,
        _ flags: Int32,
        mode: mode_t = 0
    ) throws(SystemFailure) -> OpenDescriptor {
        try open(FileName(path), at: folder, flags, mode: mode)
    }

    /// Opens a name as it is on the disk, which need not be UTF-8.
    static func open(
        _ name: FileName,
        at folder: Int32 = AT_FDCWD,
        _ flags: Int32,
        mode: mode_t = 0
    ) throws(SystemFailure) -> OpenDescriptor {
        while true {
            let number = unsafe clinux_openat(folder, name.bytes, flags | O_CLOEXEC, mode)
            if number >= 0 { return OpenDescriptor(owning: number) }
            guard number == -EINTR else { throw SystemFailure(-number) }
        }
    }

    /// Gives the path by which the kernel knows this very descriptor, whatever becomes of the file's name.
    var procPath: String { "/proc/self/fd/\(number)" }

    /// Reads up to a number of bytes from where the descriptor stands; an empty answer is the end.
    func read(atMost count: Int) throws(SystemFailure) -> [UInt8] {
        var failure: Int32 = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while true {
                let got = unsafe Glibc.read(number, buffer.baseAddress, count)
                filled = max(0, got)
                guard got < 0 else { return }
                failure = errno
                guard failure == EINTR else { return }
                failure = 0
            }
        }
        guard failure == 0 else { throw SystemFailure(failure) }
        return bytes
    }

    /// Reads to the end, but never more than the bound; nil where there is more.
    func readAll(limit: Int) throws(SystemFailure) -> [UInt8]? {
        var all: [UInt8] = []
        while true {
            let piece = try read(atMost: min(64 << 10, limit + 1 - all.count))
            guard !piece.isEmpty else { return all }
            all += piece
            guard all.count <= limit else { return nil }
        }
    }

    /// Writes all of the bytes.
    func writeAll(_ bytes: [UInt8]) throws(SystemFailure) {
        var done = 0
        while done < bytes.count {
            let (put, failure) = unsafe bytes.withUnsafeBytes { buffer in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[done...])
                let put = unsafe Glibc.write(number, rest.baseAddress, rest.count)
                return (put, put < 0 ? errno : 0)
            }
            guard failure == 0 || failure == EINTR else { throw SystemFailure(failure) }
            done += max(0, put)
        }
    }

    /// Waits until the file's bytes are on the disk.
    func synchronize() throws(SystemFailure) {
        guard fsync(number) == 0 else { throw SystemFailure(errno) }
    }
}

/// A failed system call: its errno.
struct SystemFailure: Error, Equatable, CustomStringConvertible {
    let number: Int32

    init(_ number: Int32) {
        self.number = number
    }

    /// The C library's words for the errno.
    var description: String {
        var buffer = [CChar](repeating: 0, count: 128)
        let failed = unsafe strerror_r(number, &buffer, buffer.count) != 0
        guard !failed, let end = buffer.firstIndex(of: 0) else { return "error \(number)" }
        return String(decoding: buffer[..<end].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Makes a failure of a negated errno, as the functions of `CLinux` answer it.
    static func check(_ result: Int32) throws(SystemFailure) {
        guard result < 0 else { return }
        throw SystemFailure(-result)
    }

    /// Makes a failure of -1 and errno, as the C library's functions answer it.
    static func checkErrno(_ result: Int32) throws(SystemFailure) {
        guard result < 0 else { return }
        throw SystemFailure(errno)
    }
}

/// Numbers of the kernel's that the C library hides behind `_GNU_SOURCE`; alike on x86-64 and aarch64.
enum Linux {
    static let pathOnly: Int32 = 0o10000000  // O_PATH
    static let emptyPath: Int32 = 0x1000  // AT_EMPTY_PATH
    static let setSignal: Int32 = 10  // F_SETSIG
    static let omitTime = (1 << 30) - 2  // UTIME_OMIT
    static let setLease: Int32 = 1024  // F_SETLEASE
}
