import Foundation
import Glibc
import Testing

/// A file system in memory, of a size of its own, that a test can fill.
struct SmallDisk {
    static let mayMount =
        geteuid() == 0
        && (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8))
            .flatMap { $0.firstMatch(of: /CapEff:\t([0-9a-f]+)/) }
            .flatMap { UInt64($0.1, radix: 16) }
            .map { $0 & 1 << 21 != 0 } ?? false

    let path: String

    /// Runs a body while the disk is mounted at a path, where a folder is made for it.
    static func mounted(
        at path: String,
        bytes: Int,
        _ body: (SmallDisk) async throws -> Void
    ) async throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        try #require(unsafe mount("tmpfs", path, "tmpfs", 0, "size=\(bytes),mode=0700") == 0)
        defer { #expect(unsafe umount2(path, 0) == 0) }
        try await body(SmallDisk(path: path))
    }

    /// Makes it read-only, or writable again.
    func remount(readOnly: Bool) throws {
        let flags = UInt(MS_REMOUNT) | (readOnly ? UInt(MS_RDONLY) : 0)
        try #require(unsafe mount("tmpfs", path, "tmpfs", flags, "mode=0700") == 0)
    }

    /// Takes all room but some, as another program does.
    func fill(leaving room: Int = 0) throws {
        let descriptor = unsafe open(path + "/filler", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        let page = [UInt8](repeating: 1, count: 4_096)
        while unsafe write(descriptor, page, page.count) > 0 {}
        try #require(errno == ENOSPC)
        let size = lseek(descriptor, 0, SEEK_END)
        try #require(ftruncate(descriptor, max(0, size - off_t(room))) == 0)
    }

    /// Gives all of it back.
    func empty() throws { try FileManager.default.removeItem(atPath: path + "/filler") }
}
