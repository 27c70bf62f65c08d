/// A task as its caller asks for it, checked and with every default of its own filled in.
public struct Submission: Sendable, Equatable {
    /// The caller's id, or one made here.
    public var id: TaskID
    /// Which handler runs it.
    public var type: TaskType
    /// The handler's input; `{}` where the caller sent none.
    public var params: JSONValue
    /// What the caller wants back with the task.
    public var metadata: JSONValue?
    /// Higher goes first; nil leaves it to the policy.
    public var priority: Int?
    /// On whose behalf.
    public var caller: String?
    /// It does not start before this moment.
    public var notBefore: Timestamp?
    /// It does not start after this moment.
    public var expiresAt: Timestamp?

    /// Makes a submission.
    public init(
        id: TaskID,
        type: TaskType,
        params: JSONValue = .object(JSONObject()),
        metadata: JSONValue? = nil,
        priority: Int? = nil,
        caller: String? = nil,
        notBefore: Timestamp? = nil,
        expiresAt: Timestamp? = nil
    ) {
        self.id = id
        self.type = type
        self.params = params
        self.metadata = metadata
        self.priority = priority
        self.caller = caller
        self.notBefore = notBefore
        self.expiresAt = expiresAt
    }
}

/// What a submit did.
public enum SubmitOutcome: Sendable, Equatable {
    /// The task was queued, for the first time or again.
    case queued(TaskRecord)
    /// It was there already and is returned as it is.
    case existing(TaskRecord)

    /// The task either way.
    public var task: TaskRecord {
        switch self {
        case .queued(let task), .existing(let task): task
        }
    }
}
