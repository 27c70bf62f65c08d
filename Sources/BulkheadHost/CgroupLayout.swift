import BulkheadCore

/// Which control group hierarchies this process sees, and where it is in them.
public struct CgroupLayout: Sendable, Equatable {
    /// One hierarchy.
    public struct Hierarchy: Sendable, Equatable {
        /// Where it is mounted.
        public var mountPoint: String
        /// The folder of the group that this process is in.
        public var ownFolder: String
        /// Whether it is mounted read-only, as in most containers.
        public var isReadOnly: Bool
    }

    /// The version 2 hierarchy, with or without controllers.
    public var unified: Hierarchy?
    /// The version 1 hierarchy of the memory controller.
    public var memory: Hierarchy?
    /// The version 1 hierarchy of the process count controller.
    public var processes: Hierarchy?

    /// Makes a layout; without arguments there is no hierarchy.
    public init(unified: Hierarchy? = nil, memory: Hierarchy? = nil, processes: Hierarchy? = nil) {
        self.unified = unified
        self.memory = memory
        self.processes = processes
    }

    /// Reads the layout from what the kernel says.
    /// - Parameters:
    ///   - mountInfo: The text of /proc/self/mountinfo.
    ///   - membership: The text of /proc/self/cgroup.
    /// - Returns: The hierarchies that are mounted in this process's sight.
    public static func parse(mountInfo: String, membership: String) -> CgroupLayout {
        let table = MountTable.parse(mountInfo)
        let groups = membership.split(separator: "\n").compactMap(group)
        var layout = CgroupLayout()
        if let own = groups.first(where: { $0.controllers.isEmpty }) {
            layout.unified = hierarchy(table.mounts.filter { $0.type == "cgroup2" }, own.path)
        }
        layout.memory = version1("memory", table, groups)
        layout.processes = version1("pids", table, groups)
        return layout
    }

    private typealias Group = (controllers: [Substring], path: String)

    /// A line `ID:CONTROLLERS:PATH`; the version 2 hierarchy has the id 0 and no controllers (cgroups(7)).
    private static func group(_ line: Substring) -> Group? {
        let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        guard !parts[1].isEmpty || parts[0] == "0" else { return nil }
        return (parts[1].split(separator: ","), String(parts[2]))
    }

    private static func version1(_ controller: String, _ table: MountTable, _ groups: [Group]) -> Hierarchy? {
        guard let own = groups.first(where: { $0.controllers.contains(Substring(controller)) }) else {
            return nil
        }
        let mounts = table.mounts.filter { $0.type == "cgroup" && $0.superOptions.contains(controller) }
        return hierarchy(mounts, own.path)
    }

    /// The first mount that shows the group; a mount may show a part of the hierarchy only.
    private static func hierarchy(_ mounts: [MountTable.Mount], _ path: String) -> Hierarchy? {
        for mount in mounts {
            guard let below = relative(path, to: mount.root) else { continue }
            return Hierarchy(
                mountPoint: mount.point,
                ownFolder: mount.point + below,
                isReadOnly: mount.options.contains("ro") || mount.superOptions.contains("ro")
            )
        }
        return nil
    }

    /// The path below a root, with a slash before it or empty; nil where it lies elsewhere.
    private static func relative(_ path: String, to root: String) -> String? {
        if root == "/" { return path == "/" ? "" : path }
        if path == root { return "" }
        guard PathName(path).isBelow(PathName(root)) else { return nil }
        return String(decoding: path.utf8.dropFirst(root.utf8.count), as: UTF8.self)
    }
}
