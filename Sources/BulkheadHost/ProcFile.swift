import Foundation

/// Small files of /proc and /sys.
enum ProcFile {
    /// The most that is read of one.
    private static let limit = 8 << 20

    /// The whole text; nil where it cannot be read.
    static func text(_ path: String) -> String? {
        guard let file = try? OpenDescriptor.open(path, O_RDONLY),
            let bytes = try? file.readAll(limit: limit)
        else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The words of a one-line file; empty where it cannot be read.
    static func words(_ path: String) -> [String] {
        (text(path) ?? "").split { $0 == " " || $0 == "\n" }.map(String.init)
    }

    /// Writes a value in one call, as the kernel wants it, into a file that exists.
    static func write(_ value: String, to path: String) throws(SystemFailure) {
        let file = try OpenDescriptor.open(path, O_WRONLY | O_NOFOLLOW)
        try file.writeAll(Array(value.utf8))
    }

    /// The file's first bytes, at most `limit`; nil when it cannot be read.
    static func read(_ path: String, atMost limit: Int) -> [UInt8]? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var count = -1
        var bytes = [UInt8](repeating: 0, count: limit)
        repeat {
            count = unsafe Foundation.read(descriptor, &bytes, limit)
        } while count < 0 && errno == EINTR
        guard count >= 0 else { return nil }
        return Array(bytes[..<count])
    }
}
