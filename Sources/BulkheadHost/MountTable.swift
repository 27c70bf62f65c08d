import Foundation

/// The mounts that this process sees, from /proc/self/mountinfo (proc_pid_mountinfo(5)).
struct MountTable: Equatable {
    /// One mount.
    struct Mount: Equatable {
        var id: UInt64
        /// The folder of its file system that it shows.
        var root: String
        /// Where it is mounted.
        var point: String
        var options: Set<String>
        /// File system type, such as `ext4` or `cgroup2`.
        var type: String
        /// Options of the file system itself; of a cgroup v1 hierarchy its controllers.
        var superOptions: Set<String>
    }

    var mounts: [Mount] = []

    /// Reads the table's text; lines that are no mounts are passed over.
    static func parse(_ text: String) -> MountTable {
        MountTable(mounts: text.split(separator: "\n").compactMap(mount))
    }

    /// The mounts of this moment; empty where /proc is not to be had.
    static func current() -> MountTable {
        parse(ProcFile.text("/proc/self/mountinfo") ?? "")
    }

    /// The mount with an id, as `statx` gives it.
    func mount(numbered id: UInt64) -> Mount? {
        mounts.last { $0.id == id }
    }

    private static func mount(_ line: Substring) -> Mount? {
        let words = line.split(separator: " ")
        guard let dash = words.firstIndex(of: "-"), dash >= 6, words.count >= dash + 4,
            let id = UInt64(words[0])
        else { return nil }
        return Mount(
            id: id,
            root: unescape(words[3]),
            point: unescape(words[4]),
            options: options(words[5]),
            type: String(words[dash + 1]),
            superOptions: options(words[dash + 3])
        )
    }

    private static func options(_ text: Substring) -> Set<String> {
        Set(text.split(separator: ",").map(String.init))
    }

    /// The kernel writes blanks and backslashes in paths as three octal digits.
    private static func unescape(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
