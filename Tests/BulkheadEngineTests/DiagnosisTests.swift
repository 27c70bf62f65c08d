import BulkheadHost
import BulkheadLaunch
import Testing

@testable import BulkheadEngine

@Suite("Diagnosis") struct DiagnosisTests {
    private static let allCapabilities: UInt64 = (1 << 41) - 1

    /// A host on which all is well, as root.
    private func host(_ change: (inout HostFacts) -> Void = { _ in }) -> Diagnosis {
        var facts = HostFacts(
            features: HostFeatures(
                user: 0,
                capabilities: Self.allCapabilities,
                kernelRelease: "6.18.1",
                architecture: "x86_64",
                landlockABI: 7,
                hasUserNotification: true,
                cgroups: CgroupLayout(),
                namespaceReports: NamespaceMeans.allCases.map { NamespaceReport(means: $0) }
            ),
            cgroups: CgroupFacts(canMakeUnified: true, controllers: ["memory", "pids", "cpu"]),
            traceScope: 1,
            openFiles: (soft: 1_024, hard: 524_288),
            database: "3.51.3",
            state: FolderFacts(path: "/var/lib/bulkhead", type: "ext4", freeBytes: 10 << 30),
            scratch: FolderFacts(path: "/var/lib/bulkhead-scratch", type: "ext4", freeBytes: 10 << 30),
            hasSystemd: true,
            units: ["bulkhead.service", "bulkhead-tasks.service"]
        )
        change(&facts)
        return Diagnosis(facts)
    }

    private func state(_ diagnosis: Diagnosis, _ name: String) -> Diagnosis.State? {
        diagnosis.findings.first { $0.name == name }?.state
    }

    /// What the launcher tells where it has no right of its own to namespaces.
    private static let refused = NamespaceReport(means: .direct, failures: [.ipc: 1, .mounts: 1, .pid: 1])

    private static func becomeOrdinary(_ facts: inout HostFacts) {
        facts.features.user = 1_000
        facts.features.capabilities = 0
        facts.features.namespaceReports[0] = refused
        facts.cgroups = CgroupFacts()
        facts.state.path = "/home/a/.bulkhead"
    }

    @Test("root on a later kernel has everything, and required policies launch")
    func root() {
        let diagnosis = host()
        #expect(diagnosis.findings.allSatisfy { $0.state == .present }, "\(diagnosis.findings)")
        #expect(diagnosis.findings.allSatisfy { $0.advice == nil })
        #expect(diagnosis.refusals.isEmpty && diagnosis.refusalsAsUser.isEmpty)
    }

    @Test("an ordinary user launches too, without users and groups of its handlers' own")
    func ordinary() {
        let diagnosis = host(Self.becomeOrdinary)
        #expect(diagnosis.refusals.isEmpty && diagnosis.refusalsAsRoot.isEmpty)
        #expect(state(diagnosis, "users") == .partly)
        #expect(state(diagnosis, "limits.memory") == .missing)
        // Its processes are counted in its user namespace.
        #expect(state(diagnosis, "limits.processes") == .present)
        #expect(diagnosis.findings.filter { $0.state != .present }.allSatisfy { $0.advice != nil })
    }

    @Test(
        "a stock Debian 12 (6.1, Landlock 2) launches, as root and as an ordinary user",
        arguments: [true, false]
    )
    func debian12(asRoot: Bool) {
        let diagnosis = host { facts in
            facts.features.kernelRelease = "6.1.0-18-amd64"
            facts.features.landlockABI = 2
            facts.database = "3.40.1"
            if !asRoot { Self.becomeOrdinary(&facts) }
        }
        #expect(diagnosis.refusals.isEmpty)
        #expect(state(diagnosis, "Landlock") == .partly && state(diagnosis, "SQLite") == .partly)
        let landlock = diagnosis.findings.first { $0.name == "Landlock" }
        #expect(landlock?.text.contains("truncation (ABI 3, Linux 6.2)") == true)
    }

    @Test("root in a container without capabilities launches, with handlers as root without rights")
    func container() {
        let diagnosis = host { facts in
            facts.features.capabilities = 0
            facts.features.namespaceReports = [
                Self.refused, NamespaceReport(means: .user, failures: [.user: 1]),
            ]
            facts.cgroups = CgroupFacts()
            facts.hasSystemd = false
            facts.units = []
        }
        #expect(diagnosis.refusals.isEmpty)
        let users = diagnosis.findings.first { $0.name == "users" }
        #expect(users?.state == .partly && users?.text.contains("CAP_SETUID") == true)
        #expect(state(diagnosis, "systemd") == .partly)
        #expect(
            state(diagnosis, "namespaces") == .missing && state(diagnosis, "limits.scratch") == .missing
        )
    }

    @Test("where ordinary users get no user namespace, an older Landlock alone does not do for them")
    func noUserNamespaces() {
        let debian = host { facts in
            facts.features.landlockABI = 2
            facts.givesUserNamespaces = false
        }
        #expect(debian.refusals.isEmpty && debian.refusalsAsRoot.isEmpty)
        #expect(debian.refusalsAsUser.contains { $0.contains("needs a pid namespace") })
        #expect(debian.refusalsAsUser.contains { $0.contains("needs a mount namespace") })
        let itself = host { facts in
            Self.becomeOrdinary(&facts)
            facts.features.landlockABI = 2
            facts.features.namespaceReports[1].failures[.user] = 28
        }
        #expect(itself.refusals == debian.refusalsAsUser && itself.refusalsAsRoot.isEmpty)
        let namespaces = itself.findings.first { $0.name == "namespaces" }
        #expect(namespaces?.text.contains("in a user namespace: errno 28") == true)
        #expect(namespaces?.advice?.contains("user.max_user_namespaces") == true)
        #expect(state(itself, "limits.processes") == .missing)
    }

    @Test("that root cannot be mapped in a user namespace says nothing of an ordinary user")
    func rootsUserNamespace() {
        let debian = host { facts in
            facts.features.landlockABI = 2
            facts.features.namespaceReports[1].failures[.user] = 1
        }
        #expect(debian.refusals.isEmpty && debian.refusalsAsUser.isEmpty, "\(debian.refusalsAsUser)")
        let closed = host { facts in
            facts.features.landlockABI = 2
            facts.features.namespaceReports[0].failures[.mounts] = 1
        }
        #expect(closed.refusalsAsUser.contains { $0.contains("needs a mount namespace") })
    }

    @Test("a container that forbids a new /proc gives the other namespaces, and says so")
    func noProc() {
        let diagnosis = host { $0.features.namespaceReports[0].failures[.proc] = 1 }
        let namespaces = diagnosis.findings.first { $0.name == "namespaces" }
        #expect(namespaces?.state == .partly && namespaces?.text.hasSuffix("not: /proc (errno 1)") == true)
        #expect(diagnosis.refusals.isEmpty && state(diagnosis, "limits.scratch") == .present)
    }

    @Test("without CAP_SYS_PTRACE a root that gives users launches nothing, and says why")
    func noTrace() {
        let diagnosis = host { $0.features.capabilities = Self.allCapabilities & ~(1 << 19) }
        #expect(diagnosis.refusals.count == 1 && diagnosis.refusals[0].contains("CAP_SYS_PTRACE"))
        #expect(state(diagnosis, "naming denied calls") == .missing)
        #expect(diagnosis.refusalsAsUser.isEmpty && diagnosis.refusalsAsRoot.isEmpty)
    }

    @Test("Yama's stricter scopes forbid what the launcher needs")
    func yama() {
        let scoped = host {
            Self.becomeOrdinary(&$0)
            $0.traceScope = 2
        }
        #expect(!scoped.refusals.isEmpty && scoped.refusalsAsRoot.isEmpty)
        let closed = host { $0.traceScope = 3 }
        #expect(!closed.refusals.isEmpty && !closed.refusalsAsUser.isEmpty)
        #expect(host { $0.traceScope = nil }.refusals.isEmpty)
    }

    @Test("without seccomp, or with neither Landlock nor namespaces, required policies do not launch")
    func lacking() {
        let seccomp = host { $0.features.hasUserNotification = false }
        #expect(!seccomp.refusals.isEmpty && state(seccomp, "seccomp") == .missing)
        let landlock = host {
            $0.features.landlockABI = 0
            $0.features.namespaceReports = [Self.refused]
        }
        #expect(!landlock.refusals.isEmpty && state(landlock, "Landlock") == .missing)
        // A mount namespace in which only the allowed files exist does as well.
        #expect(host { $0.features.landlockABI = 0 }.refusals.isEmpty)
    }

    @Test("folders that cannot serve are said, with the way out")
    func folders() {
        let network = host { $0.state.type = "nfs4" }
        #expect(state(network, "state folder") == .missing)
        #expect(state(host { $0.state.type = "btrfs" }, "state folder") == .partly)
        #expect(state(host { $0.state.type = "tmpfs" }, "state folder") == .partly)
        #expect(state(host { $0.state.problem = "open to others" }, "state folder") == .missing)
        #expect(state(host { $0.state.freeBytes = 100 << 20 }, "disk") == .partly)
        #expect(state(host { $0.state.freeBytes = 1 << 20 }, "disk") == .missing)
        #expect(state(host { $0.scratch.isExecutable = false }, "scratch") == .missing)
        #expect(state(host { $0.scratch.type = "tmpfs" }, "scratch") == .partly)
        #expect(state(host { $0.openFiles = (256, 1_024) }, "open files") == .partly)
    }

    @Test("version 1 control groups hold limits too, one by one")
    func cgroups() {
        let mixed = host {
            $0.cgroups = CgroupFacts(canMakeUnified: true, controllers: ["pids"], canMakeMemory: true)
        }
        #expect(state(mixed, "limits.memory") == .present && state(mixed, "limits.processes") == .present)
        let half = host {
            $0.cgroups = CgroupFacts(canMakeProcesses: true)
            $0.features.namespaceReports = []
        }
        #expect(state(half, "limits.memory") == .missing && state(half, "limits.processes") == .present)
        #expect(state(half, "ending trees") == .partly)
    }

    @Test(
        "the versions of SQLite with the WAL-reset bug are known",
        arguments: [
            ("3.40.1", true), ("3.44.5", true), ("3.44.6", false), ("3.50.6", true), ("3.50.7", false),
            ("3.51.2", true), ("3.51.3", false), ("3.53.0", false), ("3.6.23", false), ("4.0.0", false),
        ]
    )
    func walReset(version: String, hasBug: Bool) {
        #expect(Diagnosis.hasWALResetBug(version) == hasBug)
    }
}
