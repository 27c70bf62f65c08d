import BulkheadLaunch
import CLinux
import Foundation
import Glibc
import Testing

/// A control group of a test's own, which the launcher is to remove.
struct TestCgroup {
    let path: String

    /// The folder of a version 1 controller, or of version 2 with `cgroup.kill`, if this machine lets us use it.
    static func root(_ controller: String) -> String? {
        let candidates =
            controller == "unified"
            ? ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"] : ["/sys/fs/cgroup/\(controller)"]
        return candidates.first { root in
            guard controller != "unified" || exists("\(root)/cgroup.controllers") else { return false }
            guard let probe = try? TestCgroup(root) else { return false }
            defer { unsafe rmdir(probe.path) }
            return exists(
                controller == "unified" ? "\(probe.path)/cgroup.kill" : "\(probe.path)/cgroup.procs"
            )
        }
    }

    init(_ root: String) throws {
        path = "\(root)/bulkhead-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    func set(_ file: String, _ value: String) throws {
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(path)/\(file)"))
        try file.write(contentsOf: Data(value.utf8))
        try file.close()
    }

    var procs: String { "\(path)/cgroup.procs" }
    var isThere: Bool { Self.exists(path) }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}

@Suite("Launcher's control groups", .serialized)
struct LauncherCgroupTests {
    static let pids = TestCgroup.root("pids")
    static let memory = TestCgroup.root("memory")
    static let unified = TestCgroup.root("unified")

    @Test(
        "a fork bomb under a limit of processes is ended whole and its group removed",
        .enabled(if: pids != nil, "needs a version 1 pids controller that we may use")
    )
    func forkBomb() throws {
        let group = try TestCgroup(try #require(Self.pids))
        try group.set("pids.max", "200")
        let mark = "bulkhead-bomb-\(getpid())"
        var spec = shell(": \(mark); bomb() { bomb | bomb & }; bomb 2>/dev/null; sleep 100")
        spec.cgroup = CgroupSpec(procs: [group.procs], folders: [group.path])
        spec.timeoutNanoseconds = 300_000_000
        spec.graceNanoseconds = 50_000_000
        let report = try LauncherDriver().run(spec)
        #expect(report.outcome?.survivors == 0)
        #expect(!group.isThere)
        #expect(try processes(holding: mark).isEmpty)
    }

    @Test(
        "a kill by the out-of-memory killer is counted",
        .enabled(if: memory != nil, "needs a version 1 memory controller that we may use")
    )
    func outOfMemory() throws {
        let group = try TestCgroup(try #require(Self.memory))
        try group.set("memory.limit_in_bytes", "33554432")
        var spec = shell("exec python3 -c 'x = b\"x\" * 200000000'")
        spec.cgroup = CgroupSpec(
            procs: [group.procs],
            oom: CgroupOOM(path: "\(group.path)/memory.oom_control", kind: .v1),
            folders: [group.path]
        )
        let outcome = try #require(try LauncherDriver().run(spec).outcome)
        #expect(outcome.ending == .signaled(signal: SIGKILL))
        #expect(outcome.oomKills == 1)
        #expect(outcome.stop == nil)
        #expect(!group.isThere)
    }

    @Test(
        "cgroup.kill ends what is in the group",
        .enabled(if: unified != nil, "needs cgroup version 2 with cgroup.kill that we may use")
    )
    func cgroupKill() throws {
        let group = try TestCgroup(try #require(Self.unified))
        let mark = "36\(getpid())"
        var spec = shell("trap '' TERM; (setsid sleep \(mark) &); cat /proc/self/cgroup; exit 1")
        spec.cgroup = CgroupSpec(
            procs: [group.procs],
            kill: "\(group.path)/cgroup.kill",
            folders: [group.path]
        )
        let report = try LauncherDriver().run(spec)
        #expect(report.text.contains("bulkhead-test-"))
        #expect(report.outcome?.ending == .exited(code: 1))
        #expect(try processes(holding: "sleep\0\(mark)").isEmpty)
        #expect(!group.isThere)
    }

    @Test(
        "a kill before the exec is no fault of the handler's: the same launch may succeed",
        .enabled(if: unified != nil, "needs cgroup version 2 that we may use")
    )
    func killedBeforeExec() throws {
        let group = try TestCgroup(try #require(Self.unified))
        // Whoever enters it stands still, and can be killed.
        try group.set("cgroup.freeze", "1")
        var spec = shell("echo never")
        spec.cgroup = CgroupSpec(procs: [group.procs], folders: [group.path])
        let driver = try LauncherDriver()
        let attempt = try driver.launch(spec)
        var child: pid_t?
        while child == nil {
            usleep(1_000)
            child = ProcessTable.text(group.procs)?.split(separator: "\n").first.flatMap { pid_t($0) }
        }
        kill(try #require(child), SIGKILL)
        let refusal = try driver.collect(attempt).refusal
        #expect(refusal?.stage == .exec && refusal?.errno == EINTR)
        #expect(refusal?.detail.hasSuffix("by signal 9") == true)
        #expect(!group.isThere)
    }
}
