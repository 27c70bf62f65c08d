/// How long terminal tasks are kept.
public struct RetentionRule: Sendable, Equatable {
    /// Time from a task's end, by the wall clock, after which it goes; nil keeps it whatever its age.
    public var age: Duration?
    /// Terminal tasks that are kept, the latest ones; nil keeps any number.
    public var tasks: Int?

    /// Makes a rule; without arguments, the default one.
    public init(age: Duration? = .seconds(24 * 3_600), tasks: Int? = 1_000_000) {
        self.age = age
        self.tasks = tasks
    }
}

/// Which terminal tasks are to go now, by hand.
public struct PruneRequest: Sendable, Equatable {
    /// Those that ended longer ago than this; nil is what the rule in force says.
    public var olderThan: Duration?
    /// Only tasks of this type.
    public var type: TaskType?
    /// Whether they are only counted.
    public var dryRun: Bool
    /// Where an earlier call has come to; nil at the beginning.
    public var cursor: PruneCursor?

    /// Makes a request.
    public init(
        olderThan: Duration? = nil,
        type: TaskType? = nil,
        dryRun: Bool = false,
        cursor: PruneCursor? = nil
    ) {
        self.olderThan = olderThan
        self.type = type
        self.dryRun = dryRun
        self.cursor = cursor
    }
}

/// How far a call has come that takes terminal tasks away.
public struct PruneCursor: Sendable, Equatable, CustomStringConvertible {
    /// When the task ended that was looked at last, in milliseconds since 1970.
    public var completedAt: Int64
    /// Which of those that ended in that millisecond.
    public var key: Int64
    /// Tasks that were looked at and stay.
    public var passed: Int

    /// What a text may say; more tasks than any database holds, and far from where counting on would overflow.
    private static let mostPassed = 0...1 << 48

    /// Makes a cursor.
    public init(completedAt: Int64, key: Int64, passed: Int) {
        self.completedAt = completedAt
        self.key = key
        self.passed = passed
    }

    /// Reads what ``description`` wrote; nil for any other text.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let completedAt = Int64(parts[0]), let key = Int64(parts[1]),
            let passed = Int(parts[2]), Self.mostPassed.contains(passed)
        else { return nil }
        self.init(completedAt: completedAt, key: key, passed: passed)
    }

    /// The cursor as one word.
    public var description: String { "\(completedAt).\(key).\(passed)" }
}

/// What taking terminal tasks away came to.
public struct PruneReport: Sendable, Equatable {
    /// Tasks that went, or would have gone.
    public var removed = 0
    /// Tasks that stay for a message that nobody has acknowledged.
    public var unacknowledged = 0
    /// Where the next call goes on; nil where nothing is left to look at.
    public var cursor: PruneCursor?

    /// Nothing yet.
    public init() {}
}

/// What has become of terminal tasks since the start.
public struct RetentionReport: Sendable, Equatable {
    /// The rule in force.
    public var rule = RetentionRule()
    /// When a sweep ended last; nil before the first one.
    public var sweptAt: Timestamp?
    /// Tasks that went.
    public var removed = 0

    /// Nothing yet.
    public init() {}
}
