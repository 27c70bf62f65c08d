/// A graceful stop as a value: SIGTERM, the grace, SIGKILL, the end.
///
/// Time is passed in, in nanoseconds of one monotonic clock.
public struct StopSteps: Sendable, Equatable {
    /// What may happen to an attempt.
    public enum Event: Sendable, Equatable {
        /// Something wants it ended.
        case stop(StopReason)
        /// Time has passed; `deadline` says when this is due.
        case deadline
        /// The handler's own process has ended.
        case exited
        /// Nothing of its tree is left.
        case treeEnded
    }

    /// What is to be done to the whole tree.
    public enum Action: Sendable, Equatable {
        /// SIGTERM, then SIGCONT so that a stopped process receives it.
        case terminate
        /// SIGKILL, until nothing is left.
        case kill
    }

    /// Where the stop stands.
    public enum Phase: Sendable, Equatable {
        /// No stop yet. Leaves by `stop` (to terminating or killing) and `exited` (to killing).
        case running
        /// SIGTERM is sent. Leaves by `deadline`, `exited` and a `stop` that ends at once (all to killing).
        case terminating(killAt: UInt64)
        /// SIGKILL is sent. Leaves by `treeEnded`.
        case killing
        /// Nothing is left. No event leaves it.
        case ended
    }

    /// Where the stop stands.
    public private(set) var phase = Phase.running
    /// What ended the attempt: the first stop, and only if it came before the exit.
    public private(set) var reason: StopReason?
    private let graceNanoseconds: UInt64

    /// Makes the steps of an attempt that runs.
    ///
    /// - Parameter graceNanoseconds: Nanoseconds from SIGTERM to SIGKILL.
    public init(graceNanoseconds: UInt64) {
        self.graceNanoseconds = graceNanoseconds
    }

    /// When the next event `deadline` is due, if any.
    public var deadline: UInt64? {
        guard case .terminating(let killAt) = phase else { return nil }
        return killAt
    }

    /// Takes an event.
    ///
    /// - Parameters:
    ///   - event: What happened.
    ///   - now: When, in nanoseconds.
    /// - Returns: What is to be done now; nil: nothing new.
    public mutating func handle(_ event: Event, at now: UInt64) -> Action? {
        switch (phase, event) {
        case (.running, .stop(let why)):
            reason = why
            return why.endsAtOnce || graceNanoseconds == 0 ? kill() : terminate(at: now)
        case (.terminating, .stop(let why)) where why.endsAtOnce:
            return kill()
        case (.terminating(let killAt), .deadline) where now >= killAt:
            return kill()
        case (.running, .exited), (.terminating, .exited):
            return kill()
        case (.killing, .treeEnded):
            phase = .ended
            return nil
        case (.running, _), (.terminating, _), (.killing, _), (.ended, _):
            return nil
        }
    }

    private mutating func terminate(at now: UInt64) -> Action {
        let (sum, overflow) = now.addingReportingOverflow(graceNanoseconds)
        phase = .terminating(killAt: overflow ? .max : sum)
        return .terminate
    }

    private mutating func kill() -> Action {
        phase = .killing
        return .kill
    }
}
