public import BulkheadCore
public import BulkheadLaunch
import Foundation

/// The control groups of attempts: memory and process limits, and the end of everything in them at once.
///
/// They all lie in folders named after the state folder, so that those of a former supervisor are known and ended,
/// and nobody else's are touched.
public struct TaskCgroups: Sendable {
    /// Why no memory limit can be held; nil when one can.
    public private(set) var memoryProblem: String?
    /// Why no limit of processes can be held; nil when one can.
    public private(set) var processesProblem: String?
    /// Why a tree cannot be killed by its group; nil when it can.
    public private(set) var killProblem: String?
    /// Why a service manager may be unable to start the next supervisor; nil where it is able.
    public private(set) var restartProblem: String?

    private var unified: CgroupFolder?
    private var unifiedControllers: Set<String> = []
    /// Where launchers live; nil: where the supervisor does.
    private var launchers: CgroupFolder?
    private var memory: CgroupFolder?
    private var processes: CgroupFolder?
    /// Folders of the same state folder elsewhere, in which a former supervisor had its groups.
    private var former: [CgroupFolder] = []

    /// Finds where groups can be made, and makes the folders that will hold them.
    /// - Parameters:
    ///   - features: What the host offers.
    ///   - identity: ``StateFolder/identity``.
    /// - Returns: The groups; what cannot be had is said in the problems.
    public static func find(_ features: HostFeatures, identity: String) -> TaskCgroups {
        TaskCgroups(features, name: "bulkhead-" + identity)
    }

    /// Finds where groups can be made, and notes it in the state folder: a supervisor that is started elsewhere in
    /// the tree, such as in another session, then finds what this one left.
    /// - Parameters:
    ///   - features: What the host offers.
    ///   - state: The state folder, in which the file `cgroups` is kept.
    /// - Returns: The groups; what cannot be had is said in the problems.
    /// - Throws: ``BulkheadError`` with the code `storage`.
    public static func find(_ features: HostFeatures, state: StateFolder) throws(BulkheadError) -> TaskCgroups
    {
        let name = "bulkhead-" + state.identity
        var groups = TaskCgroups(features, name: name)
        let own = groups.folders.map(\.path)
        let note = try PrivateFile.read(state.path + "/cgroups", limit: StateFolder.runtimeBytes) ?? []
        let noted = String(decoding: note, as: UTF8.self).split(separator: "\n").map {
            CgroupFolder(path: String($0))
        }
        groups.former = noted.filter { folder in
            folder.path.hasSuffix("/" + name) && folder.has("cgroup.procs") && !own.contains(folder.path)
        }
        let lines = (own + groups.former.map(\.path)).map { $0 + "\n" }.joined()
        if Array(lines.utf8) != note {
            try PrivateFile.replace("cgroups", in: state.path, with: Array(lines.utf8))
        }
        return groups
    }

    /// The folders that hold the groups.
    private var folders: [CgroupFolder] { [unified, memory, processes].compactMap(\.self) }

    private init(_ features: HostFeatures, name: String) {
        let layout = features.cgroups
        var failure: String?
        if let hierarchy = layout.unified {
            do throws(SystemFailure) {
                let place = try UnifiedPlace.claim(hierarchy, features.isRoot, name)
                (unified, unifiedControllers, launchers) = (place.folder, place.controllers, place.launchers)
                restartProblem = place.restartProblem
            } catch {
                failure = Self.refusal(hierarchy, error)
            }
        }
        killProblem = Self.killProblem(unified, failure)
        if !unifiedControllers.contains("memory") {
            (memory, memoryProblem) = Self.claim(layout.memory, name, "memory controller", failure)
        }
        if !unifiedControllers.contains("pids") {
            (processes, processesProblem) = Self.claim(layout.processes, name, "pids controller", failure)
        }
    }

    /// Makes the groups of one attempt.
    /// - Parameters:
    ///   - name: A name that no other attempt has, fit for a folder.
    ///   - memory: Bytes that the whole tree may use, without swap; nil: no limit.
    ///   - processes: Processes and threads that the tree may have; nil: no limit.
    /// - Returns: What the launcher needs; empty where the host has no groups and no limit is asked.
    /// - Throws: ``BulkheadError`` with the code `host`: a limit cannot be held here, or a group not be made.
    public func make(_ name: String, memory: Int64?, processes: Int?) throws(BulkheadError) -> CgroupSpec {
        guard !name.isEmpty, !name.contains("/"), !name.hasPrefix(".") else {
            throw BulkheadError(.internal, "\"\(name)\" cannot name a control group")
        }
        if memory != nil { try Self.demand(memoryProblem, "memory") }
        if processes != nil { try Self.demand(processesProblem, "processes") }
        var spec = CgroupSpec()
        do throws(SystemFailure) {
            try makeUnified(name, memory, processes, &spec)
            try makeMemory(name, memory, &spec)
            try makeProcesses(name, processes, &spec)
            return spec
        } catch {
            for folder in spec.folders { _ = unsafe rmdir(folder) }
            throw BulkheadError(
                .host,
                "the control group of \(name) cannot be made",
                cause: error.description,
                advice: "look into the rights and limits of /sys/fs/cgroup (cgroup.max.descendants)"
            )
        }
    }

    /// Ends and removes what a former supervisor of the same state folder left; waits at most five seconds.
    /// - Parameter names: The groups that stay, as they were named to ``make(_:memory:processes:)``.
    /// - Returns: What could not be ended or removed, as sentences.
    public func sweep(keeping names: Set<String> = []) -> [String] {
        let kept = { (folder: CgroupFolder) in names.contains { folder.path.hasSuffix("/" + $0) } }
        let left = Self.end((folders + former).flatMap(\.children).filter { !kept($0) })
        // Fails, rightly, for those in which something is kept.
        for folder in former { _ = unsafe rmdir(folder.path) }
        return left.map { folder in
            "the control group \(folder.path) of a former supervisor cannot be removed: processes "
                + folder.tree.flatMap(\.members).map(String.init).joined(separator: ", ") + " do not end"
        }
    }

    /// Kills what is in the groups of this name, wherever a supervisor of this state folder made them, and removes
    /// them; waits at most five seconds.
    /// - Parameter name: The name that was given to ``make(_:memory:processes:)``.
    public func end(named name: String) async {
        let groups = (folders + former).map { CgroupFolder(path: $0.file(name)) }
            .filter { (try? FileStatus.of($0.path))?.kind == .folder }
        guard !groups.isEmpty else { return }
        // A thread of its own, since waiting would hold one of the few that all Swift tasks share.
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                _ = Self.end(groups)
                continuation.resume()
            }
        }
    }

    /// Kills what is in the groups of an attempt whose launcher is gone, and removes them; waits at most five
    /// seconds.
    /// - Parameter spec: What ``make(_:memory:processes:)`` gave.
    public func end(_ spec: CgroupSpec) {
        _ = Self.end(spec.folders.map { CgroupFolder(path: $0) })
    }

    /// Removes the folders that hold the groups, where nothing is in them; at the supervisor's end.
    public func close() {
        for folder in folders + [launchers].compactMap(\.self) { _ = unsafe rmdir(folder.path) }
    }

    /// Moves a launcher to where launchers live, so that the end of the supervisor's unit is not theirs.
    /// - Parameter pid: Its process number.
    /// - Throws: ``BulkheadError`` with the code `host`; it stays where the supervisor is.
    public func takeIn(launcher pid: Int32) throws(BulkheadError) {
        guard let launchers else { return }
        do throws(SystemFailure) {
            try launchers.set("cgroup.procs", "\(pid)")
        } catch {
            throw BulkheadError(
                .host,
                "a launcher cannot be moved to \(launchers.path)",
                cause: error.description
            )
        }
    }

    /// Kills and removes groups, again and again, since a process that is being killed holds its group.
    private static func end(_ folders: [CgroupFolder]) -> [CgroupFolder] {
        var left = folders
        for _ in 0..<500 where !left.isEmpty {
            for folder in left { folder.kill() }
            left = left.filter { folder in (try? folder.remove()) == nil }
            if !left.isEmpty { usleep(10_000) }
        }
        return left
    }
}

extension TaskCgroups {
    private static func demand(_ problem: String?, _ limit: String) throws(BulkheadError) {
        guard let problem else { return }
        throw BulkheadError(
            .host,
            "limits.\(limit) cannot be held on this host: \(problem)",
            advice:
                "run the supervisor as root or as a service with Delegate=yes, or take the limit out of the policy"
        )
    }

    private static func refusal(_ hierarchy: CgroupLayout.Hierarchy, _ failure: SystemFailure) -> String {
        "user \(UserDirectory.describe(user: geteuid())) cannot make control groups in \(hierarchy.ownFolder)"
            + " (\(failure))"
    }

    private static func killProblem(_ unified: CgroupFolder?, _ failure: String?) -> String? {
        guard let unified else { return failure ?? "no cgroup version 2 hierarchy is mounted" }
        let probe = CgroupFolder(path: unified.file("probe"))
        guard (try? probe.make()) != nil else { return "no control group can be made in \(unified.path)" }
        defer { try? probe.remove() }
        return probe.has("cgroup.kill") ? nil : "the kernel has no cgroup.kill (it came with Linux 5.14)"
    }

    /// Takes a place in a version 1 hierarchy, right below our own group, whose limits then hold too.
    private static func claim(
        _ hierarchy: CgroupLayout.Hierarchy?,
        _ name: String,
        _ what: String,
        _ failure: String?
    ) -> (CgroupFolder?, String?) {
        guard let hierarchy else { return (nil, failure ?? "no cgroup hierarchy here has the \(what)") }
        guard !hierarchy.isReadOnly else { return (nil, "\(hierarchy.mountPoint) is mounted read-only") }
        let folder = CgroupFolder(path: hierarchy.ownFolder + "/" + name)
        do throws(SystemFailure) {
            try folder.make()
            return (folder, nil)
        } catch {
            return (nil, refusal(hierarchy, error))
        }
    }

    private func makeUnified(
        _ name: String,
        _ memory: Int64?,
        _ processes: Int?,
        _ spec: inout CgroupSpec
    ) throws(SystemFailure) {
        guard let unified else { return }
        let group = CgroupFolder(path: unified.file(name))
        try group.begin(&spec)
        if group.has("cgroup.kill") { spec.kill = group.file("cgroup.kill") }
        if unifiedControllers.contains("memory") {
            spec.oom = CgroupOOM(path: group.file("memory.events"), kind: .v2)
            if let memory {
                try group.set("memory.max", "\(memory)")
                try group.setIfThere("memory.swap.max", "0")
                try group.setIfThere("memory.oom.group", "1")
            }
        }
        if unifiedControllers.contains("pids"), let processes { try group.set("pids.max", "\(processes)") }
    }

    private func makeMemory(_ name: String, _ bytes: Int64?, _ spec: inout CgroupSpec) throws(SystemFailure) {
        guard let memory, let bytes else { return }
        let group = CgroupFolder(path: memory.file(name))
        try group.begin(&spec)
        try group.set("memory.limit_in_bytes", "\(bytes)")
        // Where the kernel does not account swap, at least do not begin with it.
        try group.setIfThere("memory.swappiness", "0")
        try group.setIfThere("memory.memsw.limit_in_bytes", "\(bytes)")
        spec.oom = CgroupOOM(path: group.file("memory.oom_control"), kind: .v1)
    }

    private func makeProcesses(
        _ name: String,
        _ count: Int?,
        _ spec: inout CgroupSpec
    ) throws(SystemFailure) {
        guard let processes, let count else { return }
        let group = CgroupFolder(path: processes.file(name))
        try group.begin(&spec)
        try group.set("pids.max", "\(count)")
    }
}

extension CgroupFolder {
    /// Makes the group of an attempt and notes it for the launcher; an empty leftover of that name goes first.
    fileprivate func begin(_ spec: inout CgroupSpec) throws(SystemFailure) {
        if unsafe mkdir(path, 0o755) != 0 {
            guard errno == EEXIST else { throw SystemFailure(errno) }
            try remove()
            try make()
        }
        spec.folders.append(path)
        spec.procs.append(file("cgroup.procs"))
    }
}
