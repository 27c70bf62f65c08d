/// A task with all that is known of it at this moment, for `show`.
public struct TaskReport: Sendable, Equatable {
    /// The task.
    public var task: TaskRecord
    /// Its latest attempts, oldest first; empty in lists.
    public var attempts: [AttemptRecord]
    /// How many tasks of its pool go before it, from 0, while it is queued.
    public var queuePosition: Int?
    /// What keeps it from starting, while it is queued.
    public var waitingFor: String?

    /// Makes a report.
    public init(
        task: TaskRecord,
        attempts: [AttemptRecord] = [],
        queuePosition: Int? = nil,
        waitingFor: String? = nil
    ) {
        self.task = task
        self.attempts = attempts
        self.queuePosition = queuePosition
        self.waitingFor = waitingFor
    }
}

/// Which tasks a list is of.
public struct TaskFilter: Sendable, Equatable {
    /// Only of this status.
    public var status: TaskStatus?
    /// Only of this type.
    public var type: TaskType?
    /// Only of this pool.
    public var pool: PoolName?
    /// Only of this caller.
    public var caller: String?
    /// At most this many.
    public var limit: Int
    /// Only those submitted before the task with this sequence number.
    public var before: Int64?

    /// Every task, a hundred at most.
    public init() { limit = 100 }
}

/// One page of a list, newest first.
public struct TaskPage: Sendable, Equatable {
    /// The tasks.
    public var tasks: [TaskRecord]
    /// Where the next page begins; nil on the last one.
    public var next: Int64?

    /// Makes a page.
    public init(tasks: [TaskRecord], next: Int64?) {
        self.tasks = tasks
        self.next = next
    }
}

/// Which of a handler's two streams.
public enum OutputChannel: String, Sendable, CaseIterable, Comparable {
    /// Standard output.
    case stdout
    /// Standard error.
    case stderr

    /// Orders standard output first.
    public static func < (left: OutputChannel, right: OutputChannel) -> Bool {
        left == .stdout && right == .stderr
    }
}

/// A piece of output, or the gap where one was.
public struct OutputPiece: Sendable, Equatable {
    /// What there is.
    public enum Content: Sendable, Equatable {
        /// These bytes.
        case bytes([UInt8])
        /// Nothing any more: this many bytes are gone.
        case gap(Int64)
    }

    /// The order of arrival over both streams: larger came later, and a gap has the one of its newest chunk.
    public var sequence: Int64
    /// Which stream.
    public var channel: OutputChannel
    /// Which attempt.
    public var attempt: Int
    /// Where in the stream of that attempt it begins, in bytes.
    public var offset: Int64
    /// What there is.
    public var content: Content

    /// Makes a piece.
    public init(sequence: Int64, channel: OutputChannel, attempt: Int, offset: Int64, content: Content) {
        self.sequence = sequence
        self.channel = channel
        self.attempt = attempt
        self.offset = offset
        self.content = content
    }

    /// Bytes from here to where the next piece begins.
    public var length: Int64 {
        switch content {
        case .bytes(let bytes): Int64(bytes.count)
        case .gap(let bytes): bytes
        }
    }
}

/// Which output is asked for.
public struct OutputQuery: Sendable, Equatable {
    /// Only this stream; nil is both, in order of arrival.
    public var channel: OutputChannel?
    /// Of this attempt; nil is the latest.
    public var attempt: Int?
    /// From this byte of the stream on, only with a channel; a piece that begins before it is cut.
    public var offset: Int64?
    /// Only what arrived after the piece with this sequence number.
    public var after: Int64?
    /// At most about this many bytes.
    public var limit = Limits.outputPageBytes

    /// Both streams of the latest attempt, from the beginning.
    public init() {}
}

/// A page of output.
public struct OutputPage: Sendable, Equatable {
    /// The attempt that it is of; 0 where the task has had none.
    public var attempt: Int
    /// The pieces in order.
    public var pieces: [OutputPiece]
    /// Whether nothing more will come: the page reaches the end and the attempt is over.
    public var isEnd: Bool

    /// Makes a page.
    public init(attempt: Int, pieces: [OutputPiece], isEnd: Bool) {
        self.attempt = attempt
        self.pieces = pieces
        self.isEnd = isEnd
    }
}

/// A pool as it stands.
public struct PoolReport: Sendable, Equatable {
    /// Its name.
    public var name: PoolName
    /// How it is set up now.
    public var settings: PoolSettings
    /// Whether `pools.yaml` names it.
    public var isConfigured: Bool
    /// Tasks that run.
    public var running: Int
    /// Tasks that wait.
    public var queued: Int
    /// Its failures and back-off.
    public var health: PoolHealth

    /// Makes a report.
    public init(
        name: PoolName,
        settings: PoolSettings,
        isConfigured: Bool,
        running: Int,
        queued: Int,
        health: PoolHealth
    ) {
        self.name = name
        self.settings = settings
        self.isConfigured = isConfigured
        self.running = running
        self.queued = queued
        self.health = health
    }
}

/// A task type as the catalog has it.
public struct PluginReport: Sendable, Equatable {
    /// The type; nil for a file that gives none.
    public var type: TaskType?
    /// The handler's or the policy's file.
    public var file: String
    /// The SHA-256 of the handler, as 64 hexadecimal digits.
    public var digest: String?
    /// The policy's file; nil where the built-in default holds.
    public var policyFile: String?
    /// The pool in which its tasks run.
    public var pool: PoolName?
    /// The policy's description.
    public var description: String?
    /// What is wrong; a type with a problem is refused.
    public var problems: [String]
    /// What the user should know, such as what this host cannot hold.
    public var warnings: [String]

    /// Makes a report.
    public init(
        type: TaskType?,
        file: String,
        digest: String? = nil,
        policyFile: String? = nil,
        pool: PoolName? = nil,
        description: String? = nil,
        problems: [String] = [],
        warnings: [String] = []
    ) {
        self.type = type
        self.file = file
        self.digest = digest
        self.policyFile = policyFile
        self.pool = pool
        self.description = description
        self.problems = problems
        self.warnings = warnings
    }
}

/// The supervisor as it stands.
public struct SupervisorReport: Sendable, Equatable {
    /// Where the supervisor is in its life.
    public enum Phase: String, Sendable {
        /// It looks after what was running before.
        case recovering
        /// It takes work.
        case ready
        /// It takes no new work.
        case stopping
    }

    /// The product's version.
    public var version: String
    /// Its process.
    public var pid: Int32
    /// When it started.
    public var startedAt: Timestamp
    /// Where it is in its life.
    public var phase: Phase
    /// The state folder.
    public var stateFolder: String
    /// The folder of handlers.
    public var pluginsFolder: String
    /// The folder of policies.
    public var policiesFolder: String
    /// Tasks by status.
    public var counts: [TaskStatus: Int]
    /// Bytes of output that are kept.
    public var spoolBytes: Int64
    /// Bytes of output that may be kept.
    public var spoolCap: Int64
    /// What recovery did at the start.
    public var recovery: RecoveryReport
    /// What has become of terminal tasks.
    public var retention = RetentionReport()
    /// Pools that are in use or named in `pools.yaml`.
    public var pools: [PoolReport]
    /// What the user should know.
    public var problems: [String]

    /// Makes a report.
    public init(
        version: String,
        pid: Int32,
        startedAt: Timestamp,
        phase: Phase,
        stateFolder: String,
        pluginsFolder: String,
        policiesFolder: String,
        counts: [TaskStatus: Int],
        spoolBytes: Int64,
        spoolCap: Int64,
        recovery: RecoveryReport,
        pools: [PoolReport],
        problems: [String]
    ) {
        self.version = version
        self.pid = pid
        self.startedAt = startedAt
        self.phase = phase
        self.stateFolder = stateFolder
        self.pluginsFolder = pluginsFolder
        self.policiesFolder = policiesFolder
        self.counts = counts
        self.spoolBytes = spoolBytes
        self.spoolCap = spoolCap
        self.recovery = recovery
        self.pools = pools
        self.problems = problems
    }
}

/// What recovery did at the start.
public struct RecoveryReport: Sendable, Equatable {
    /// Attempts that were running when the supervisor before ended.
    public var found = 0
    /// Those that went on, with their launchers.
    public var adopted = 0
    /// Those that had ended meanwhile, and whose outcome was recorded.
    public var recorded = 0
    /// Those whose launcher lives and does not answer, or speaks another version: they are waited for.
    public var waiting = 0
    /// Those queued again.
    public var rehydrated = 0
    /// Those marked interrupted.
    public var interrupted = 0
    /// Those failed as poison.
    public var poisoned = 0

    /// Nothing found.
    public init() {}
}
