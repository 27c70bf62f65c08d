import CLinux
import Foundation
import Glibc

/// Something in `/proc` that tells of the machine and not of a process (proc(5)).
public struct ProcEntry: Sendable, Hashable {
    /// Its path.
    public var path: String
    /// Whether it is a folder.
    public var isFolder: Bool

    /// Makes an entry from its parts.
    public init(path: String, isFolder: Bool) {
        self.path = path
        self.isFolder = isFolder
    }

    /// Everything in `/proc` and in its folders that belongs to no process; links are left out.
    static func all() -> [ProcEntry] {
        let top = entries(of: "/proc").filter { !$0.path.dropFirst(6).allSatisfy(\.isNumber) }
        return top + top.filter(\.isFolder).flatMap { entries(of: $0.path) }
    }

    private static func entries(of folder: String) -> [ProcEntry] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().compactMap { name in
            let path = folder + "/" + name
            var status = clinux_stat()
            guard unsafe clinux_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &status) == 0 else { return nil }
            let kind = mode_t(status.mode) & S_IFMT
            return kind == S_IFLNK ? nil : ProcEntry(path: path, isFolder: kind == S_IFDIR)
        }
    }
}
