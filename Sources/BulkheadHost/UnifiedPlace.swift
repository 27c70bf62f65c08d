import Foundation

/// Finds a place for our groups in the version 2 hierarchy.
///
/// A group with processes of its own cannot hand controllers to groups below it, so the supervisor must leave the group
/// that holds ours, or ours must lie elsewhere (Documentation/admin-guide/cgroup-v2.rst, No Internal
/// Process Constraint).
enum UnifiedPlace {
    private static let wanted = ["memory", "pids"]
    private static let serviceSuffix = ".service"

    /// Where the groups of attempts lie, and where launchers do.
    struct Place {
        /// The folder of the attempts' groups.
        let folder: CgroupFolder
        /// The controllers that groups in it have.
        let controllers: Set<String>
        /// The group of the launchers; nil where they stay in the supervisor's.
        var launchers: CgroupFolder?
        /// Why a service manager may be unable to start the next supervisor; nil where it is able.
        var restartProblem: String?
    }

    /// Makes the folder for our groups.
    /// - Parameters:
    ///   - hierarchy: The version 2 hierarchy.
    ///   - isRoot: Whether groups may be made outside our own one.
    ///   - name: The folder's name.
    /// - Returns: The place.
    /// - Throws: ``SystemFailure``: no group can be made.
    static func claim(
        _ hierarchy: CgroupLayout.Hierarchy,
        _ isRoot: Bool,
        _ name: String
    ) throws(SystemFailure) -> Place {
        guard !hierarchy.isReadOnly else { throw SystemFailure(EROFS) }
        let own = CgroupFolder(path: hierarchy.ownFolder)
        // Only root may move processes to a group that is not below its own.
        if isRoot, let tasks = tasksUnit(beside: own), let place = try? claim(inUnit: tasks, name) {
            return place
        }
        // A service or a container of our own: its limits then hold for handlers too.
        if own.has("cgroup.type"), isOurs(own), var place = try? leaveAndClaim(own, name) {
            place.restartProblem = restartProblem(below: own)
            return place
        }
        let top = CgroupFolder(path: hierarchy.mountPoint)
        // The true root has no cgroup.type, and alone may have both processes and controllers.
        if isRoot, !top.has("cgroup.type"), let place = try? claim(below: top, name),
            !place.controllers.isEmpty
        {
            return place
        }
        return try claim(below: own, name)
    }

    /// The group of the service manager's unit `NAME-tasks.service` beside our own `NAME.service`.
    ///
    /// Below our own unit's group nothing may lie that has controllers: the manager puts the next supervisor right
    /// into it, which the kernel then refuses (EBUSY), and would end the tasks together with this one.
    private static func tasksUnit(beside own: CgroupFolder) -> CgroupFolder? {
        guard own.path.hasSuffix(serviceSuffix) else { return nil }
        let tasks = CgroupFolder(path: own.path.dropLast(serviceSuffix.count) + "-tasks" + serviceSuffix)
        return tasks.has("cgroup.procs") ? tasks : nil
    }

    /// What follows from groups with controllers below a service's own.
    static func restartProblem(below own: CgroupFolder) -> String? {
        guard own.path.hasSuffix(serviceSuffix) else { return nil }
        let service = own.path.split(separator: "/").last ?? ""
        let tasks = service.dropLast(serviceSuffix.count) + "-tasks" + serviceSuffix
        return
            "tasks lie below the group of \(service), since \(tasks) has none: after a crash systemd cannot start "
            + "the supervisor again while a task runs (219/CGROUP)"
    }

    /// Takes a place in a unit without processes of its own: one group for attempts, one for launchers.
    private static func claim(inUnit tasks: CgroupFolder, _ name: String) throws(SystemFailure) -> Place {
        let launchers = CgroupFolder(path: tasks.file(name + "-launchers"))
        try launchers.make()
        var place = try claim(below: tasks, name)
        place.launchers = launchers
        return place
    }

    /// Whether no stranger is in our group: in a container our own init is there too.
    private static func isOurs(_ own: CgroupFolder) -> Bool {
        let members = own.members
        let ours = [getpid()] + (getppid() == FirstProcess.number ? [FirstProcess.number] : [])
        return members.contains(getpid()) && members.allSatisfy(ours.contains)
    }

    /// Moves the supervisor, and its init, into a group of its own, and back where that helps nothing.
    private static func leaveAndClaim(_ own: CgroupFolder, _ name: String) throws(SystemFailure) -> Place {
        let ours = CgroupFolder(path: own.file("bulkhead-supervisor"))
        let members = own.members
        try ours.make()
        do throws(SystemFailure) {
            for pid in members { try ours.set("cgroup.procs", "\(pid)") }
            let place = try claim(below: own, name)
            guard !place.controllers.isEmpty else { throw SystemFailure(ENOTSUP) }
            return place
        } catch {
            for pid in members { try? own.set("cgroup.procs", "\(pid)") }
            try? ours.remove()
            throw error
        }
    }

    private static func claim(below parent: CgroupFolder, _ name: String) throws(SystemFailure) -> Place {
        let folder = CgroupFolder(path: parent.file(name))
        let wanted = Self.wanted.filter { enable($0, below: parent) }
        try folder.make()
        return Place(folder: folder, controllers: Set(wanted.filter { enable($0, below: folder) }))
    }

    /// Hands a controller to the groups below; false where that cannot be had.
    private static func enable(_ controller: String, below group: CgroupFolder) -> Bool {
        if ProcFile.words(group.file("cgroup.subtree_control")).contains(controller) { return true }
        guard ProcFile.words(group.file("cgroup.controllers")).contains(controller) else { return false }
        return (try? group.set("cgroup.subtree_control", "+" + controller)) != nil
    }
}
