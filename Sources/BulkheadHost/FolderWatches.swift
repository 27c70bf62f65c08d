import BulkheadCore
import CLinux
import Foundation

/// The kernel's watches on some folders and on all folders above them (inotify(7)).
///
/// Of the folders above only the next step down matters: that it appears, goes, is replaced or changes its mode.
struct FolderWatches: ~Copyable {
    private static let contents =
        UInt32(IN_CLOSE_WRITE) | UInt32(IN_CREATE) | UInt32(IN_DELETE) | UInt32(IN_MOVED_FROM)
        | UInt32(IN_MOVED_TO) | UInt32(IN_ATTRIB) | itself
    private static let steps =
        UInt32(IN_CREATE) | UInt32(IN_DELETE) | UInt32(IN_MOVED_FROM) | UInt32(IN_MOVED_TO)
        | UInt32(IN_ATTRIB) | itself
    private static let itself = UInt32(IN_DELETE_SELF) | UInt32(IN_MOVE_SELF) | UInt32(IN_ONLYDIR)
    /// Events after which other folders may stand at the watched paths.
    private static let moving =
        UInt32(IN_DELETE_SELF) | UInt32(IN_MOVE_SELF) | UInt32(IN_IGNORED) | UInt32(IN_Q_OVERFLOW)
        | UInt32(IN_UNMOUNT)
    private static let bufferBytes = 64 << 10
    private static let networkTypes: Set<String> = [
        "nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "fuse.sshfs",
    ]

    /// What matters of one watched folder.
    private struct Interest {
        var everything = false
        var names: Set<String> = []
    }

    /// Whether the kernel cannot tell of all changes, so that one must look from time to time.
    private(set) var mustRescan = false

    private let paths: [String]
    private let queue: OpenDescriptor?
    private var interests: [Int32: Interest] = [:]

    init(paths: [String]) {
        let here = FileManager.default.currentDirectoryPath
        self.paths = paths.map { PathName($0).isAbsolute ? $0 : here + "/" + $0 }
        let number = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
        queue = number >= 0 ? OpenDescriptor(owning: number) : nil
        descriptor = number
        refresh()
    }

    /// Readable when something happened; -1, which poll passes over, where there is no queue.
    let descriptor: Int32

    /// Puts the watches where the paths lead at this moment.
    mutating func refresh() {
        mustRescan = descriptor < 0
        var wanted: [Int32: Interest] = [:]
        for path in paths { watch(path, &wanted) }
        for old in interests.keys where wanted[old] == nil { inotify_rm_watch(descriptor, old) }
        interests = wanted
    }

    /// Takes the events that have come.
    /// - Returns: Whether one of them matters.
    mutating func read() -> Bool {
        guard let bytes = try? queue?.read(atMost: Self.bufferBytes) else { return false }
        var matters = false
        var moved = false
        for event in InotifyEvent.all(in: bytes) {
            // A watch that we gave up ourselves ends with an event too.
            let isLive = interests[event.watch] != nil || event.mask & UInt32(IN_Q_OVERFLOW) != 0
            let lost = isLive && event.mask & Self.moving != 0
            guard lost || isOurs(event) else { continue }
            matters = true
            moved = moved || lost || interests[event.watch]?.everything != true
        }
        if moved { refresh() }
        return matters
    }

    private func isOurs(_ event: InotifyEvent) -> Bool {
        guard let interest = interests[event.watch] else { return false }
        return interest.everything || event.name.isEmpty || interest.names.contains(event.name)
    }

    /// Watches each folder on the way first, so that nothing can appear unseen between two steps.
    private mutating func watch(_ path: String, _ wanted: inout [Int32: Interest]) {
        var folder = "/"
        for name in PathName(path).parts {
            if let number = add(folder, Self.steps) { wanted[number, default: Interest()].names.insert(name) }
            folder += (folder == "/" ? "" : "/") + name
        }
        if let number = add(folder, Self.contents) {
            wanted[number, default: Interest()].everything = true
            if isOnNetwork(folder) { mustRescan = true }
        } else if ![ENOENT, ENOTDIR].contains(errno) {
            mustRescan = true
        }
    }

    private func add(_ folder: String, _ mask: UInt32) -> Int32? {
        // Added to the mask, since a folder may be one that is watched and one above another.
        let number = unsafe inotify_add_watch(descriptor, folder, mask | UInt32(IN_MASK_ADD))
        return number >= 0 ? number : nil
    }

    private func isOnNetwork(_ folder: String) -> Bool {
        guard let status = try? FileStatus.of(folder, 0),
            let mount = MountTable.current().mount(numbered: status.mount)
        else { return false }
        return Self.networkTypes.contains(mount.type)
    }
}

/// One event of inotify.
struct InotifyEvent: Equatable {
    var watch: Int32
    var mask: UInt32
    /// The name in the watched folder; empty for the folder itself.
    var name: String

    private static let headerBytes = 16

    /// Reads the events of one read; a cut one at the end, which the kernel never gives, is passed over.
    static func all(in bytes: [UInt8]) -> [InotifyEvent] {
        var events: [InotifyEvent] = []
        var start = 0
        while bytes.count - start >= headerBytes {
            let length = Int(word(bytes, start + 12))
            let end = start + headerBytes + length
            guard end <= bytes.count else { break }
            let name = bytes[(start + headerBytes)..<end].prefix { $0 != 0 }
            events.append(
                InotifyEvent(
                    watch: Int32(bitPattern: word(bytes, start)),
                    mask: word(bytes, start + 4),
                    name: String(decoding: name, as: UTF8.self)
                )
            )
            start = end
        }
        return events
    }

    private static func word(_ bytes: [UInt8], _ start: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
    }
}
