/// Who starts now: a pure function of the pools and their queues' heads.
public enum DispatchPlan {
    /// What the plan needs to know of a queued task.
    public struct Candidate: Sendable, Equatable {
        /// The task.
        public var id: TaskID
        /// Higher goes first.
        public var priority: Int
        /// Older goes first.
        public var sequence: Int64

        /// Describes a queued task.
        public init(id: TaskID, priority: Int, sequence: Int64) {
            self.id = id
            self.priority = priority
            self.sequence = sequence
        }
    }

    /// What the plan needs to know of a pool.
    public struct Pool: Sendable, Equatable {
        /// Its name.
        public var name: PoolName
        /// Tasks that may run at once.
        public var concurrency: Int
        /// Tasks that run.
        public var running: Int
        /// Its failures and back-off.
        public var health: PoolHealth
        /// Whether somebody paused it.
        public var isPaused: Bool

        /// Describes a pool.
        public init(
            name: PoolName,
            concurrency: Int,
            running: Int,
            health: PoolHealth,
            isPaused: Bool = false
        ) {
            self.name = name
            self.concurrency = concurrency
            self.running = running
            self.health = health
            self.isPaused = isPaused
        }

        /// How many tasks may start at a moment: one probe where a back-off has just ended.
        public func openSlots(now: Timestamp) -> Int {
            guard !isPaused else { return 0 }
            let free = max(concurrency - running, 0)
            guard let until = health.backoffUntil else { return free }
            guard until <= now else { return 0 }
            return running == 0 ? min(free, 1) : 0
        }
    }

    /// Chooses the tasks that start, in the order in which they start.
    /// - Parameters:
    ///   - pool: The pool.
    ///   - queue: Its ready tasks, in any order; at least as many as it has open slots, where there are as many.
    ///   - now: The moment.
    /// - Returns: The tasks: higher priority first, then oldest first.
    public static func starts(in pool: Pool, queue: [Candidate], now: Timestamp) -> [Candidate] {
        let open = pool.openSlots(now: now)
        guard open > 0 else { return [] }
        let ordered = queue.sorted { left, right in
            (right.priority, left.sequence) < (left.priority, right.sequence)
        }
        return Array(ordered.prefix(open))
    }
}
