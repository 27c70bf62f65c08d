import BulkheadHost
import BulkheadLaunch
import BulkheadPolicy
import BulkheadSandbox
import Testing

@testable import BulkheadEngine

@Suite("NamespacePlan")
struct NamespacePlanTests {
    private static let paths = LaunchPaths(
        handler: "/var/tmp/b/handlers/SHA/copy",
        interpreter: nil,
        scratch: "/var/tmp/b/tasks/1",
        plugins: "/srv/plugins"
    )

    private static let hidden = ["/var/lib/bulkhead", "/var/tmp/b/tasks"]

    private static let procEntries = [
        ("kallsyms", false), ("cpuinfo", false), ("acpi", true), ("sys", true), ("acpi/wakeup", false),
        ("sys/kernel", true), ("sys/vm", true),
    ].map { ProcEntry(path: "/proc/" + $0.0, isFolder: $0.1) }

    private func features(
        user: UInt32 = 1000,
        capabilities: UInt64 = 0,
        release: String = "6.1.0",
        _ reports: [NamespaceReport]
    ) -> HostFeatures {
        HostFeatures(
            user: user,
            capabilities: capabilities,
            kernelRelease: release,
            architecture: "x86_64",
            landlockABI: 2,
            hasUserNotification: true,
            cgroups: CgroupLayout(),
            namespaceReports: reports,
            procEntries: Self.procEntries
        )
    }

    private func spec(
        _ policy: Policy,
        _ features: HostFeatures,
        processes: Int? = nil
    ) throws -> NamespaceSpec? {
        guard let plan = NamespacePlan(policy, features: features) else { return nil }
        let rules = try SystemCallRules(policy.sandbox)
        let files = LandlockPlan(
            policy: policy.sandbox,
            rules: rules,
            paths: Self.paths,
            user: .sharedUser,
            abi: features.landlockABI,
            namespaces: plan.hold,
            files: FileLayoutTests.host
        )
        return plan.spec(
            rules: rules,
            files: files,
            paths: Self.paths,
            hidden: Self.hidden,
            processes: processes,
            files: FileLayoutTests.host
        )
    }

    @Test("root takes its own rights, an ordinary user a user namespace, and both get all of it")
    func means() throws {
        let everything = NamespaceMeans.allCases.map { NamespaceReport(means: $0) }
        let root = try #require(try spec(Policy(), features(user: 0, capabilities: .max, everything)))
        #expect(!root.inUserNamespace && root.hasNetwork && !root.hasIPC)
        let refused = NamespaceReport(means: .direct, failures: [.pid: 1])
        let user = try #require(try spec(Policy(), features([refused, NamespaceReport(means: .user)])))
        #expect(user.inUserNamespace && user.hasNetwork && user.mounts?.base == .empty)
        #expect(user.mounts?.steps.contains(.offer(path: "/srv/plugins", access: .execute)) == true)
        #expect(user.mounts?.steps.contains(.proc) == true)
        #expect(try spec(Policy(), features([refused])) == nil)
        let switching = features(user: 0, capabilities: 0xC1, [refused, NamespaceReport(means: .user)])
        #expect(try spec(Policy(), switching) == nil)
    }

    @Test("a host without one of them gives the others")
    func parts() throws {
        let report = NamespaceReport(means: .user, failures: [.proc: 1, .network: 1])
        let plan = try #require(NamespacePlan(Policy(), features: features([report])))
        #expect(plan.hold == [.processes, .files, .sharedMemory])
        let spec = try #require(try spec(Policy(), features([report])))
        #expect(!spec.hasNetwork && spec.mounts?.steps.contains(.proc) == false)
        #expect(
            spec.mounts?.steps.contains(.bind(path: "/proc", access: .execute, optional: false)) == true
        )
        #expect(plan.words(spec) == "namespaces user pid mount")
        let bare = NamespaceReport(means: .user, failures: [.mounts: 1])
        #expect(NamespacePlan(Policy(), features: features([bare]))?.hold == [.processes, .network])
        #expect(NamespacePlan(Policy(), features: features([bare]))?.holdsScratch == false)
    }

    @Test(
        "only what may be kept beyond a process's end asks for an ipc namespace, and only none for a network's"
    )
    func ipcAndNetwork() throws {
        let host = features([NamespaceReport(means: .direct)])
        var policy = Policy()
        policy.sandbox.allow = [.name("shmget")]
        #expect(try spec(policy, host)?.hasIPC == true)
        policy.sandbox.network = .host
        #expect(try spec(policy, host)?.hasNetwork == false)
        policy.sandbox.preset = .unconfined
        #expect(try spec(policy, host)?.hasIPC == true)
    }

    @Test(
        "processes are counted in a user namespace, with its first process, since Linux 5.14 and not for root"
    )
    func processes() throws {
        let user = [NamespaceReport(means: .user)]
        #expect(try spec(Policy(), features(user), processes: 64)?.processes == 65)
        #expect(try spec(Policy(), features(release: "5.10.0", user), processes: 64)?.processes == nil)
        #expect(try spec(Policy(), features(user: 0, user), processes: 64)?.processes == nil)
        let direct = [NamespaceReport(means: .direct)]
        #expect(try spec(Policy(), features(direct), processes: 64)?.processes == nil)
    }

    @Test("a bounded scratch folder is memory, with entries for its bytes")
    func scratch() throws {
        var policy = Policy()
        policy.limits.scratch = 256 << 20
        let steps = try #require(try spec(policy, features([NamespaceReport(means: .user)]))?.mounts?.steps)
        let memory = MountStep.memory(
            path: Self.paths.scratch,
            bytes: 256 << 20,
            inodes: 65536,
            isOwned: true
        )
        #expect(steps.contains(memory))
        #expect(!steps.contains { if case .bind(Self.paths.scratch, _, _) = $0 { true } else { false } })
    }

    @Test("of the machine /proc tells what the policy gives and nothing else, folders hidden first")
    func machineFacts() throws {
        let host = features([NamespaceReport(means: .user)])
        func masks(_ policy: Policy) throws -> [MountStep] {
            let steps = try #require(try spec(policy, host)?.mounts?.steps)
            return steps.suffix(where: { if case .mask = $0 { true } else { false } })
        }
        var policy = Policy()
        let (acpi, vm) = (
            MountStep.mask(path: "/proc/acpi", isFolder: true),
            MountStep.mask(path: "/proc/sys/vm", isFolder: true)
        )
        let kallsyms = MountStep.mask(path: "/proc/kallsyms", isFolder: false)
        #expect(try masks(policy) == [acpi, vm, kallsyms])
        policy.sandbox.read = ["/proc/sys/vm", "/proc/acpi/other"]
        #expect(try masks(policy) == [kallsyms, .mask(path: "/proc/acpi/wakeup", isFolder: false)])
        policy.sandbox.read = ["/proc"]
        #expect(try masks(policy).isEmpty)
        policy = Policy()
        policy.sandbox.preset = .unconfined
        #expect(try masks(policy).isEmpty)
    }

    @Test("unconfined sees the host, but not the database nor other tasks' folders, and its own")
    func unconfined() throws {
        var policy = Policy()
        policy.sandbox.preset = .unconfined
        let mounts = try #require(try spec(policy, features([NamespaceReport(means: .direct)]))?.mounts)
        #expect(mounts.base == .host)
        #expect(
            mounts.steps == [
                .cover(path: "/var/lib/bulkhead"), .cover(path: "/var/tmp/b/tasks"),
                .bind(path: "/var/tmp/b/tasks/1", access: .write, optional: false), .proc,
            ]
        )
    }
}

extension Array {
    /// The elements at the end for which something holds.
    fileprivate func suffix(where holds: (Element) -> Bool) -> [Element] {
        reversed().prefix(while: holds).reversed()
    }
}
