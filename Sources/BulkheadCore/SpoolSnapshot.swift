/// What a controller needs that has lost touch: what runs, what waits, what it has not acknowledged.
public struct SpoolSnapshot: Sendable, Equatable {
    /// A stream of an attempt, as far as it is kept.
    public struct OutputRange: Sendable, Equatable {
        /// Which attempt.
        public var attempt: Int
        /// Which stream.
        public var channel: OutputChannel
        /// The offset of the first byte that is kept; ``end`` where none is.
        public var first: Int64
        /// The offset behind the last byte that was written.
        public var end: Int64
        /// Stretches that are gone, in order; no more than ``Limits/snapshotGaps``.
        public var gaps: [Gap]
        /// Bytes that are gone, in all gaps.
        public var missingBytes: Int64

        /// Makes a range.
        public init(
            attempt: Int,
            channel: OutputChannel,
            first: Int64,
            end: Int64,
            gaps: [Gap],
            missingBytes: Int64
        ) {
            self.attempt = attempt
            self.channel = channel
            self.first = first
            self.end = end
            self.gaps = gaps
            self.missingBytes = missingBytes
        }
    }

    /// A stretch of a stream that is gone.
    public struct Gap: Sendable, Equatable {
        /// Where it begins, in bytes.
        public var offset: Int64
        /// How long it is, in bytes.
        public var bytes: Int64

        /// Makes a gap.
        public init(offset: Int64, bytes: Int64) {
            self.offset = offset
            self.bytes = bytes
        }
    }

    /// A task that runs.
    public struct Running: Sendable, Equatable {
        /// The task.
        public var task: TaskID
        /// Its type.
        public var type: TaskType
        /// Which run of it.
        public var run: Int
        /// Which attempt of it.
        public var attempt: Int
        /// When the attempt began.
        public var startedAt: Timestamp
        /// Its output.
        public var output: [OutputRange]

        /// Makes an entry.
        public init(
            task: TaskID,
            type: TaskType,
            run: Int,
            attempt: Int,
            startedAt: Timestamp,
            output: [OutputRange]
        ) {
            self.task = task
            self.type = type
            self.run = run
            self.attempt = attempt
            self.startedAt = startedAt
            self.output = output
        }
    }

    /// A final that nobody has acknowledged.
    public struct Final: Sendable, Equatable {
        /// Its place in the order of what happened.
        public var sequence: Int64
        /// Its name.
        public var messageID: String
        /// The task.
        public var task: TaskID
        /// Its type.
        public var type: TaskType
        /// Which run of it.
        public var run: Int
        /// Its last attempt; 0 where there was none.
        public var attempt: Int
        /// The output of that attempt.
        public var output: [OutputRange]

        /// Makes an entry.
        public init(
            sequence: Int64,
            messageID: String,
            task: TaskID,
            type: TaskType,
            run: Int,
            attempt: Int,
            output: [OutputRange]
        ) {
            self.sequence = sequence
            self.messageID = messageID
            self.task = task
            self.type = type
            self.run = run
            self.attempt = attempt
            self.output = output
        }
    }

    /// Where a page of a snapshot begins: behind which numbers in each of its lists; nil is done with that list.
    public struct Place: Sendable, Equatable {
        /// In the order of submits, among those that run.
        public var running: Int64?
        /// In the order of submits, among those that wait.
        public var queued: Int64?
        /// In the order of messages, among finals.
        public var finals: Int64?

        /// The beginning of every list.
        public static let beginning = Place(running: 0, queued: 0, finals: 0)

        /// Makes a place.
        public init(running: Int64?, queued: Int64?, finals: Int64?) {
            self.running = running
            self.queued = queued
            self.finals = finals
        }

        /// Whether there is nothing more in any list.
        public var isEnd: Bool { running == nil && queued == nil && finals == nil }
    }

    /// The number given last: what happens later has a larger one.
    public var sequence: Int64
    /// Tasks that run.
    public var running: [Running]
    /// Tasks that were received and wait.
    public var queued: [TaskID]
    /// Finals that nobody has acknowledged.
    public var finals: [Final]
    /// Messages of every kind that nobody has acknowledged.
    public var pendingMessages: Int64
    /// Bytes of output that are kept.
    public var spoolBytes: Int64
    /// Bytes of finals that nobody has acknowledged.
    public var finalBytes: Int64
    /// Where the next page begins.
    public var next: Place

    /// Makes a page without entries.
    public init(sequence: Int64, pendingMessages: Int64, spoolBytes: Int64, finalBytes: Int64) {
        self.sequence = sequence
        self.pendingMessages = pendingMessages
        self.spoolBytes = spoolBytes
        self.finalBytes = finalBytes
        running = []
        queued = []
        finals = []
        next = Place(running: nil, queued: nil, finals: nil)
    }
}

/// A page of a snapshot, with what the supervisor knows beside it.
public struct SnapshotReport: Sendable, Equatable {
    /// The page.
    public var page: SpoolSnapshot
    /// Where the supervisor is in its life: until it is ready, what runs may have gone.
    public var phase: SupervisorReport.Phase
    /// Bytes that output, finals and reservations may have.
    public var spoolCap: Int64
    /// Whether messages are kept for a controller.
    public var outboxIsOn: Bool
    /// The latest loss of the whole history: what a controller remembers and this does not show may be gone.
    public var historyLost: HistoryLoss?

    /// Makes a report.
    public init(
        page: SpoolSnapshot,
        phase: SupervisorReport.Phase,
        spoolCap: Int64,
        outboxIsOn: Bool,
        historyLost: HistoryLoss? = nil
    ) {
        self.page = page
        self.phase = phase
        self.spoolCap = spoolCap
        self.outboxIsOn = outboxIsOn
        self.historyLost = historyLost
    }
}
