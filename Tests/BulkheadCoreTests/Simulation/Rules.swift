import BulkheadCore

/// The core's rules as the simulated world uses them, so that a test can put a broken one in a rule's place.
struct Rules: Sendable {
    var submit: @Sendable (SubmitRule.Existing?, JSONValue) -> SubmitRule.Decision = { existing, params in
        SubmitRule.decide(existing: existing, type: World.type, params: params)
    }
    var after: @Sendable (TaskStatus, TaskEvent) -> TaskStatus? = { $0.after($1) }
    var outcome: @Sendable (AttemptEnding, HandlerError?, _ retriesLeft: Int) -> OutcomeRule = {
        OutcomeRule.decide($0, handlerError: $1, retriesLeft: $2)
    }
    var recover: @Sendable (RecoveryRule.Loss, Bool, Row) -> RecoveryRule.Decision = {
        loss,
        mayRunAgain,
        row in
        RecoveryRule.decide(
            loss,
            mayRunAgain: mayRunAgain,
            limit: World.lossLimit,
            interruptions: row.interruptions,
            lossesInRow: row.lossesInRow
        )
    }
    var fail: @Sendable (inout PoolHealth, Duration, Timestamp, Double) -> Void = {
        health,
        ran,
        now,
        random in
        health.fail(after: ran, rule: World.backoff, now: now, random: random)
    }
    var succeed: @Sendable (inout PoolHealth) -> Void = { $0.succeed() }
    var clamp: @Sendable (inout PoolHealth, Timestamp) -> Void = { $0.clamp(to: World.backoff, now: $1) }
    var wait: @Sendable (_ step: Int, _ random: Double) -> Duration = {
        World.retryDelay.wait(step: $0, random: $1)
    }
    var starts:
        @Sendable (DispatchPlan.Pool, [DispatchPlan.Candidate], Timestamp) -> [DispatchPlan.Candidate] = {
            DispatchPlan.starts(in: $0, queue: $1, now: $2)
        }
}

/// A task's row, as the store keeps it.
struct Row: Equatable, Sendable {
    var task: Int
    var params: JSONValue
    var status = TaskStatus.queued
    var run = 1
    var attempt = 0
    var interruptions = 0
    var lossesInRow = 0
    var retries = 0
    var priority: Int
    var sequence: Int64
    /// By the clock that never jumps.
    var retryAt: Timestamp?
    var isCancelRequested = false
    var reason: ErrorReason?
}

/// What really happened to one task, kept apart from what the rules make of it.
struct Truth: Sendable {
    /// How an attempt came to its end.
    enum End: Sendable, Equatable {
        /// By itself, or by our stop for its own doing.
        case ended(AttemptEnding, HandlerError?)
        case lost(RecoveryRule.Loss)
    }

    struct Attempt: Sendable {
        var number: Int
        var run: Int
        var end: End?
    }

    var attempts: [Attempt] = []
    /// Runs that somebody asked to cancel.
    var cancelled: Set<Int> = []
    /// Whether a loss may be followed by another attempt.
    var rehydrates: Bool

    /// The losses over the task's life that count.
    var losses: Int { attempts.count { $0.end == .lost(.crash) } }

    /// The attempts of a run that ended by themselves and failed.
    func failures(in run: Int) -> Int {
        attempts.count { attempt in
            guard attempt.run == run, case .ended(let ending, _) = attempt.end else { return false }
            return ending != .exited(code: 0) && ending != .cancelled
        }
    }

    /// The losses at the end of a run, with no attempt ended by itself between them.
    func lossesInRow(of run: Int) -> Int {
        var count = 0
        for attempt in attempts.reversed() where attempt.run == run {
            switch attempt.end {
            case .lost(.crash): count += 1
            case .lost(.stopped), nil: continue
            case .ended: return count
            }
        }
        return count
    }
}
