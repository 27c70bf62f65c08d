/// A message for a controller that it has not acknowledged.
public struct OutboxMessage: Sendable, Equatable {
    /// What a message tells, in one word.
    public enum Kind: String, Sendable, CaseIterable {
        /// The task was submitted.
        case received
        /// The first attempt of its run began.
        case started
        /// A piece of output.
        case output
        /// A piece of output that is gone.
        case gap
        /// The run is over.
        case final
    }

    /// What a message tells, with what is particular to its kind.
    public enum Content: Sendable, Equatable {
        /// The task was submitted.
        case received
        /// The first attempt of its run began.
        case started
        /// These bytes were written, from an offset of their stream on.
        case output(OutputChannel, offset: Int64, bytes: [UInt8])
        /// That many bytes from an offset of their stream on are gone.
        case gap(OutputChannel, offset: Int64, bytes: Int64)
        /// The run is over: status, result, error, denied calls, output and usage.
        case final(JSONObject)
    }

    /// Its place in the order of what happened.
    public var sequence: Int64
    /// Its name, the same however often it is delivered.
    public var messageID: String
    /// The task.
    public var task: TaskID
    /// The task's type.
    public var type: TaskType
    /// Which run of it.
    public var run: Int
    /// Which attempt of it; 0 where it is of none.
    public var attempt: Int
    /// When it happened.
    public var at: Timestamp
    /// What it tells.
    public var content: Content

    /// Makes a message.
    public init(
        sequence: Int64,
        messageID: String,
        task: TaskID,
        type: TaskType,
        run: Int,
        attempt: Int,
        at: Timestamp,
        content: Content
    ) {
        self.sequence = sequence
        self.messageID = messageID
        self.task = task
        self.type = type
        self.run = run
        self.attempt = attempt
        self.at = at
        self.content = content
    }

    /// What it tells, in one word.
    public var kind: Kind {
        switch content {
        case .received: .received
        case .started: .started
        case .output: .output
        case .gap: .gap
        case .final: .final
        }
    }
}

/// A page of messages in order.
public struct OutboxPage: Sendable, Equatable {
    /// The messages.
    public var messages: [OutboxMessage]
    /// The sequence number behind which the next page begins.
    public var next: Int64

    /// Makes a page.
    public init(messages: [OutboxMessage], next: Int64) {
        self.messages = messages
        self.next = next
    }
}

/// What acknowledging messages came to.
public struct AcknowledgeOutcome: Sendable, Equatable {
    /// Those that are acknowledged, now or before.
    public var acknowledged: [String]
    /// Those that no message has.
    public var unknown: [String]

    /// Makes an outcome.
    public init(acknowledged: [String], unknown: [String]) {
        self.acknowledged = acknowledged
        self.unknown = unknown
    }
}
