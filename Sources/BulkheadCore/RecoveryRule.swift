/// What becomes of a running attempt of which nothing lives any more and no outcome is recorded (contract §7).
public enum RecoveryRule {
    /// Whose doing the loss was.
    public enum Loss: Sendable, Equatable {
        /// A crash took the attempt.
        case crash
        /// We stopped it, since the supervisor ends.
        case stopped
    }

    /// What to do with the task.
    public struct Decision: Sendable, Equatable {
        /// `rehydrate`, `interrupt` or, for poison, `fail`.
        public var event: TaskEvent
        /// Why it does not go on, where it does not.
        public var error: TaskError?
        /// The count of losses over the task's life from now on.
        public var interruptions: Int
        /// The count of losses in a row from now on.
        public var lossesInRow: Int
    }

    /// Decides what becomes of a lost attempt.
    /// - Parameters:
    ///   - loss: Whose doing it was.
    ///   - mayRunAgain: Whether the policy says `rehydrate`.
    ///   - limit: Losses in a row after which the task is poison.
    ///   - interruptions: The losses over the task's life before this one.
    ///   - lossesInRow: The losses in a row before this one.
    /// - Returns: The decision.
    public static func decide(
        _ loss: Loss,
        mayRunAgain: Bool,
        limit: Int,
        interruptions: Int,
        lossesInRow: Int
    ) -> Decision {
        let counted = loss == .crash ? 1 : 0
        var decision = Decision(
            event: mayRunAgain ? .rehydrate : .interrupt,
            error: nil,
            interruptions: interruptions + counted,
            lossesInRow: lossesInRow + counted
        )
        if loss == .crash, mayRunAgain, decision.lossesInRow >= limit {
            decision.event = .fail
            decision.error = TaskError(
                .poison,
                "a crash took it \(decision.lossesInRow) times in a row, so it is not run again",
                hint:
                    "look into what it was doing, then submit it again; recovery.limit in its policy is \(limit)"
            )
        } else if !mayRunAgain {
            decision.error = TaskError(
                .supervisorLost,
                loss == .crash
                    ? "the supervisor or its launcher was lost while it ran"
                    : "the supervisor was stopped while it ran",
                hint: "submit it again; recovery: rehydrate in its policy would run it again by itself"
            )
        }
        return decision
    }
}
