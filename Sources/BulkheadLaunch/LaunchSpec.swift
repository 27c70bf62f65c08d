/// The user and group under which a handler runs, as numbers.
public struct LaunchUser: Sendable, Equatable {
    /// Real, effective and saved user id.
    public var uid: UInt32
    /// Real, effective and saved group id; there are no others.
    public var gid: UInt32

    /// Makes a user from its numbers.
    public init(uid: UInt32, gid: UInt32) {
        self.uid = uid
        self.gid = gid
    }
}

/// One Landlock rule: what may be done at and below a path.
public struct LandlockRule: Sendable, Equatable {
    /// Absolute path, opened by the child as the handler's user.
    public var path: String
    /// `LANDLOCK_ACCESS_FS_*` bits; those that a plain file cannot have are dropped when the path is one.
    public var access: UInt64
    /// Whether a path that cannot be opened is passed over instead of refusing the launch.
    public var optional: Bool

    /// Makes a rule from its fields.
    public init(path: String, access: UInt64, optional: Bool = false) {
        self.path = path
        self.access = access
        self.optional = optional
    }
}

/// The Landlock domain of a handler.
public struct LandlockSpec: Sendable, Equatable {
    /// `LANDLOCK_ACCESS_FS_*` bits that are denied wherever no rule allows them.
    public var handledAccess: UInt64
    /// `LANDLOCK_ACCESS_NET_*` bits that are denied; needs ABI 4.
    public var handledNetwork: UInt64
    /// `LANDLOCK_SCOPE_*` bits; needs ABI 6.
    public var scoped: UInt64
    /// What is allowed.
    public var rules: [LandlockRule]
    /// Whether the child adds its own /proc/PID, readable.
    public var allowOwnProc: Bool

    /// Makes a domain from its fields.
    public init(
        handledAccess: UInt64,
        handledNetwork: UInt64 = 0,
        scoped: UInt64 = 0,
        rules: [LandlockRule] = [],
        allowOwnProc: Bool = false
    ) {
        self.handledAccess = handledAccess
        self.handledNetwork = handledNetwork
        self.scoped = scoped
        self.rules = rules
        self.allowOwnProc = allowOwnProc
    }
}

/// What happens at a denied system call that the filter hands to the launcher.
public enum DeniedAction: Sendable, Equatable {
    /// The call fails with this errno.
    case errno(Int32)
    /// The whole tree is killed at the first one.
    case kill
    /// The call goes through, but for those of the held numbers, which fail with the errno.
    case audit(errno: Int32, held: [UInt32])
}

/// How one condition on an argument compares; the arguments are unsigned.
public enum DenialComparison: UInt8, Sendable, Equatable, CaseIterable {
    case equal = 1
    case notEqual = 2
    case less = 3
    case lessOrEqual = 4
    case greater = 5
    case greaterOrEqual = 6
}

/// A condition on one argument of a denied call: those of its bits that a mask keeps, compared with a value.
public struct DenialCondition: Sendable, Equatable {
    /// The argument, from 0 to 5.
    public var index: UInt8
    /// How it compares.
    public var comparison: DenialComparison
    /// The bits that count.
    public var mask: UInt64
    /// With what they are compared.
    public var value: UInt64

    /// Makes a condition from its fields.
    public init(index: UInt8, comparison: DenialComparison, mask: UInt64, value: UInt64) {
        self.index = index
        self.comparison = comparison
        self.mask = mask
        self.value = value
    }

    func holds(for arguments: [UInt64]) -> Bool {
        let bits = arguments[Int(index)] & mask
        return switch comparison {
        case .equal: bits == value
        case .notEqual: bits != value
        case .less: bits < value
        case .lessOrEqual: bits <= value
        case .greater: bits > value
        case .greaterOrEqual: bits >= value
        }
    }
}

/// What one denied call meets, where that is not what every denied call meets.
public struct DenialAnswer: Sendable, Equatable {
    /// The system call's number.
    public var number: UInt32
    /// The conditions on its arguments, which must all hold; without any it is answered so in any case.
    public var conditions: [DenialCondition]
    /// What happens to it.
    public var action: DeniedAction

    /// Makes an answer from its fields.
    public init(number: UInt32, conditions: [DenialCondition] = [], action: DeniedAction) {
        self.number = number
        self.conditions = conditions
        self.action = action
    }
}

/// A cgroup file that counts kills by the out-of-memory killer in a line `oom_kill N`.
public struct CgroupOOM: Sendable, Equatable {
    /// Which of the two cgroup versions the file belongs to.
    public enum Kind: UInt8, Sendable, Equatable, CaseIterable {
        /// `memory.oom_control`.
        case v1 = 1
        /// `memory.events`.
        case v2 = 2
    }

    /// Absolute path of the file.
    public var path: String
    /// The version it belongs to.
    public var kind: Kind

    /// Makes a counter from its fields.
    public init(path: String, kind: Kind) {
        self.path = path
        self.kind = kind
    }
}

/// The cgroups of an attempt, made by the supervisor.
public struct CgroupSpec: Sendable, Equatable {
    /// `cgroup.procs` files into which the child writes itself before it drops its user.
    public var procs: [String]
    /// The `cgroup.kill` file, where there is one.
    public var kill: String?
    /// The counter of out-of-memory kills, where there is one.
    public var oom: CgroupOOM?
    /// Folders that the launcher removes once the tree has ended.
    public var folders: [String]

    /// Makes the cgroups of an attempt; without arguments there are none.
    public init(procs: [String] = [], kill: String? = nil, oom: CgroupOOM? = nil, folders: [String] = []) {
        self.procs = procs
        self.kill = kill
        self.oom = oom
        self.folders = folders
    }
}

/// The system call filter of a handler.
public struct FilterSpec: Sendable, Equatable {
    /// A raw `sock_filter` array, eight bytes an instruction in the machine's order; empty: no filter.
    public var program: [UInt8]
    /// Whether the program answers calls, the rendezvous number among them, by `SECCOMP_RET_USER_NOTIF`.
    public var hasListener: Bool
    /// Whether `execve` is answered by notification, so that only the launcher's own exec goes through.
    public var firstExecNotified: Bool
    /// What a denied call that is answered by notification meets.
    public var onDenied: DeniedAction
    /// The denied calls that meet something else; the first that fits decides.
    public var answers: [DenialAnswer]
    /// Denied calls after which the attempt is ended.
    public var deniedLimit: UInt64

    /// Makes a filter from its fields; without arguments there is none.
    public init(
        program: [UInt8] = [],
        hasListener: Bool = false,
        firstExecNotified: Bool = false,
        onDenied: DeniedAction = .errno(1),
        answers: [DenialAnswer] = [],
        deniedLimit: UInt64 = LaunchLimits.deniedCalls
    ) {
        self.program = program
        self.hasListener = hasListener
        self.firstExecNotified = firstExecNotified
        self.onDenied = onDenied
        self.answers = answers
        self.deniedLimit = deniedLimit
    }
}

/// Everything that a launcher needs to run one attempt.
///
/// Core size is always 0, capabilities are always dropped and `no_new_privs` is always set: no spec can
/// say otherwise.
public struct LaunchSpec: Sendable, Equatable {
    /// Number of the attempt; must be that of the `launch` message.
    public var attempt: UInt64
    /// The task's id, which goes into the record of an end that nobody heard of.
    public var task: String = ""
    /// Absolute path of the file to execute.
    public var executable: String
    /// The whole argument vector, `argv[0]` included.
    public var arguments: [String]
    /// The whole environment, each `NAME=value`.
    public var environment: [String]
    /// Absolute path of the handler's working folder.
    public var workingFolder: String
    /// Nanoseconds from the exec to the stop with reason `timeout`; 0: none.
    public var timeoutNanoseconds: UInt64 = 0
    /// Nanoseconds from SIGTERM to SIGKILL.
    public var graceNanoseconds: UInt64 = 10_000_000_000
    /// Nanoseconds of processor time of the whole tree; 0: no limit.
    public var cpuNanoseconds: UInt64 = 0
    /// Open files of a process (RLIMIT_NOFILE); nil is 1,024, which a process may raise up to the host's limit.
    public var openFiles: UInt64?
    /// Bytes of a file that a process writes (RLIMIT_FSIZE); nil keeps the launcher's.
    public var fileSizeBytes: UInt64?
    /// The handler's user; nil keeps the launcher's.
    public var user: LaunchUser?
    /// The attempt's cgroups.
    public var cgroup = CgroupSpec()
    /// The attempt's namespaces; nil: none, not even for its processes.
    public var namespaces: NamespaceSpec?
    /// The file rules; nil: none.
    public var landlock: LandlockSpec?
    /// The system call filter.
    public var filter = FilterSpec()
    /// Bytes of one fd 3 line, at most `LaunchLimits.eventLineCeiling`.
    public var eventLineBytes: UInt32 = UInt32(LaunchLimits.eventLineBytes)

    /// Makes a spec that runs an executable, without limits, file rules, filter or another user.
    public init(
        attempt: UInt64,
        executable: String,
        arguments: [String],
        environment: [String] = [],
        workingFolder: String
    ) {
        self.attempt = attempt
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.workingFolder = workingFolder
    }
}

extension CgroupOOM {
    /// The number in the file's line `oom_kill N`; 0 without such a line.
    ///
    /// - Parameter content: The file's bytes.
    /// - Returns: Kills by the out-of-memory killer.
    public static func kills(in content: ArraySlice<UInt8>) -> UInt64 {
        for line in content.split(separator: UInt8(ascii: "\n")) {
            let words = line.split(separator: UInt8(ascii: " "))
            guard words.count == 2, words[0].elementsEqual("oom_kill".utf8) else { continue }
            return UInt64(String(decoding: words[1], as: UTF8.self)) ?? 0
        }
        return 0
    }
}
