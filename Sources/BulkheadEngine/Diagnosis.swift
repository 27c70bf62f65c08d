import BulkheadCore
import BulkheadHost
import BulkheadPolicy
import BulkheadSandbox

/// What a host can and cannot hold: facts made into lines for people, and into a verdict.
public struct Diagnosis: Sendable, Equatable {
    /// How a feature stands.
    public enum State: String, Sendable {
        /// It is there.
        case present
        /// It is there in part, or something else stands in for it.
        case partly
        /// It is not there.
        case missing
    }

    /// One feature.
    public struct Finding: Sendable, Equatable {
        /// The feature, in a word or two.
        public var name: String
        /// How it stands.
        public var state: State
        /// What is there, and what it is needed for.
        public var text: String
        /// What to do where it is not there.
        public var advice: String?

        init(_ name: String, _ state: State, _ text: String, advice: String? = nil) {
            self.name = name
            self.state = state
            self.text = text
            self.advice = state == .present ? nil : advice
        }
    }

    let facts: HostFacts

    /// Judges a host.
    ///
    /// - Parameter facts: What it is like.
    public init(_ facts: HostFacts) { self.facts = facts }

    /// Every feature, what is needed most first.
    public var findings: [Finding] {
        [kernel, seccomp, listener, landlock, namespaces, users, memory, processes, memoryScratch, killing]
            + [state, disk, scratch, openFiles, database, units]
    }

    /// Why policies with `enforcement: required` and nothing else do not launch here; empty where they do.
    public var refusals: [String] { Self.refusals(facts.features, traceScope: facts.traceScope) }

    /// The same for a supervisor that runs as root with every capability.
    public var refusalsAsRoot: [String] {
        Self.refusals(facts.features.asRoot, traceScope: facts.traceScope)
    }

    /// The same for one that runs as an ordinary user.
    public var refusalsAsUser: [String] {
        let features = facts.features.asOrdinaryUser(givesUserNamespaces: facts.givesUserNamespaces)
        return Self.refusals(features, traceScope: facts.traceScope)
    }

    /// Decides by the rules that a launch obeys.
    private static func refusals(_ features: HostFeatures, traceScope: Int?) -> [String] {
        var reasons: [String] = []
        if !features.hasUserNotification {
            reasons.append("the kernel cannot hand denied calls to the launcher")
        }
        if let problem = listenerProblem(features, traceScope) { reasons.append(problem) }
        let policy = SandboxPolicy()
        guard let rules = try? SystemCallRules(policy) else {
            return reasons + ["the default policy is refused"]
        }
        let plan = LandlockPlan(
            policy: policy,
            rules: rules,
            paths: LaunchPaths(handler: "/", interpreter: nil, scratch: "/", plugins: "/"),
            user: features.canSwitchUsers ? .ownUser : features.isRoot ? .root : .sharedUser,
            abi: features.landlockABI,
            namespaces: NamespacePlan(Policy(), features: features)?.hold ?? [],
            files: FileView(kind: { _ in .folder }, entries: { _ in [] })
        )
        return reasons + plan.gaps.filter(\.refusesRequired).map(\.text)
    }

    /// The launcher takes the filter's listener from its child, which Yama and capabilities may forbid.
    private static func listenerProblem(_ features: HostFeatures, _ scope: Int?) -> String? {
        let mayTrace = features.has(.trace)
        if scope == 3 { return "kernel.yama.ptrace_scope is 3: nobody may take the filter's listener" }
        if scope == 2, !mayTrace { return "kernel.yama.ptrace_scope is 2, and CAP_SYS_PTRACE is missing" }
        if features.canSwitchUsers, !mayTrace {
            return
                "handlers get users of their own, and without CAP_SYS_PTRACE the launcher cannot take the filter's listener"
        }
        return nil
    }
}

extension Diagnosis {
    // MARK: The kernel

    private var kernel: Finding {
        Finding(
            "kernel",
            .present,
            "Linux \(facts.features.kernelRelease) on \(facts.features.architecture)"
        )
    }

    private var seccomp: Finding {
        facts.features.hasUserNotification
            ? Finding("seccomp", .present, "filters, and notifications by which a denied call is named")
            : Finding(
                "seccomp",
                .missing,
                "without filters and their notifications nothing but unconfined runs",
                advice:
                    "use Linux 5.0 or later with CONFIG_SECCOMP_FILTER; in a container, allow the call seccomp"
            )
    }

    private var listener: Finding {
        if let problem = Self.listenerProblem(facts.features, facts.traceScope) {
            return Finding(
                "naming denied calls",
                .missing,
                problem,
                advice: facts.traceScope.map { $0 > 1 } == true
                    ? "run sysctl kernel.yama.ptrace_scope=1" : "give the container CAP_SYS_PTRACE"
            )
        }
        return Finding(
            "naming denied calls",
            .present,
            "the launcher may take a filter's listener (pidfd_getfd)"
        )
    }

    /// What each ABI of Landlock brought, by its number, and the kernel that has it.
    private static let landlockSteps: [(abi: Int, what: String, kernel: String)] = [
        (1, "file rules", "Linux 5.13"), (2, "moves between folders", "Linux 5.19"),
        (3, "truncation", "Linux 6.2"),
        (4, "TCP ports", "Linux 6.7"), (5, "device control", "Linux 6.10"),
        (6, "signals and abstract sockets", "Linux 6.12"),
        (9, "Unix sockets by path", "a later kernel"),
    ]

    private var landlock: Finding {
        let abi = facts.features.landlockABI
        let has = Self.landlockSteps.filter { $0.abi <= abi }.map(\.what)
        let lacks = Self.landlockSteps.filter { $0.abi > abi }.map {
            "\($0.what) (ABI \($0.abi), \($0.kernel))"
        }
        guard abi > 0 else {
            return Finding(
                "Landlock",
                .missing,
                "no file rules: ordinary permissions alone would bound what handlers read and write",
                advice:
                    "use Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK and landlock in the kernel's lsm= list"
            )
        }
        let rest = lacks.isEmpty ? "" : "; not yet: " + lacks.joined(separator: ", ")
        // Unix sockets by path are kept out by the filter, so that their lack alone loses nothing.
        return Finding(
            "Landlock",
            abi >= 6 ? .present : .partly,
            "ABI \(abi): \(has.joined(separator: ", "))\(rest)",
            advice: namespacesHoldFiles
                ? "none needed: namespaces hold the rest"
                : "a later kernel; until then tasks say in their warnings what is open"
        )
    }

    // MARK: Users and groups

    private var users: Finding {
        let features = facts.features
        if features.canSwitchUsers {
            return Finding(
                "users",
                .present,
                "each attempt gets a user of its own; an ordinary user's handlers would share that user"
            )
        }
        let missing = [(Capability.chown, "CAP_CHOWN"), (.setGID, "CAP_SETGID"), (.setUID, "CAP_SETUID")]
            .filter { !features.has($0.0) }.map(\.1)
        return Finding(
            "users",
            .partly,
            features.isRoot
                ? "root without \(missing.joined(separator: ", ")): handlers run as root without capabilities"
                : "handlers share the supervisor's user; as root each attempt would get one of its own",
            advice: features.isRoot ? "give the container these capabilities" : "run the supervisor as root"
        )
    }

    private func group(_ name: String, _ holds: Bool, _ controller: String) -> Finding {
        guard !holds else {
            return Finding(
                "limits.\(name)",
                .present,
                "control groups with the controller \(controller) can be made"
            )
        }
        return Finding(
            "limits.\(name)",
            .missing,
            "no control group with the controller \(controller) can be made: policies that name this limit refuse to launch",
            advice: facts.features.isRoot
                ? "in a container, mount /sys/fs/cgroup writable (with a cgroup namespace of its own)"
                : "run as root, or in a systemd unit with Delegate=yes"
        )
    }

    private var memory: Finding { group("memory", facts.cgroups.holdsMemory, "memory") }
    private var processes: Finding {
        guard !facts.cgroups.holdsProcesses, namespacesHoldProcesses else {
            return group("processes", facts.cgroups.holdsProcesses, "pids")
        }
        return Finding("limits.processes", .present, "counted in each task's user namespace (RLIMIT_NPROC)")
    }

    private var killing: Finding {
        guard facts.features.namespaces == nil else {
            return Finding(
                "ending trees",
                .present,
                "a task's processes end with the first of their pid namespace, which ends with the launcher"
            )
        }
        return facts.cgroups.canMakeUnified
            ? Finding(
                "ending trees",
                .present,
                "cgroup.kill ends a task's processes at once, whatever they do"
            )
            : Finding(
                "ending trees",
                .partly,
                "no version 2 control groups: the launcher finds and kills a task's processes one by one",
                advice: "mount the version 2 hierarchy writable"
            )
    }

    // MARK: Folders

    private var state: Finding {
        let folder = facts.state
        let place = "\(folder.path) (\(folder.type ?? "unknown file system"))"
        if let problem = folder.problem { return Finding("state folder", .missing, problem) }
        if folder.isOnNetwork || !folder.isWritable {
            let why =
                folder.isOnNetwork
                ? "a network file system keeps neither locks nor a database" : "it is read-only"
            return Finding(
                "state folder",
                .missing,
                "\(place): \(why)",
                advice: "choose a folder on a local disk with --state"
            )
        }
        if folder.isCopyOnWrite || folder.isMemory {
            let why =
                folder.isMemory
                ? "memory: tasks do not survive a reboot"
                : "copy-on-write: the reserve for final results cannot be held when the disk is full"
            return Finding(
                "state folder",
                .partly,
                "\(place): \(why)",
                advice: "use ext4 or xfs for the state folder"
            )
        }
        return Finding("state folder", .present, place)
    }

    private var disk: Finding {
        let free = facts.state.freeBytes
        let unit: Int64 = free < 10 << 30 ? 1 << 20 : 1 << 30
        let text = "\(Quantities.text(bytes: free / unit * unit)) free for the database"
        guard free < Self.littleDisk else { return Finding("disk", .present, text) }
        return Finding("disk", free < Self.leastDisk ? .missing : .partly, text, advice: "make room there")
    }

    /// What the spool's cap and its log need by default, and what a start needs.
    private static let littleDisk: Int64 = 256 << 20
    private static let leastDisk: Int64 = 16 << 20

    private var scratch: Finding {
        let folder = facts.scratch
        let place = "\(folder.path) (\(folder.type ?? "unknown file system"))"
        let problem =
            folder.problem
            ?? (folder.isExecutable ? nil : "\(place) is mounted noexec: handlers cannot run from it")
            ?? (folder.isWritable ? nil : "\(place) is read-only")
        if let problem {
            return Finding(
                "scratch",
                .missing,
                problem,
                advice: "choose another folder with the setting scratch"
            )
        }
        guard folder.isMemory else { return Finding("scratch", .present, place) }
        return Finding(
            "scratch",
            .partly,
            "\(place): what handlers write is memory",
            advice: "choose a folder on a disk"
        )
    }

    // MARK: Programs

    private var openFiles: Finding {
        let (soft, hard) = facts.openFiles
        let text =
            "a supervisor may open \(hard) files (its limit is \(soft) now, and is raised at its start)"
        return hard >= 4_096
            ? Finding("open files", .present, text)
            : Finding("open files", .partly, text, advice: "raise it: ulimit -Hn, or LimitNOFILE in the unit")
    }

    private var database: Finding {
        guard Self.hasWALResetBug(facts.database) else { return Finding("SQLite", .present, facts.database) }
        return Finding(
            "SQLite",
            .partly,
            "\(facts.database) has the WAL-reset bug, which needs two writers; Bulkhead has one",
            advice: "open the database by no other program that writes while the supervisor runs"
        )
    }

    /// Whether a version has the bug: from 3.7.0 to 3.51.2, but for 3.44.6 and 3.50.7 (sqlite.org/wal.html).
    static func hasWALResetBug(_ version: String) -> Bool {
        let parts = version.split(separator: ".").compactMap { Int($0) }
        guard parts.count >= 3, parts[0] == 3, parts[1] >= 7 else { return false }
        switch parts[1] {
        case 44: return parts[2] < 6
        case 50: return parts[2] < 7
        case 51: return parts[2] < 3
        default: return parts[1] < 51
        }
    }

    private var units: Finding {
        guard facts.hasSystemd else {
            return Finding(
                "systemd",
                .partly,
                "it does not run this host; whoever starts the supervisor must restart it"
            )
        }
        return facts.units.count == 2
            ? Finding("systemd", .present, "\(facts.units.joined(separator: " and ")) are installed")
            : Finding(
                "systemd",
                .partly,
                "Bulkhead's units are not installed",
                advice: "run scripts/install, or keep starting bulkhead serve yourself"
            )
    }
}

/// Capabilities that decide something (capabilities(7)), by their number.
enum Capability: UInt64 {
    case chown = 0
    case setGID = 6
    case setUID = 7
    case trace = 19
}

extension HostFeatures {
    /// Whether the supervisor has a capability.
    func has(_ capability: Capability) -> Bool { capabilities & (1 << capability.rawValue) != 0 }
}
