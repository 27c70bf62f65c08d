/// What is measured of the store, for metrics and status.
public struct StoreMeasures: Sendable, Equatable {
    /// Bytes of the main file.
    public var databaseBytes: Int64 = 0
    /// Bytes of SQLite's log.
    public var logBytes: Int64 = 0
    /// Bytes of output that are kept.
    public var spoolBytes: Int64 = 0
    /// Bytes that running attempts hold for their finals.
    public var reservedBytes: Int64 = 0
    /// Bytes of finals that nobody has acknowledged.
    public var finalBytes: Int64 = 0
    /// Bytes of output that came, in the life of this database.
    public var outputBytes: Int64 = 0
    /// Bytes of output that gave way or were lost, and are said as gaps, in the life of this database.
    public var droppedBytes: Int64 = 0
    /// Messages that nobody has acknowledged.
    public var pendingMessages = 0
    /// When the oldest of them was written.
    public var oldestPending: Timestamp?
    /// Tasks, by pool and status.
    public var tasks: [PoolName: [TaskStatus: Int]] = [:]
    /// What is held on the disk for the ends of what runs.
    public var reserve = ReserveMeasures()
    /// What was counted since the start.
    public var counters = StoreCounters()
    /// What commits took since the start.
    public var commits = CommitMeasures()

    /// Nothing measured yet.
    public init() {}
}

/// Room on the disk that is held for the ends of what runs.
public struct ReserveMeasures: Sendable, Equatable {
    /// Bytes that are held; 0 on a file system that cannot hold any.
    public var heldBytes: Int64
    /// Bytes that ought to be held.
    public var wantedBytes: Int64
    /// Why nothing new can be taken, as the file system says it; nil where it can.
    public var shortage: String?

    /// Makes measures.
    public init(heldBytes: Int64 = 0, wantedBytes: Int64 = 0, shortage: String? = nil) {
        self.heldBytes = heldBytes
        self.wantedBytes = wantedBytes
        self.shortage = shortage
    }
}

/// What the store has counted since the start.
public struct StoreCounters: Sendable, Equatable {
    /// What a submit led to, as far as it is counted.
    public enum Submit: String, Sendable, CaseIterable {
        /// A run was queued.
        case queued
        /// There was a task that stands for it.
        case existing
        /// It was refused.
        case refused
    }

    /// Submits by what they led to.
    public var submits: [Submit: Int] = [:]
    /// Attempts that began.
    public var started = 0
    /// Attempts that ended, by why they did not complete; nil is those that did.
    public var ended: [ErrorReason?: Int] = [:]
    /// Launches that came to nothing, so that the task went back into its queue.
    public var putBack = 0
    /// System calls that were denied.
    public var denied: UInt64 = 0
    /// Nothing counted yet.
    public init() {}
}

/// What commits took, as a histogram.
public struct CommitMeasures: Sendable, Equatable {
    /// The upper bounds of the buckets, in seconds; what took longer is only in ``groups``.
    public static let bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

    /// Groups that were committed.
    public private(set) var groups = 0
    /// Mutations in them.
    public private(set) var mutations = 0
    /// Seconds that they took in all, from the transaction's beginning to its being durable.
    public private(set) var seconds = 0.0
    /// Groups within each bound that were not within the one before.
    public private(set) var buckets = [Int](repeating: 0, count: bounds.count)
    /// Groups that failed.
    public var failures = 0

    /// Nothing committed yet.
    public init() {}

    /// Counts a group that was committed.
    /// - Parameters:
    ///   - mutations: How many it had.
    ///   - duration: What it took.
    public mutating func note(mutations: Int, took duration: Duration) {
        let (whole, attoseconds) = duration.components
        let seconds = Double(whole) + Double(attoseconds) * 1e-18
        groups += 1
        self.mutations += mutations
        self.seconds += seconds
        if let bucket = Self.bounds.firstIndex(where: { seconds <= $0 }) { buckets[bucket] += 1 }
    }
}

/// What the supervisor's own process uses.
public struct ProcessMeasures: Sendable, Equatable {
    /// Descriptors that are open.
    public var descriptors: Int
    /// Descriptors that may be open.
    public var descriptorLimit: Int
    /// Threads.
    public var threads: Int
    /// Bytes of memory that are resident.
    public var residentBytes: Int64
    /// Seconds of processor time, user and system together.
    public var cpuSeconds: Double

    /// Makes measures.
    public init(
        descriptors: Int,
        descriptorLimit: Int,
        threads: Int,
        residentBytes: Int64,
        cpuSeconds: Double
    ) {
        self.descriptors = descriptors
        self.descriptorLimit = descriptorLimit
        self.threads = threads
        self.residentBytes = residentBytes
        self.cpuSeconds = cpuSeconds
    }
}
