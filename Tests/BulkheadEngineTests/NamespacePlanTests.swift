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

@Suite("FileLayout")
struct FileLayoutTests {
    /// A host with a merged /usr, a linked /var/run and a linked data folder.
    static let host = FileView(
        kind: { path in
            ["/lib32", "/libx32", "/opt"].contains(path) ? nil : path.hasPrefix("/dev/null") ? .file : .folder
        },
        entries: { _ in [] },
        link: { path in
            switch path {
            case "/bin", "/lib", "/lib64", "/sbin": "usr" + path
            case "/var/run": "/run"
            case "/data": "/srv/disk/../disk"
            case "/loop": "loop"
            default: nil
            }
        }
    )

    private func steps(_ build: (inout FileLayout) -> Void) -> MountSpec {
        var layout = FileLayout(files: Self.host)
        build(&layout)
        return layout.spec(last: [])
    }

    @Test("links are made anew, and what they lead to is shown at its own place")
    func links() {
        let spec = steps { layout in
            layout.show("/usr", .execute)
            layout.show("/bin", .execute)
            layout.show("/data/in", .write)
            layout.show("/var/run/x", .read)
        }
        #expect(
            spec
                == MountSpec(
                    base: .empty,
                    steps: [
                        .link(path: "/bin", target: "usr/bin"),
                        .link(path: "/data", target: "/srv/disk/../disk"),
                        .bind(path: "/usr", access: .execute, optional: false),
                        .bind(path: "/run/x", access: .read, optional: false),
                        .link(path: "/var/run", target: "/run"),
                        .bind(path: "/srv/disk/in", access: .write, optional: false),
                    ]
                )
        )
    }

    @Test("what lies in something shown with the same rights needs no mount, with more rights it does")
    func nested() {
        let spec = steps { layout in
            layout.show("/usr", .execute)
            layout.show("/usr/share/fonts", .read)
            layout.show("/usr/local/out", .write)
            layout.show("/usr/local/out/more", .write)
        }
        #expect(
            spec.steps == [
                .bind(path: "/usr", access: .execute, optional: false),
                .bind(path: "/usr/local/out", access: .write, optional: false),
            ]
        )
    }

    @Test("a hidden folder is covered only where it would be seen, and what is needed in it is shown again")
    func hidden() {
        let spec = steps { layout in
            layout.show("/srv", .read)
            layout.show("/srv/state/scratch/1", .write)
            layout.hide("/srv/state/scratch")
            layout.hide("/srv/state")
            layout.hide("/var/lib/other")
        }
        #expect(
            spec.steps == [
                .bind(path: "/srv", access: .read, optional: false), .cover(path: "/srv/state"),
                .bind(path: "/srv/state/scratch/1", access: .write, optional: false),
            ]
        )
    }

    @Test("the root folder means the host as it is, written only where that is asked for")
    func root() {
        let reading = steps { layout in
            layout.show("/", .read)
            layout.show("/usr", .execute)
            layout.show("/dev/null", .device)
            layout.show("/srv/out", .write)
        }
        #expect(reading.base == .readOnlyHost)
        #expect(reading.steps == [.bind(path: "/srv/out", access: .write, optional: false)])
        #expect(steps { $0.show("/", .write) }.base == .host)
    }

    @Test("links that lead in a circle end the following")
    func circle() {
        #expect(!steps { $0.show("/loop/x", .read) }.steps.isEmpty)
    }

    @Test(
        "memory has entries for its bytes, within bounds",
        arguments: [(65536, 64), (1 << 30, 262144), (1 << 48, 1_048_576)]
    )
    func inodes(bytes: Int64, inodes: UInt64) {
        let spec = steps { $0.putMemory("/m", bytes: bytes, isOwned: true) }
        #expect(spec.steps == [.memory(path: "/m", bytes: UInt64(bytes), inodes: inodes, isOwned: true)])
    }
}

extension Array {
    /// The elements at the end for which something holds.
    fileprivate func suffix(where holds: (Element) -> Bool) -> [Element] {
        reversed().prefix(while: holds).reversed()
    }
}
