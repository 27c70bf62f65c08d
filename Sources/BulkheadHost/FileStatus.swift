import CLinux
import Foundation

/// What `statx` says about a file.
struct FileStatus: Sendable, Equatable {
    /// The kinds that matter here.
    enum Kind: Sendable, Equatable {
        case file
        case folder
        case link
        case other
    }

    var kind: Kind
    /// Permission bits with setuid, setgid and sticky.
    var mode: UInt16
    var uid: UInt32
    var gid: UInt32
    var size: UInt64 = 0
    var device: UInt64 = 0
    var inode: UInt64 = 0
    var mount: UInt64 = 0
    /// Nanoseconds since 1970 of the last change of the content.
    var modified: Int64 = 0
    /// Nanoseconds since 1970 of the last change of content, mode, owner or name.
    var changed: Int64 = 0

    var isSticky: Bool { mode & 0o1000 != 0 }

    /// The mode as `chmod` takes it, such as 0775.
    var modeText: String {
        let digits = String(mode, radix: 8)
        return String(repeating: "0", count: max(1, 4 - digits.count)) + digits
    }

    /// Asks about the descriptor itself.
    static func of(_ descriptor: Int32) throws(SystemFailure) -> FileStatus {
        try of("", at: descriptor, Linux.emptyPath | AT_SYMLINK_NOFOLLOW)
    }

    /// Asks about a path; the last link is not followed unless the flags are empty.
    static func of(
        _ path: String,
        at folder: Int32 = AT_FDCWD,
        _ flags: Int32 = AT_SYMLINK_NOFOLLOW
    ) throws(SystemFailure) -> FileStatus {
        var raw = clinux_stat()
        try SystemFailure.check(unsafe clinux_stat(folder, path, flags, &raw))
        return FileStatus(raw)
    }
}

extension FileStatus {
    private init(_ raw: clinux_stat) {
        let kind: Kind =
            switch mode_t(raw.mode) & S_IFMT {
            case S_IFREG: .file
            case S_IFDIR: .folder
            case S_IFLNK: .link
            default: .other
            }
        self.init(
            kind: kind,
            mode: raw.mode & 0o7777,
            uid: raw.uid,
            gid: raw.gid,
            size: raw.size,
            device: raw.device,
            inode: raw.inode,
            mount: raw.mount,
            modified: Self.nanoseconds(raw.modified_seconds, raw.modified_nanoseconds),
            changed: Self.nanoseconds(raw.changed_seconds, raw.changed_nanoseconds)
        )
    }

    private static func nanoseconds(_ seconds: Int64, _ rest: UInt32) -> Int64 {
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max : whole &+ Int64(rest)
    }
}
