/// What a submit does with what exists under its id (contract §3).
public enum SubmitRule {
    /// What exists under the id.
    public struct Existing: Sendable, Equatable {
        /// Where the task stands.
        public var status: TaskStatus
        /// Its type.
        public var type: TaskType
        /// Its params.
        public var params: JSONValue

        /// Describes what exists.
        public init(status: TaskStatus, type: TaskType, params: JSONValue) {
            self.status = status
            self.type = type
            self.params = params
        }
    }

    /// What to do.
    public enum Decision: String, Sendable, Equatable {
        /// Queue a new task, run 1.
        case create
        /// Queue the task again, run + 1.
        case runAgain
        /// Return the task as it is.
        case returnExisting
        /// Refuse: the id belongs to something else.
        case refuse
    }

    /// Decides what a submit does.
    /// - Parameters:
    ///   - existing: What is there under the id, if anything.
    ///   - type: The submit's type.
    ///   - params: The submit's params, compared as JSON values.
    /// - Returns: The decision.
    public static func decide(existing: Existing?, type: TaskType, params: JSONValue) -> Decision {
        guard let existing else { return .create }
        guard existing.type == type, existing.params == params else { return .refuse }
        return existing.status.after(.resubmit) == nil ? .returnExisting : .runAgain
    }
}
