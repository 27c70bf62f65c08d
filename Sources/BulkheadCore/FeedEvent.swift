/// Something that happened to a task, for those who watch.
public struct FeedEvent: Sendable, Equatable {
    /// What happened.
    public enum Content: Sendable, Equatable {
        /// The task's status is now this; without params, metadata and result. Of several changes that nobody has
        /// read yet only the last is told.
        case status(TaskRecord)
        /// The handler said how far it is, in this attempt.
        case progress(TaskProgress, attempt: Int)
        /// A piece of output came, or a gap took its place.
        case output(OutputPiece)
    }

    /// Its place in the order of what happened.
    public var sequence: Int64
    /// The task.
    public var task: TaskID
    /// What happened.
    public var content: Content

    /// Makes an event.
    public init(sequence: Int64, task: TaskID, content: Content) {
        self.sequence = sequence
        self.task = task
        self.content = content
    }
}

/// A page of events in order.
public struct EventPage: Sendable, Equatable {
    /// The events.
    public var events: [FeedEvent]
    /// The sequence number behind which the next page begins.
    public var next: Int64
    /// Whether nothing more will come by itself: it is one task's page, reaches the end, and the task is terminal.
    public var isEnd: Bool

    /// Makes a page.
    public init(events: [FeedEvent], next: Int64, isEnd: Bool) {
        self.events = events
        self.next = next
        self.isEnd = isEnd
    }
}
