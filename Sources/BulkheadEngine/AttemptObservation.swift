public import BulkheadCore
import BulkheadHost
import BulkheadLaunch

/// What a handler left running when it exited by itself.
public struct LeftBehind: Sendable, Equatable {
    /// Processes of its tree that lived on, and were ended.
    public var processes: Int
    /// Whether one of them held stdout, stderr or fd 3 open.
    public var holdsPipes: Bool
}

/// What the record of an attempt does not tell: for who tries a handler out.
public struct AttemptObservation: Sendable, Equatable {
    /// How the handler's own process ended.
    public enum Ending: Sendable, Equatable {
        /// It exited with this code.
        case exited(code: Int32)
        /// This signal ended it.
        case signaled(signal: Int32)
    }

    /// The task.
    public var task: TaskID
    /// How the handler's own process ended.
    public var ending: Ending
    /// Whether something else than the handler's own exit decided its end: a stop, a limit, a denied call.
    public var wasStopped: Bool
    /// From the exec to the exit.
    public var elapsed: Duration
    /// What it left running.
    public var leftBehind: LeftBehind?
    /// Whether somebody read from its stdin.
    public var readInput: Bool

    init(
        task: TaskID,
        ending: Ending,
        wasStopped: Bool,
        elapsed: Duration,
        leftBehind: LeftBehind?,
        readInput: Bool
    ) {
        self.task = task
        self.ending = ending
        self.wasStopped = wasStopped
        self.elapsed = elapsed
        self.leftBehind = leftBehind
        self.readInput = readInput
    }

    init(task: TaskRecord, _ outcome: LaunchOutcome, leftBehind: LeftBehind?, input: HandlerInput?) {
        self.task = task.id
        ending =
            switch outcome.ending {
            case .exited(let code): .exited(code: code)
            case .signaled(let signal): .signaled(signal: signal)
            }
        wasStopped = outcome.stop != nil
        elapsed = .nanoseconds(Int64(clamping: outcome.wallNanoseconds))
        self.leftBehind = leftBehind
        readInput = input?.wasRead ?? false
    }
}
