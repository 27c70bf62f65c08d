import Foundation
import Glibc

/// A file system in memory, of a size of its own, that a test can fill.
public struct SmallDisk: Sendable {
    /// Whether this process may mount one: root with CAP_SYS_ADMIN.
    public static let mayMount =
        geteuid() == 0
        && (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8))
            .flatMap { $0.firstMatch(of: /CapEff:\t([0-9a-f]+)/) }
            .flatMap { UInt64($0.1, radix: 16) }
            .map { $0 & 1 << 21 != 0 } ?? false

    /// Where it is mounted.
    public let path: String

    /// Runs a body while the disk is mounted at a path.
    /// - Parameters:
    ///   - path: Its folder, which is made where it is not there.
    ///   - bytes: How much it holds.
    ///   - body: The test.
    /// - Throws: An error of the system's, or what the body threw.
    public static func mounted(
        at path: String,
        bytes: Int,
        _ body: (SmallDisk) async throws -> Void
    ) async throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try check(unsafe mount("tmpfs", path, "tmpfs", 0, "size=\(bytes),mode=0700") == 0)
        do {
            try await body(SmallDisk(path: path))
        } catch {
            unsafe umount2(path, Int32(MNT_DETACH))
            throw error
        }
        // One that is still in use is a finding.
        try check(unsafe umount2(path, 0) == 0)
    }

    /// Makes it read-only, or writable again; the system refuses the first while a file is open for writing.
    /// - Parameter readOnly: Whether it is to take no writes.
    /// - Throws: An error of the system's.
    public func remount(readOnly: Bool) throws {
        let flags = UInt(MS_REMOUNT) | (readOnly ? UInt(MS_RDONLY) : 0)
        try Self.check(unsafe mount("tmpfs", path, "tmpfs", flags, "mode=0700") == 0)
    }

    /// Takes all room but some, as another program does.
    /// - Parameter room: Bytes that are left.
    /// - Throws: An error of the system's.
    public func fill(leaving room: Int = 0) throws {
        let descriptor = unsafe open(path + "/filler", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        try Self.check(descriptor >= 0)
        defer { close(descriptor) }
        let page = [UInt8](repeating: 1, count: 4_096)
        while unsafe write(descriptor, page, page.count) > 0 {}
        try Self.check(errno == ENOSPC)
        let size = lseek(descriptor, 0, SEEK_END)
        try Self.check(ftruncate(descriptor, max(0, size - off_t(room))) == 0)
    }

    /// Gives all of it back.
    /// - Throws: An error of the system's.
    public func empty() throws { try FileManager.default.removeItem(atPath: path + "/filler") }

    /// Bytes that anyone may have.
    public var free: Int64 {
        let values = try? FileManager.default.attributesOfFileSystem(forPath: path)
        return (values?[.systemFreeSize] as? NSNumber)?.int64Value ?? -1
    }

    private static func check(_ holds: Bool) throws {
        guard holds else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
    }
}
