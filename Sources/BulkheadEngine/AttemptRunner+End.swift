import BulkheadCore
import BulkheadHost
import BulkheadLaunch
import BulkheadPolicy
import BulkheadStore

/// How an attempt leaves: committed, put back, or by its record.
extension AttemptRunner {
    /// Takes the outcome that a launcher has recorded, in the same way as one that it tells.
    /// - Returns: The end; nil where there is no record.
    func takeRecord(
        _ task: TaskRecord,
        _ terms: AttemptTerms,
        _ tie: LauncherTie?,
        _ live: LiveAttempt
    ) async throws -> AttemptEnd? {
        guard let tie, let record = try folder.record(ofLauncher: tie.name),
            record.attempt == UInt64(task.attempt), record.task == task.id.text || record.task.isEmpty
        else { return nil }
        let events = AsyncStream { continuation in
            for message in record.messages { continuation.yield(LauncherEvent.message(message)) }
            continuation.finish()
        }
        let end: AttemptEnd
        switch try await watch(task, terms, live, after: tie, tell: { _ in }).follow(events) {
        case .finished(let finish): end = .ended(try await self.end(finish, live))
        case .putBack(let reason): end = try await putBack(task, reason, live)
        case .left, .lost: return nil
        }
        folder.forget(launcher: tie.name)
        return end
    }

    /// Commits the end of an attempt; the launcher hears of it only after this.
    func end(_ finish: AttemptFinish, _ live: LiveAttempt) async throws -> FinishOutcome? {
        let persistence = Persistence(live: live, logger: logger)
        let outcome = try await persistence.write { () throws(BulkheadError) in try await store.finish(finish)
        }
        feed.tell(finish.id)
        if let task = outcome?.task, task.status == .queued, task.cancelRequested {
            try await persistence.write { () throws(BulkheadError) in try await endCancelled(task) }
        }
        return outcome
    }

    func release(_ launcher: Launcher, _ task: TaskRecord) {
        launcher.send(.outcomeAck(attempt: UInt64(task.attempt)))
        if launcher.isAdopted, let tie = launcher.tie { folder.forgetRecord(ofLauncher: tie.name) }
        launchers.giveBack(launcher)
    }

    /// Ends a queued task that somebody cancelled while an attempt of it was ending by itself.
    func endCancelled(_ task: TaskRecord) async throws(BulkheadError) {
        let error = TaskError(.cancelled, "cancelled between two attempts")
        _ = try await store.endQueued(task.id, event: .cancel, error: error, now: clocks.wall())
        feed.tell(task.id)
    }

    /// What it means for a task that nothing is left of its attempt: rule 3 of contract §7, unless it was to be cancelled.
    func lossFinish(
        _ task: TaskRecord,
        _ recovery: RecoveryPolicy?,
        _ live: LiveAttempt
    ) -> AttemptFinish {
        let isStopped = live.stopReason == .supervisorStop
        let decision = RecoveryRule.decide(
            isStopped ? .stopped : .crash,
            mayRunAgain: recovery?.mode == .rehydrate,
            limit: recovery?.limit ?? RecoveryPolicy().limit,
            interruptions: task.interruptions,
            lossesInRow: task.lossesInRow
        )
        var finish = AttemptFinish(task: task, decision: decision, now: clocks.wall())
        // Whoever was quicker than our stop: it is over since we ended it, and is told so.
        if isStopped { finish.outcome = "stopped" }
        finish.errorIfCancelled = TaskError(
            .cancelled,
            "cancelled; its launcher was lost before it had ended"
        )
        return finish
    }

    func putBack(
        _ task: TaskRecord,
        _ reason: String,
        _ live: LiveAttempt
    ) async throws -> AttemptEnd {
        let persistence = Persistence(live: live, logger: logger)
        let queued = try await persistence.write { () throws(BulkheadError) in
            try await store.putBack(task.id, attempt: task.attempt, waitingFor: reason)
        }
        feed.tell(task.id)
        if let queued, queued.cancelRequested {
            try await persistence.write { () throws(BulkheadError) in try await endCancelled(queued) }
        }
        return .putBack(reason)
    }

    func endBeforeStart(_ task: TaskRecord, _ error: TaskError) async throws -> AttemptEnd {
        let ended = try await store.endQueued(task.id, event: .fail, error: error, now: clocks.wall())
        feed.tell(task.id)
        return ended == nil ? .stale : .ended(nil)
    }
}
