public import BulkheadCore

/// How tasks of one type run; what a file `policies/<task-type>.yaml` says, each default filled in.
public struct Policy: Sendable, Equatable {
    /// The pool that bounds how many run at once.
    public var pool = PoolName.default
    /// What the type is for, in the author's words.
    public var description: String?
    /// The longest that one attempt may take from its exec; nil is no bound.
    public var timeout: Duration? = .seconds(3_600)
    /// The time between SIGTERM and SIGKILL.
    public var grace: Duration = .seconds(10)
    /// The priority of tasks that bring none; higher goes first.
    public var priority = 0
    /// What happens to an attempt that a crash took.
    public var recovery = RecoveryPolicy()
    /// Whether and when a failed attempt is tried again.
    public var retry = RetryPolicy()
    /// How much output is kept of a task.
    public var output = OutputPolicy()
    /// What the handler may do.
    public var sandbox = SandboxPolicy()
    /// How much the handler may use.
    public var limits = ResourceLimits()
    /// Variables added to the handler's environment, in the file's order.
    public var environment: [EnvironmentVariable] = []
    /// Arguments after the handler's own name.
    public var arguments: [String] = []
    /// Whom the handler runs as.
    public var user = HandlerUser.dynamic
    /// The only content that the handler's file may have, as 64 hexadecimal digits; nil is any.
    public var sha256: String?

    /// The built-in `default` policy.
    public init() {}
}

/// What happens to an attempt that a crash took.
public struct RecoveryPolicy: Sendable, Equatable {
    /// Run again, or say that it was lost.
    public enum Mode: String, Sendable, CaseIterable {
        /// The task is queued again, in the same run.
        case rehydrate
        /// The task ends as interrupted.
        case interrupt
    }

    /// What to do.
    public var mode = Mode.interrupt
    /// Losses in a row within a run after which the task fails with `poison`.
    public var limit = 3

    /// Interrupt, three losses.
    public init() {}
}

/// Whether and when a failed attempt is tried again.
public struct RetryPolicy: Sendable, Equatable {
    /// Retries of a run beyond its first attempt.
    public var limit = 0
    /// The first delay, and the most that doubling and jitter make of it.
    public var backoff = BackoffSchedule(delay: .seconds(1), maximum: .seconds(300))

    /// No retries.
    public init() {}
}

/// How much output is kept of a task.
public struct OutputPolicy: Sendable, Equatable {
    /// What happens at the limit.
    public enum OnLimit: String, Sendable, CaseIterable {
        /// The oldest output makes room.
        case rotate
        /// The task fails with `output-limit`.
        case fail
    }

    /// Bytes of the shared spool that one task may hold.
    public var limit: Int64 = 8 << 20
    /// What happens at the limit.
    public var onLimit = OnLimit.rotate

    /// 8 MiB, rotating.
    public init() {}
}

/// The set of system calls and files that a sandbox begins with.
public enum Preset: String, Sendable, CaseIterable {
    /// Ordinary programs: dynamic linking, threads, fork and exec; no network.
    case `default`
    /// Pure computation on the open descriptors.
    case compute
    /// As `default`, and IP networking as a client.
    case network
    /// No filter but what `network: none` needs.
    case unconfined
}

/// What the handler may do.
public struct SandboxPolicy: Sendable, Equatable {
    /// What a denied call meets.
    public enum OnDenied: String, Sendable, CaseIterable {
        /// The call fails with EPERM.
        case errno
        /// The attempt is ended.
        case kill
        /// The call goes through and is recorded.
        case audit
    }
    /// Whether the handler shares the host's network.
    public enum Network: String, Sendable, CaseIterable {
        /// No socket that leaves the task.
        case none
        /// The sockets that the preset gives.
        case host
    }
    /// What to do where the host cannot hold a promise.
    public enum Enforcement: String, Sendable, CaseIterable {
        /// The launch is refused.
        case required
        /// The task runs and its warnings say what is missing.
        case bestEffort = "best-effort"
    }

    /// Where the rules begin.
    public var preset = Preset.default
    /// System calls given beyond the preset.
    public var allow: [SyscallSelector] = []
    /// System calls taken away.
    public var deny: [SyscallSelector] = []
    /// What a denied call meets; a profile's rules say it for each call.
    public var onDenied = OnDenied.errno
    /// An OCI profile in the place of preset, lists and `onDenied`; the files are then those of `default`.
    public var profile: SeccompProfile?
    /// Absolute paths that may be read beyond the preset's.
    public var read: [String] = []
    /// Absolute paths that may be written beyond the preset's.
    public var write: [String] = []
    /// The network; the reader fills in `host` under `network` and `unconfined`.
    public var network = Network.none
    /// What to do where the host cannot hold a promise.
    public var enforcement = Enforcement.required

    /// The preset `default` without network.
    public init() {}
}

/// How much the handler may use; nil is no limit of ours.
public struct ResourceLimits: Sendable, Equatable {
    /// Bytes of memory of the whole tree.
    public var memory: Int64?
    /// Processor time of the whole tree.
    public var cpu: Duration?
    /// Processes and threads of the whole tree at once.
    public var processes: Int?
    /// File descriptors of each process.
    public var openFiles: Int?
    /// Bytes of the largest file that may be written.
    public var fileSize: Int64?
    /// Bytes of the scratch folder, which is then memory.
    public var scratch: Int64?

    /// No limits.
    public init() {}
}

/// A variable of the handler's environment.
public struct EnvironmentVariable: Sendable, Equatable {
    /// Its name.
    public var name: String
    /// Its value.
    public var value: String

    /// Makes a variable.
    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// Whom the handler runs as.
public enum HandlerUser: Sendable, Equatable {
    /// A user of its own per attempt where the supervisor is root, else the supervisor's own user.
    case dynamic
    /// The user of this name.
    case named(String)
}
