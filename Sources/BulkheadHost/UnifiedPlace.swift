import Foundation

/// Finds a place for our groups in the version 2 hierarchy.
///
/// A group with processes of its own cannot hand controllers to groups below it, so the supervisor must leave the group
/// that holds ours, or ours must lie elsewhere (Documentation/admin-guide/cgroup-v2.rst, No Internal
/// Process Constraint).
enum UnifiedPlace {
    private static let wanted = ["memory", "pids"]

    /// Makes the folder for our groups.
    /// - Parameters:
    ///   - hierarchy: The version 2 hierarchy.
    ///   - isRoot: Whether groups may be made outside our own one.
    ///   - name: The folder's name.
    /// - Returns: The folder, and the controllers that groups in it have.
    /// - Throws: ``SystemFailure``: no group can be made.
    static func claim(
        _ hierarchy: CgroupLayout.Hierarchy,
        _ isRoot: Bool,
        _ name: String
    ) throws(SystemFailure) -> (CgroupFolder, Set<String>) {
        guard !hierarchy.isReadOnly else { throw SystemFailure(EROFS) }
        let own = CgroupFolder(path: hierarchy.ownFolder)
        // A service or a container of our own: its limits then hold for handlers too.
        if own.has("cgroup.type"), own.members == [getpid()], let place = try? leaveAndClaim(own, name) {
            return place
        }
        let top = CgroupFolder(path: hierarchy.mountPoint)
        // The true root has no cgroup.type, and alone may have both processes and controllers.
        if isRoot, !top.has("cgroup.type"), let place = try? claim(below: top, name), !place.1.isEmpty {
            return place
        }
        return try claim(below: own, name)
    }

    /// Moves the supervisor into a group of its own, and back where that helps nothing.
    private static func leaveAndClaim(
        _ own: CgroupFolder,
        _ name: String
    ) throws(SystemFailure) -> (CgroupFolder, Set<String>) {
        let ours = CgroupFolder(path: own.file("bulkhead-supervisor"))
        try ours.make()
        do throws(SystemFailure) {
            try ours.set("cgroup.procs", "0")
            let place = try claim(below: own, name)
            guard !place.1.isEmpty else { throw SystemFailure(ENOTSUP) }
            return place
        } catch {
            try? own.set("cgroup.procs", "0")
            try? ours.remove()
            throw error
        }
    }

    private static func claim(
        below parent: CgroupFolder,
        _ name: String
    ) throws(SystemFailure) -> (CgroupFolder, Set<String>) {
        let folder = CgroupFolder(path: parent.file(name))
        let wanted = Self.wanted.filter { enable($0, below: parent) }
        try folder.make()
        return (folder, Set(wanted.filter { enable($0, below: folder) }))
    }

    /// Hands a controller to the groups below; false where that cannot be had.
    private static func enable(_ controller: String, below group: CgroupFolder) -> Bool {
        if ProcFile.words(group.file("cgroup.subtree_control")).contains(controller) { return true }
        guard ProcFile.words(group.file("cgroup.controllers")).contains(controller) else { return false }
        return (try? group.set("cgroup.subtree_control", "+" + controller)) != nil
    }
}
