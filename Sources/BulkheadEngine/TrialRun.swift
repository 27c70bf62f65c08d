public import BulkheadCore

/// A task that was run to try its handler out.
public struct TrialRun: Sendable, Equatable {
    /// The task as it ended.
    public var task: TaskRecord
    /// What its record does not tell; nil where no handler ran.
    public var observation: AttemptObservation?

    /// Makes a run from its parts.
    public init(task: TaskRecord, observation: AttemptObservation?) {
        self.task = task
        self.observation = observation
    }
}
