/// When a pool backs off, from `pools.yaml`.
public struct PoolBackoff: Sendable, Equatable {
    /// Failures in a row after which the pool backs off.
    public var after: Int
    /// A failure counts if it came within this time of its start.
    public var within: Duration
    /// How long.
    public var schedule: BackoffSchedule

    /// Makes a rule.
    public init(after: Int, within: Duration, schedule: BackoffSchedule) {
        self.after = after
        self.within = within
        self.schedule = schedule
    }
}

/// How a pool is set up.
public struct PoolSettings: Sendable, Equatable {
    /// Tasks that may run at once.
    public var concurrency: Int
    /// Tasks that may be queued; nil is no limit.
    public var queueLimit: Int?
    /// When it backs off; nil is never.
    public var backoff: PoolBackoff?

    /// Makes settings.
    public init(concurrency: Int, queueLimit: Int? = nil, backoff: PoolBackoff? = nil) {
        self.concurrency = concurrency
        self.queueLimit = queueLimit
        self.backoff = backoff
    }
}

/// A pool's count of failures and its back-off (contract §5).
public struct PoolHealth: Sendable, Equatable {
    /// Failures in a row.
    public var failures = 0
    /// How often the pool has backed off without a success between.
    public var backoffs = 0
    /// The moment at which the pool's back-off ends, while it backs off; a probe may then run.
    public var backoffUntil: Timestamp?

    /// A pool that nothing is known of.
    public init() {}

    /// Whether a back-off was begun and no probe has succeeded since.
    public var isBackingOff: Bool { backoffUntil != nil }

    /// Counts a handler's failure, and backs off where the rule says so.
    /// - Parameters:
    ///   - ran: The time from the attempt's start to its failure.
    ///   - rule: The pool's rule; without one failures are only counted.
    ///   - now: The moment.
    ///   - random: A number from 0 up to, but not including, 1, for the jitter.
    public mutating func fail(after ran: Duration, rule: PoolBackoff?, now: Timestamp, random: Double) {
        if let rule, ran > rule.within, !isBackingOff {
            failures = 0
            return
        }
        failures += 1
        guard let rule, isBackingOff || failures >= rule.after else { return }
        backoffUntil = now + rule.schedule.wait(step: backoffs, random: random)
        backoffs += 1
    }

    /// Clears the count after a success.
    public mutating func succeed() {
        self = PoolHealth()
    }

    /// Brings a deadline that was stored, perhaps under another clock, into what the rule allows.
    public mutating func clamp(to rule: PoolBackoff?, now: Timestamp) {
        guard let until = backoffUntil else { return }
        guard let rule else {
            backoffUntil = nil
            backoffs = 0
            return
        }
        backoffUntil = min(until, now + rule.schedule.maximum)
    }
}
