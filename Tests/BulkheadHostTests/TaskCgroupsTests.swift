import BulkheadCore
import BulkheadLaunch
import Foundation
import Testing

@testable import BulkheadHost

/// What this host and user can hold, asked once.
private enum Held {
    static let features = HostFeatures.probe()
    static let groups = {
        let groups = TaskCgroups.find(features, identity: "test-\(getpid())")
        groups.close()
        return groups
    }()
    static let memory = groups.memoryProblem == nil
    static let processes = groups.processesProblem == nil
    static let kill = groups.killProblem == nil
    static let reason: Comment =
        "control groups: \(groups.memoryProblem ?? groups.processesProblem ?? groups.killProblem ?? "all there")"
}

@Suite("TaskCgroups")
struct TaskCgroupsTests {
    /// Groups of a state folder of the test's own.
    private let identity = "test-\(UInt64.random(in: 0 ... .max))"

    private func groups() -> TaskCgroups { TaskCgroups.find(Held.features, identity: identity) }

    /// Runs a script in the groups.
    private func run(_ script: String, in spec: CgroupSpec) async throws -> Program.Ended {
        let enter = spec.procs.map { "echo 0 > '\($0)' || exit 99; " }.joined()
        return try await Program.run("/bin/sh", ["-c", enter + script])
    }

    /// Removes the groups of a test, and the folders that held them.
    private func finish(_ groups: TaskCgroups) {
        #expect(groups.sweep() == [])
        groups.close()
    }

    @Test(
        "a tree that uses more memory than its limit is killed and counted",
        .enabled(if: Held.memory, Held.reason)
    )
    func memory() async throws {
        let groups = groups()
        defer { finish(groups) }
        let spec = try groups.make("hog", memory: 64 << 20, processes: nil)
        let ended = try await run("exec dd if=/dev/zero of=/dev/null bs=200M count=1", in: spec)
        #expect(ended.wasKilled && ended.status == SIGKILL)
        let oom = try #require(spec.oom)
        let counts = try #require(ProcFile.text(oom.path))
        #expect(CgroupOOM.kills(in: Array(counts.utf8)[...]) > 0)
        let fine = try groups.make("fine", memory: 64 << 20, processes: nil)
        #expect(try await run("exit 7", in: fine).status == 7)
    }

    @Test("a tree has no more processes than its limit", .enabled(if: Held.processes, Held.reason))
    func processes() async throws {
        let groups = groups()
        defer { finish(groups) }
        let spec = try groups.make("bomb", memory: nil, processes: 4)
        let script = "for i in 1 2 3 4 5 6; do sleep 60 & done; exit 0"
        #expect(try await run(script, in: spec).status != 0)
        let wide = try groups.make("wide", memory: nil, processes: 64)
        #expect(try await run(script, in: wide).status == 0)
        groups.end(wide)
        groups.end(spec)
        for folder in wide.folders + spec.folders { #expect(!FileManager.default.fileExists(atPath: folder)) }
    }

    @Test("a whole tree ends at one write", .enabled(if: Held.kill, Held.reason))
    func kill() async throws {
        let groups = groups()
        defer { finish(groups) }
        let spec = try groups.make("tree", memory: nil, processes: nil)
        let file = try #require(spec.kill)
        #expect(try await run("setsid sleep 60 & sleep 60 & exit 3", in: spec).status == 3)
        let folder = CgroupFolder(path: try #require(spec.folders.first))
        #expect(!folder.members.isEmpty)
        try ProcFile.write("1", to: file)
        groups.end(spec)
        #expect(!FileManager.default.fileExists(atPath: folder.path))
    }

    @Test(
        "a sweep ends a former supervisor's leftovers, not those kept or of others",
        .enabled(if: Held.kill && Held.processes, Held.reason)
    )
    func sweep() async throws {
        let (former, others) = (groups(), TaskCgroups.find(Held.features, identity: identity + "-other"))
        defer {
            finish(former)
            finish(others)
        }
        let left = try former.make("left", memory: nil, processes: 8)
        let kept = try former.make("kept", memory: nil, processes: 8)
        let foreign = try others.make("left", memory: nil, processes: 8)
        for spec in [left, kept, foreign] {
            #expect(try await run("sleep 60 & exit 0", in: spec).status == 0)
        }
        let nested = CgroupFolder(path: try #require(left.folders.first) + "/nested")
        try nested.make()
        #expect(groups().sweep(keeping: ["kept"]) == [])
        for folder in left.folders { #expect(!FileManager.default.fileExists(atPath: folder)) }
        for folder in kept.folders + foreign.folders { #expect(!CgroupFolder(path: folder).members.isEmpty) }
    }

    @Test(
        "leftovers that a former supervisor had elsewhere in the tree are found by what it noted",
        .enabled(if: Held.kill && Held.processes, Held.reason)
    )
    func moved() async throws {
        let folder = try HostFolder()
        let state = try StateFolder.open(folder("state"))
        var features = Held.features
        let other = CgroupFolder(path: try #require(features.cgroups.processes?.ownFolder) + "/" + identity)
        try other.make()
        defer { try? other.remove() }
        features.cgroups.processes?.ownFolder = other.path
        let former = try TaskCgroups.find(features, state: state)
        let left = try former.make("left", memory: nil, processes: 8)
        #expect(try await run("sleep 60 & exit 0", in: left).status == 0)
        // A note may only name folders of this state folder.
        let note = try String(contentsOfFile: state.path + "/cgroups", encoding: .utf8)
        try folder.file("state/cgroups", note + "/\n/sys/fs/cgroup\n", mode: 0o600)
        let now = try TaskCgroups.find(Held.features, state: state)
        #expect(now.sweep() == [])
        for path in left.folders { #expect(!FileManager.default.fileExists(atPath: path)) }
        #expect(other.children.isEmpty)
        now.close()
    }

    @Test(
        "a leftover of the same name is taken over when nothing lives in it",
        .enabled(if: Held.kill, Held.reason)
    )
    func sameName() throws {
        let groups = groups()
        defer { finish(groups) }
        let spec = try groups.make("again", memory: nil, processes: nil)
        #expect(try groups.make("again", memory: nil, processes: nil) == spec)
    }

    @Test(
        "beside a service, launchers and tasks live in its tasks' unit, and the service's own group stays free",
        .enabled(if: Held.kill && Rights.isRoot, Held.reason)
    )
    func tasksUnit() async throws {
        let unified = try #require(Held.features.cgroups.unified)
        let slice = CgroupFolder(path: unified.mountPoint + "/bulkhead-" + identity + ".slice")
        let service = CgroupFolder(path: slice.file("x.service"))
        let tasks = CgroupFolder(path: slice.file("x-tasks.service"))
        for folder in [slice, service, tasks] { try folder.make() }
        defer {
            slice.kill()
            #expect(throws: Never.self) { try slice.remove() }
        }
        var features = Held.features
        features.cgroups.unified?.ownFolder = service.path
        let groups = TaskCgroups.find(features, identity: identity)
        let spec = try groups.make("task", memory: nil, processes: nil)
        #expect(spec.folders.first == tasks.path + "/bulkhead-" + identity + "/task")
        #expect(try await run("sleep 60 & exit 0", in: spec).status == 0)
        let launcher = try Program.spawn("/bin/sleep", ["60"])
        try groups.takeIn(launcher: launcher)
        #expect(CgroupFolder(path: tasks.file("bulkhead-" + identity + "-launchers")).members == [launcher])
        // As the service manager does with the next supervisor, and as it ends the tasks' unit.
        #expect(service.children.isEmpty && ProcFile.words(service.file("cgroup.subtree_control")).isEmpty)
        tasks.kill()
        var status: Int32 = 0
        #expect(unsafe waitpid(launcher, &status, 0) == launcher && status & 0x7F == SIGKILL)
        groups.end(spec)
        groups.close()
        #expect(tasks.children.isEmpty)
    }

    @Test(
        "a user who is not root is not sent to a unit beside its own",
        .enabled(if: Held.kill && Rights.isRoot, Held.reason)
    )
    func tasksUnitOfOthers() throws {
        let unified = try #require(Held.features.cgroups.unified)
        let slice = CgroupFolder(path: unified.mountPoint + "/bulkhead-" + identity + ".slice")
        let service = CgroupFolder(path: slice.file("x.service"))
        for folder in [slice, service, CgroupFolder(path: slice.file("x-tasks.service"))] {
            try folder.make()
        }
        defer { #expect(throws: Never.self) { try slice.remove() } }
        var features = Held.features
        features.user = 1000
        features.cgroups.unified?.ownFolder = service.path
        let groups = TaskCgroups.find(features, identity: identity)
        let spec = try groups.make("task", memory: nil, processes: nil)
        #expect(spec.folders.first == service.path + "/bulkhead-" + identity + "/task")
        finish(groups)
    }

    @Test("a service whose tasks lie below it is told which unit is missing, and what follows")
    func missingTasksUnit() {
        let problem = UnifiedPlace.restartProblem(below: CgroupFolder(path: "/g/system.slice/x.service"))
        #expect(problem?.contains("x.service, since x-tasks.service has none") == true)
        #expect(
            UnifiedPlace.restartProblem(below: CgroupFolder(path: "/g/user.slice/session-1.scope")) == nil
        )
    }

    @Test("a name that is no folder's is refused", arguments: ["", "..", "a/b", ".x"])
    func names(_ name: String) {
        let error = refusal { () throws(BulkheadError) in
            try Held.groups.make(name, memory: nil, processes: nil)
        }
        #expect(error?.code == .internal)
    }

    @Test("a host without control groups says so, refuses limits and runs what names none")
    func none() throws {
        var features = Held.features
        features.cgroups = CgroupLayout()
        let groups = TaskCgroups.find(features, identity: identity)
        #expect(groups.killProblem == "no cgroup version 2 hierarchy is mounted")
        #expect(groups.memoryProblem == "no cgroup hierarchy here has the memory controller")
        #expect(groups.processesProblem == "no cgroup hierarchy here has the pids controller")
        #expect(try groups.make("x", memory: nil, processes: nil) == CgroupSpec())
        let error = refusal { () throws(BulkheadError) in
            try groups.make("x", memory: 1 << 20, processes: nil)
        }
        #expect(error?.message.hasPrefix("limits.memory cannot be held on this host: no cgroup") == true)
        #expect(error?.code == .host && error?.advice != nil)
        let other = refusal { () throws(BulkheadError) in try groups.make("x", memory: nil, processes: 1) }
        #expect(other?.message.hasPrefix("limits.processes cannot be held") == true)
    }

    @Test("a hierarchy that is mounted read-only is not used")
    func readOnly() {
        var features = Held.features
        let hierarchy = CgroupLayout.Hierarchy(mountPoint: "/sys", ownFolder: "/sys", isReadOnly: true)
        features.cgroups = CgroupLayout(unified: hierarchy, memory: hierarchy)
        let groups = TaskCgroups.find(features, identity: identity)
        #expect(groups.killProblem?.contains(SystemFailure(EROFS).description) == true)
        #expect(groups.memoryProblem == "/sys is mounted read-only")
    }

    @Test(
        "an ordinary user is told who cannot make groups where",
        .enabled(if: Rights.isNotRoot && !Held.memory, "needs a user to whom no group is delegated")
    )
    func ordinary() throws {
        let problem = try #require(Held.groups.memoryProblem)
        #expect(
            problem.contains("user \(UserDirectory.describe(user: geteuid())) cannot make control groups in")
        )
    }
}
