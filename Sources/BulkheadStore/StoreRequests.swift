public import BulkheadCore

/// A submit with all that the engine decides of it.
public struct SubmitRequest: Sendable {
    /// What the caller asks for.
    public var submission: Submission
    /// The pool of its policy.
    public var pool: PoolName
    /// The caller's priority or the policy's.
    public var priority: Int
    /// Tasks that may be queued in the pool; nil is no limit.
    public var queueLimit: Int?
    /// The moment of the submit.
    public var now: Timestamp

    /// Makes a request.
    public init(
        submission: Submission,
        pool: PoolName,
        priority: Int,
        queueLimit: Int? = nil,
        now: Timestamp
    ) {
        self.submission = submission
        self.pool = pool
        self.priority = priority
        self.queueLimit = queueLimit
        self.now = now
    }
}

/// The beginning of an attempt.
public struct AttemptStart: Sendable {
    /// The task.
    public var id: TaskID
    /// The task's count of attempts before this one.
    public var expectedAttempt: Int
    /// The moment.
    public var now: Timestamp
    /// The SHA-256 of the handler, as 64 hexadecimal digits.
    public var handler: String
    /// What holds it.
    public var enforcement: [String]
    /// The launcher that will hold it.
    public var launcher: ProcessMark?
    /// How that launcher is found by a later supervisor.
    public var tie: LauncherTie?
    /// What a later supervisor must know of it, kept as it is while the attempt runs.
    public var terms: JSONValue?

    /// Makes a beginning.
    public init(
        id: TaskID,
        expectedAttempt: Int,
        now: Timestamp,
        handler: String,
        enforcement: [String],
        launcher: ProcessMark?
    ) {
        self.id = id
        self.expectedAttempt = expectedAttempt
        self.now = now
        self.handler = handler
        self.enforcement = enforcement
        self.launcher = launcher
    }
}

/// What a later supervisor needs to go on with a running attempt.
public struct AttemptTie: Sendable, Equatable {
    /// How its launcher is found; nil where there was none to be found.
    public var launcher: LauncherTie?
    /// The terms of its start.
    public var terms: JSONValue?
    /// The offset of stdout below which everything is stored.
    public var stdoutEnd: Int64
    /// The offset of stderr below which everything is stored.
    public var stderrEnd: Int64

    /// Makes a tie.
    public init(launcher: LauncherTie?, terms: JSONValue?, stdoutEnd: Int64, stderrEnd: Int64) {
        self.launcher = launcher
        self.terms = terms
        self.stdoutEnd = stdoutEnd
        self.stderrEnd = stderrEnd
    }
}

/// What an attempt's end means for its pool.
public struct PoolVerdict: Sendable {
    /// Whether it counts, and how.
    public var effect: OutcomeRule.PoolEffect
    /// The time from the attempt's start to its end.
    public var ran: Duration
    /// The pool's rule of backing off.
    public var rule: PoolBackoff?
    /// A number from 0 up to, but not including, 1, for the jitter.
    public var random: Double
    /// The moment from which a back-off counts, on the clock that the engine waits by.
    public var now: Timestamp

    /// Makes a verdict.
    public init(
        effect: OutcomeRule.PoolEffect,
        ran: Duration,
        rule: PoolBackoff?,
        random: Double,
        now: Timestamp
    ) {
        self.effect = effect
        self.ran = ran
        self.rule = rule
        self.random = random
        self.now = now
    }

    /// An end that says nothing of the pool's handlers.
    public static let none = PoolVerdict(
        effect: .none,
        ran: .zero,
        rule: nil,
        random: 0,
        now: Timestamp(milliseconds: 0)
    )
}

/// The wait before a retry.
public struct RetryWait: Sendable, Equatable {
    /// Its end, on the clock that the engine waits by.
    public var until: Timestamp
    /// How long it is: after a restart, under whatever clock, not more than this is left of it.
    public var length: Duration

    /// Makes a wait that begins now.
    /// - Parameters:
    ///   - length: How long it is.
    ///   - now: The moment, on the clock that the engine waits by.
    public init(_ length: Duration, from now: Timestamp) {
        until = now + length
        self.length = length
    }
}

/// The end of an attempt.
public struct AttemptFinish: Sendable {
    /// The task.
    public var id: TaskID
    /// Which attempt of it.
    public var attempt: Int
    /// What happens to the task: any event that is legal while it runs, but `putBack`.
    public var event: TaskEvent
    /// The moment.
    public var now: Timestamp
    /// How the attempt ended, in the words of ``AttemptRecord/outcome``.
    public var outcome: String
    /// Why it did not complete.
    public var error: TaskError?
    /// The handler's result, kept where the run is over.
    public var result: JSONValue?
    /// The handler's last report; nil leaves the one that is stored.
    public var progress: TaskProgress?
    /// Calls that were denied in this attempt; they are added up over the run.
    public var deniedSyscalls: [DeniedSyscall] = []
    /// What it used.
    public var usage: TaskUsage?
    /// Warnings to add.
    public var warnings: [String] = []
    /// How many more there were that nobody kept.
    public var omittedWarnings: Int64 = 0
    /// How long a further attempt waits; nil does not wait.
    public var wait: RetryWait?
    /// The count of losses over the task's life from now on; nil leaves it.
    public var interruptions: Int?
    /// The count of losses in a row from now on; nil leaves it.
    public var lossesInRow: Int?
    /// The count of retries of the run from now on; nil leaves it.
    public var retries: Int?
    /// What it means for the pool.
    public var verdict: PoolVerdict = .none
    /// Why it is cancelled instead, where somebody has asked for that before this end is written; nil where the end
    /// holds all the same.
    public var errorIfCancelled: TaskError?

    /// Makes an end.
    public init(id: TaskID, attempt: Int, event: TaskEvent, outcome: String, now: Timestamp) {
        self.id = id
        self.attempt = attempt
        self.event = event
        self.outcome = outcome
        self.now = now
    }

    /// The end as it is for a task that somebody has asked to cancel.
    var whereCancelled: AttemptFinish {
        guard let errorIfCancelled else { return self }
        var finish = AttemptFinish(id: id, attempt: attempt, event: .cancel, outcome: "cancelled", now: now)
        finish.error = errorIfCancelled
        return finish
    }
}

/// What the end of an attempt led to.
public struct FinishOutcome: Sendable, Equatable {
    /// The task as it is now.
    public var task: TaskRecord
    /// Its pool's health as it is now.
    public var pool: PoolRecord
}

/// A pool's health as it is stored.
public struct PoolRecord: Sendable, Equatable {
    /// Failures and back-off.
    public var health: PoolHealth
    /// How often it was changed: larger is newer.
    public var revision: Int64

    /// Makes a record.
    public init(health: PoolHealth, revision: Int64) {
        self.health = health
        self.revision = revision
    }
}

/// The next moments at which the queue has something to do.
public struct NextWake: Sendable, Equatable {
    /// The earliest date for which a task waits, by the wall clock: a `notBefore` or an `expiresAt`.
    public var date: Timestamp?
    /// The earliest end of a wait before a retry, on the clock that the engine waits by.
    public var wait: Timestamp?

    /// Makes the moments; nil where nothing waits.
    public init(date: Timestamp? = nil, wait: Timestamp? = nil) {
        self.date = date
        self.wait = wait
    }
}

/// What removing a task came to.
public enum RemoveOutcome: Sendable, Equatable {
    /// It is gone.
    case removed
    /// There was none.
    case notFound
    /// It is not terminal, so it stays.
    case notTerminal
    /// A message of it is not acknowledged, so it stays.
    case unacknowledged
}

/// A piece of a handler's output as it came from its launcher.
public struct OutputChunk: Sendable, Equatable {
    /// The task.
    public var id: TaskID
    /// Which attempt of it.
    public var attempt: Int
    /// Which stream.
    public var channel: OutputChannel
    /// Where in the stream it begins, in bytes; a jump says that what lies between is lost.
    public var offset: Int64
    /// What was written; may be empty, to say that everything before the offset is lost.
    public var bytes: [UInt8]
    /// Bytes of output that may be kept of the task.
    public var taskLimit: Int64
    /// When it came.
    public var at: Timestamp

    /// Makes a chunk.
    public init(
        id: TaskID,
        attempt: Int,
        channel: OutputChannel,
        offset: Int64,
        bytes: [UInt8],
        taskLimit: Int64,
        at: Timestamp
    ) {
        self.id = id
        self.attempt = attempt
        self.channel = channel
        self.offset = offset
        self.bytes = bytes
        self.taskLimit = taskLimit
        self.at = at
    }
}

/// What appending output came to.
public struct AppendOutcome: Sendable, Equatable {
    /// What became of one chunk.
    public struct Entry: Sendable, Equatable {
        /// Whether the attempt no longer runs, so that nothing was stored.
        public var isStale: Bool
        /// Where the chunk's stream ends now: everything before is stored or said to be gone.
        public var end: Int64
        /// Bytes that the attempt wrote, over both streams.
        public var attemptBytes: Int64
        /// What the task wrote over all its attempts, and what of it is gone.
        public var totals: OutputTotals
    }

    /// One entry for each chunk, in their order.
    public var entries: [Entry]
    /// Bytes of output that are kept now, over all tasks.
    public var spoolBytes: Int64
}
