import BulkheadCore

/// What must hold in the simulated world after each step, told from what really happened and not from the rules.
struct WorldCheck {
    let before: World
    let now: World

    /// The first thing that must not be.
    var violation: String? {
        for (task, row) in now.rows {
            guard let truth = now.truths[task] else { return "task \(task) has no history" }
            if let found = moves(row, truth) ?? counters(row, truth) ?? end(row, truth) {
                return "task \(task): \(found); \(row); \(truth.attempts.suffix(4))"
            }
        }
        for task in before.rows.keys where now.rows[task] == nil { return "task \(task) is lost" }
        return handlers ?? pool ?? starts
    }

    /// I1, I3, I7: where a row came from.
    private func moves(_ row: Row, _ truth: Truth) -> String? {
        guard let last = before.rows[row.task] else {
            return row.run == 1 && row.status == .queued ? nil : "it does not begin as queued, run 1"
        }
        if row.run != last.run {
            let mayRunAgain = last.status.isTerminal && last.status != .completed
            let isNew = row.run == last.run + 1 && row.status == .queued && row.attempt == last.attempt
            return mayRunAgain && isNew && row.params == now.submitted && row.params == last.params
                ? nil : "a new run out of \(last)"
        }
        if last.status.isTerminal, row != last { return "it was terminal: \(last)" }
        // One that could not be launched gives its number back.
        if row.attempt < last.attempt - 1 { return "it went back from attempt \(last.attempt)" }
        return row.params == last.params ? nil : "its params changed"
    }

    /// I2, I7: the counters are those of what happened.
    private func counters(_ row: Row, _ truth: Truth) -> String? {
        if row.attempt != truth.attempts.count { return "\(truth.attempts.count) attempts were begun" }
        if row.interruptions != truth.losses { return "\(truth.losses) losses happened" }
        let inRow = truth.lossesInRow(of: row.run)
        // An attempt that has ended counts when its outcome is taken.
        let isUntold = now.launchers.contains { $0.task == row.task && $0.ending != nil && !$0.isCommitted }
        if row.status == .queued || row.status == .running, !isUntold, row.lossesInRow != inRow {
            return "\(inRow) losses in a row happened"
        }
        if row.status == .queued, row.lossesInRow >= World.lossLimit { return "it is poison and waits" }
        if row.retries > World.retryLimit { return "it is retried too often" }
        return nil
    }

    /// I3: an end is what happened.
    private func end(_ row: Row, _ truth: Truth) -> String? {
        let last = truth.attempts.last { $0.run == row.run }
        let failures = truth.failures(in: row.run)
        switch row.status {
        case .queued:
            if row.isCancelRequested { return "somebody cancelled it" }
            if last?.end == .lost(.crash) || last?.end == .lost(.stopped), !truth.rehydrates {
                return "it is not to run again after a loss"
            }
            if case .ended(let ending, let error) = last?.end { return retry(ending, error, failures) }
            return last == nil || last?.end != nil ? nil : "its attempt has no end"
        case .running:
            return last?.run == row.run ? nil : "no attempt of the run was begun"
        case .completed:
            guard case .ended(.exited(code: 0), _) = last?.end else { return "no handler exited with 0" }
            return nil
        case .failed: return failure(row, truth, last?.end, failures)
        case .cancelled: return truth.cancelled.contains(row.run) ? nil : "nobody cancelled it"
        case .interrupted:
            guard case .lost = last?.end, !truth.rehydrates else {
                return "it was not lost, or may run again"
            }
            return nil
        }
    }

    /// Whether a failed attempt may be followed by another one.
    private func retry(_ ending: AttemptEnding, _ error: HandlerError?, _ failures: Int) -> String? {
        if failures > World.retryLimit { return "it has no retry left after \(failures) failures" }
        return isRetried(ending, error) ? nil : "\(ending) with \(error?.retryable as Bool?) is not retried"
    }

    private func isRetried(_ ending: AttemptEnding, _ error: HandlerError?) -> Bool {
        switch ending {
        case .exited(code: 0), .cancelled, .outOfOutput, .syscallDenied: false
        case .exited(let code): error?.retryable ?? (code != 65 && code != 78)
        default: true
        }
    }

    private func failure(_ row: Row, _ truth: Truth, _ end: Truth.End?, _ failures: Int) -> String? {
        if row.reason == .poison {
            let isPoison = truth.rehydrates && truth.lossesInRow(of: row.run) == World.lossLimit
            return isPoison ? nil : "it is poison after \(truth.lossesInRow(of: row.run)) losses in a row"
        }
        guard case .ended(let ending, let error) = end, ending != .exited(code: 0) else {
            return "no handler failed"
        }
        let hadAllTries = failures == World.retryLimit + 1
        return hadAllTries || !isRetried(ending, error) ? nil : "it had \(failures) tries"
    }

    /// I2: one handler at most for each task, and none of a task that does not run.
    private var handlers: String? {
        let live = now.launchers.filter { $0.ending == nil }
        for (task, launchers) in Dictionary(grouping: live, by: \.task) {
            if launchers.count > 1 { return "task \(task) has \(launchers.count) handlers" }
            // Until the next supervisor comes, nothing tells a launcher what the store knows.
            if now.isUp, now.rows[task]?.status != .running { return "a handler of task \(task) is left" }
        }
        return nil
    }

    /// I12: failures are counted once each, and a back-off is never longer than its maximum.
    private var pool: String? {
        if now.health.failures != now.failuresInRow {
            return "the pool counts \(now.health.failures) failures of \(now.failuresInRow)"
        }
        let backsOff = now.failuresInRow >= World.backoff.after
        if now.health.isBackingOff != backsOff {
            return "the pool \(backsOff ? "does not back" : "backs") off"
        }
        guard now.isUp, let until = now.health.backoffUntil else { return nil }
        let most = now.steady + World.backoff.schedule.maximum
        return until <= most ? nil : "the pool backs off for more than its maximum"
    }

    /// What was started was to be started, and was the first of those that waited.
    private var starts: String? {
        let started = now.rows.values.filter { row in
            row.status == .running && before.rows[row.task]?.status == .queued
        }
        guard !started.isEmpty else { return nil }
        if now.running.count > World.concurrency { return "\(now.running.count) tasks run at once" }
        if let until = before.health.backoffUntil {
            if until > now.steady { return "a task was started while the pool backs off" }
            if now.running.count > 1 { return "more than a probe runs" }
        }
        let ready = now.rows.values.filter {
            $0.status == .queued && ($0.retryAt ?? now.steady) <= now.steady
        }
        for row in started {
            if let retryAt = before.rows[row.task]?.retryAt, retryAt > now.steady {
                return "task \(row.task) was started before its time"
            }
            for other in ready where (row.priority, other.sequence) < (other.priority, row.sequence) {
                return "task \(row.task) was started before \(other.task)"
            }
        }
        return nil
    }
}
