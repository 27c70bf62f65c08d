/// A task as the store keeps it.
public struct TaskRecord: Sendable, Equatable {
    /// The order of admission, unique and never reused: larger was submitted later.
    public var sequence: Int64
    /// The caller's or our id.
    public var id: TaskID
    /// Which handler runs it.
    public var type: TaskType
    /// The pool in which it runs.
    public var pool: PoolName
    /// Where it stands.
    public var status: TaskStatus
    /// Submits that executed.
    public var run: Int
    /// Executions over the task's whole life.
    public var attempt: Int
    /// Losses to a crash over the task's whole life.
    public var interruptions: Int
    /// Losses to a crash in a row within this run, with no attempt ended by itself between them.
    public var lossesInRow: Int
    /// Retries used in this run.
    public var retries: Int
    /// Higher goes first.
    public var priority: Int
    /// On whose behalf it was submitted.
    public var caller: String?
    /// The handler's input.
    public var params: JSONValue
    /// What the caller wants back with the task; not looked into.
    public var metadata: JSONValue?
    /// When the latest submit that queued it was acknowledged.
    public var submittedAt: Timestamp
    /// It does not start before this moment.
    public var notBefore: Timestamp?
    /// The end of its wait before a retry, on the clock that the engine waits by.
    public var waitUntil: Timestamp?
    /// It does not start after this moment.
    public var expiresAt: Timestamp?
    /// When the latest attempt began.
    public var startedAt: Timestamp?
    /// When the run ended.
    public var completedAt: Timestamp?
    /// The handler's latest report.
    public var progress: TaskProgress?
    /// The handler's result, the last one it sent.
    public var result: JSONValue?
    /// Why it did not complete, or why the latest attempt did not.
    public var error: TaskError?
    /// System calls that were denied in this run.
    public var deniedSyscalls: [DeniedSyscall]
    /// What it wrote.
    public var output: OutputTotals
    /// What it used, over the latest attempt.
    public var usage: TaskUsage?
    /// What the user should know and what changed nothing.
    public var warnings: Warnings
    /// Whether someone asked to cancel it.
    public var cancelRequested: Bool

    /// Makes a task that is queued for the first time.
    public init(
        sequence: Int64,
        id: TaskID,
        type: TaskType,
        pool: PoolName,
        priority: Int,
        params: JSONValue,
        submittedAt: Timestamp
    ) {
        self.sequence = sequence
        self.id = id
        self.type = type
        self.pool = pool
        self.status = .queued
        self.run = 1
        self.attempt = 0
        self.interruptions = 0
        self.lossesInRow = 0
        self.retries = 0
        self.priority = priority
        self.params = params
        self.submittedAt = submittedAt
        self.deniedSyscalls = []
        self.output = OutputTotals()
        self.warnings = Warnings()
        self.cancelRequested = false
    }
}

/// How far a handler says it is.
public struct TaskProgress: Sendable, Equatable {
    /// From 0 to 1.
    public var fraction: Double?
    /// In the handler's words.
    public var message: String?

    /// Makes a report.
    public init(fraction: Double?, message: String?) {
        self.fraction = fraction
        self.message = message
    }
}

/// Why a task or an attempt did not complete.
public struct TaskError: Sendable, Equatable {
    /// The kind.
    public var reason: ErrorReason
    /// What happened, in plain words.
    public var message: String
    /// The handler's exit code, where it exited.
    public var exitCode: Int?
    /// The name of the signal that ended it, such as `SIGSEGV`, where one did.
    public var signal: String?
    /// What the user can do.
    public var hint: String?
    /// Whether trying again may help, where somebody said so.
    public var retryable: Bool?

    /// Makes an error.
    public init(
        _ reason: ErrorReason,
        _ message: String,
        exitCode: Int? = nil,
        signal: String? = nil,
        hint: String? = nil,
        retryable: Bool? = nil
    ) {
        self.reason = reason
        self.message = message
        self.exitCode = exitCode
        self.signal = signal
        self.hint = hint
        self.retryable = retryable
    }

    /// The error with message and hint cut to what a final message may hold of them, as JSON writes them.
    public var bounded: TaskError {
        var error = self
        error.message = message.cut(toJSONBytes: Limits.messageBytes)
        error.hint = hint?.cut(toJSONBytes: Limits.hintBytes)
        return error
    }
}

/// A system call that the sandbox denied.
public struct DeniedSyscall: Sendable, Equatable {
    /// Its name, or its number where it has none.
    public var name: String
    /// How often.
    public var count: Int64
    /// What it met: `errno`, `kill` or `audit`.
    public var action: String

    /// Makes an entry.
    public init(name: String, count: Int64, action: String) {
        self.name = name
        self.count = count
        self.action = action
    }
}

/// What a task wrote, in bytes, over all its attempts.
public struct OutputTotals: Sendable, Equatable {
    /// Bytes on standard output.
    public var stdoutBytes: Int64 = 0
    /// Bytes on standard error.
    public var stderrBytes: Int64 = 0
    /// Bytes of both that are no longer kept.
    public var droppedBytes: Int64 = 0

    /// Nothing written.
    public init() {}
}

/// What an attempt used.
public struct TaskUsage: Sendable, Equatable {
    /// Seconds from exec to the end.
    public var wallSeconds: Double
    /// Seconds of processor time of the whole tree.
    public var cpuSeconds: Double
    /// Bytes of the largest resident set of one process of the tree.
    public var maxRSSBytes: Int64

    /// Makes an account.
    public init(wallSeconds: Double, cpuSeconds: Double, maxRSSBytes: Int64) {
        self.wallSeconds = wallSeconds
        self.cpuSeconds = cpuSeconds
        self.maxRSSBytes = maxRSSBytes
    }
}

/// Warnings of a task: the first 32, cut to 512 bytes, and how many more there were.
public struct Warnings: Sendable, Equatable {
    /// Those that are kept.
    public private(set) var kept: [String] = []
    /// How many were not kept.
    public private(set) var omitted: Int64 = 0

    /// No warnings.
    public init() {}

    /// Restores what was stored.
    public init(kept: [String], omitted: Int64) {
        self.kept = kept
        self.omitted = omitted
    }

    /// Adds a warning, unless the same one is there already.
    public mutating func append(_ text: String) {
        let cut = text.cut(toBytes: Limits.warningBytes)
        guard !kept.contains(cut) else { return }
        guard kept.count < Limits.warnings else {
            omitted += 1
            return
        }
        kept.append(cut)
    }

    /// Counts warnings that nobody kept.
    public mutating func omit(_ more: Int64) { omitted += more }

    /// The lines that are shown: those kept, and the count of the rest.
    public var shown: [String] {
        omitted == 0 ? kept : kept + ["and \(omitted) more warnings that were not kept"]
    }
}

/// One execution of a task.
public struct AttemptRecord: Sendable, Equatable {
    /// Its number over the task's whole life, from 1.
    public var attempt: Int
    /// The run it belongs to.
    public var run: Int
    /// When it began.
    public var startedAt: Timestamp
    /// When it ended.
    public var completedAt: Timestamp?
    /// How it ended: `completed`, `failed`, `cancelled`, `interrupted`, `rehydrated` or `stopped`.
    public var outcome: String?
    /// Why it did not complete.
    public var error: TaskError?
    /// The SHA-256 of the handler that ran, as 64 hexadecimal digits.
    public var handler: String
    /// What held it: such as `filter`, `landlock 7`, `cgroup v2`, `user 2000000001`.
    public var enforcement: [String]
    /// The launcher that holds it, while it runs.
    public var launcher: ProcessMark?
    /// The handler's own process, once it has started.
    public var process: ProcessMark?

    /// Makes an attempt that begins now.
    public init(attempt: Int, run: Int, startedAt: Timestamp, handler: String, enforcement: [String]) {
        self.attempt = attempt
        self.run = run
        self.startedAt = startedAt
        self.handler = handler
        self.enforcement = enforcement
    }
}

/// How the launcher of an attempt is found again by another supervisor, and proves that it is the one.
public struct LauncherTie: Sendable, Equatable {
    /// The launcher's name in the state folder's `launchers`.
    public var name: String
    /// The secret that only it and the store hold.
    public var secret: [UInt8]

    /// Makes a tie.
    public init(name: String, secret: [UInt8]) {
        self.name = name
        self.secret = secret
    }
}

/// What tells one process from every other that ever has its number.
public struct ProcessMark: Sendable, Equatable, Hashable {
    /// The process's number.
    public var pid: Int32
    /// When it started, in clock ticks since boot: field 22 of `/proc/PID/stat` (proc(5)).
    public var startTime: UInt64
    /// The boot it belongs to: `/proc/sys/kernel/random/boot_id` (random(4)).
    public var bootID: String

    /// Makes a mark.
    public init(pid: Int32, startTime: UInt64, bootID: String) {
        self.pid = pid
        self.startTime = startTime
        self.bootID = bootID
    }
}

extension String {
    /// The text, cut at a character so that it fits, with a mark where something is gone.
    /// - Parameter limit: Bytes of UTF-8 that the answer may have.
    /// - Returns: The text itself where it fits.
    public func cut(toBytes limit: Int) -> String {
        guard utf8.count > limit else { return self }
        return cut(limit) { $0.utf8.count }
    }

    /// The text cut so that it has at most so many bytes as a JSON string, its quotes left out; what was cut ends
    /// with an ellipsis.
    public func cut(toJSONBytes limit: Int) -> String {
        guard JSONValue.string(self).bytes.count - 2 > limit else { return self }
        return cut(limit) { JSONValue.string(String($0)).bytes.count - 2 }
    }

    private func cut(_ limit: Int, size: (Character) -> Int) -> String {
        let mark = "…"
        var kept = ""
        var bytes = mark.utf8.count
        for character in self {
            bytes += size(character)
            guard bytes <= limit else { break }
            kept.append(character)
        }
        return kept + mark
    }
}
