import BulkheadCore
import Foundation

/// What a folder lies on, without making or changing anything.
public struct FolderFacts: Sendable, Equatable {
    /// The folder that was asked about.
    public var path: String
    /// The file system's type, such as `ext4`; nil where nobody says.
    public var type: String?
    /// Whether programs may be executed from it.
    public var isExecutable: Bool
    /// Whether it may be written at all.
    public var isWritable: Bool
    /// Bytes that an ordinary user may still write.
    public var freeBytes: Int64
    /// Why it cannot be used, by the rule of owner and mode; nil where it can, or is not there yet.
    public var problem: String?

    /// Makes facts from their parts.
    public init(
        path: String,
        type: String?,
        isExecutable: Bool = true,
        isWritable: Bool = true,
        freeBytes: Int64,
        problem: String? = nil
    ) {
        self.path = path
        self.type = type
        self.isExecutable = isExecutable
        self.isWritable = isWritable
        self.freeBytes = freeBytes
        self.problem = problem
    }

    /// Types over a network, where neither locks nor a database can be relied on.
    public var isOnNetwork: Bool { type.map(StateFolder.networkTypes.contains) ?? false }
    /// Types in which an overwritten block takes new room, so that no room can be held back.
    public var isCopyOnWrite: Bool { type.map(["btrfs", "zfs", "bcachefs"].contains) ?? false }
    /// Whether it is memory.
    public var isMemory: Bool { type == "tmpfs" || type == "ramfs" }

    /// Looks at a folder, or at the nearest one above it that is there.
    ///
    /// - Parameter path: An absolute path.
    /// - Returns: What it lies on.
    public static func look(at path: String) -> FolderFacts {
        var place = path
        while place != "/", (try? FileStatus.of(place, at: AT_FDCWD, 0)) == nil {
            place = PathName(place).folder?.text ?? "/"
        }
        let mount = (try? FileStatus.of(place, at: AT_FDCWD, 0)).flatMap {
            MountTable.current().mount(numbered: $0.mount)
        }
        let options = mount?.options ?? []
        let size = try? FileManager.default.attributesOfFileSystem(forPath: place)
        var facts = FolderFacts(
            path: path,
            type: mount?.type,
            isExecutable: !options.contains("noexec"),
            isWritable: !options.contains("ro"),
            freeBytes: (size?[.systemFreeSize] as? NSNumber)?.int64Value ?? 0
        )
        guard place == path else { return facts }
        do {
            try PathRules.checkFolder(path)
        } catch {
            facts.problem = error.description
        }
        return facts
    }
}
