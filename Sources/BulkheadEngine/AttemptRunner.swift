import BulkheadCore
import BulkheadHost
import BulkheadLaunch
import BulkheadPolicy
import BulkheadSandbox
import BulkheadStore
import Logging

/// How an attempt left its pool.
enum AttemptEnd: Sendable {
    /// It ran, or failed for good; the pool's health after it, where it said something about it.
    case ended(FinishOutcome?)
    /// It could not start for want of something that comes back; why, in plain words.
    case putBack(String)
    /// The task was no longer there to start.
    case stale
}

/// Runs one attempt of a task, from its turn in the queue to its committed end.
struct AttemptRunner: Sendable {
    let store: Store
    let launchers: LauncherPool
    let catalog: CatalogHolder
    let preparation: LaunchPreparation
    let feed: TaskFeed
    let clocks: Clocks
    let resultLimit: Int
    let logger: Logger

    /// Runs the task's next attempt.
    /// - Throws: What the store said where it could not read or write.
    func run(_ id: TaskID, live: LiveAttempt) async throws -> AttemptEnd {
        guard let task = try await store.task(id), task.status == .queued else { return .stale }
        guard !task.cancelRequested else {
            try await endCancelled(task)
            return .stale
        }
        switch catalog.current.resolve(task.type) {
        case .unknown:
            return try await endBeforeStart(
                task,
                TaskError(
                    .noHandler,
                    "there is no handler for \(task.type) any more",
                    hint: "put one into the plugins folder and submit the task again"
                )
            )
        case .refused(let refusal):
            return try await endBeforeStart(task, refusal.taskError)
        case .ready(let entry):
            return try await run(task, entry, live)
        }
    }

    private func run(
        _ queued: TaskRecord,
        _ entry: CatalogEntry,
        _ live: LiveAttempt
    ) async throws -> AttemptEnd {
        let launcher: Launcher
        do {
            launcher = try await launchers.take()
        } catch {
            return .putBack("\(error)")
        }
        let place: LaunchPlace
        do {
            place = try preparation.makePlace(for: entry, task: queued)
        } catch {
            launchers.giveBack(launcher)
            guard error.isPassing else {
                return try await endBeforeStart(
                    queued,
                    TaskError(.launchFailed, error.message, hint: error.advice)
                )
            }
            return .putBack(error.message)
        }
        defer { preparation.remove(place) }
        let start = AttemptStart(
            id: queued.id,
            expectedAttempt: queued.attempt,
            now: clocks.wall(),
            handler: entry.handler.digest,
            enforcement: place.enforcement,
            launcher: launcher.mark
        )
        guard let task = try await store.startAttempt(start) else {
            launchers.giveBack(launcher)
            return .stale
        }
        feed.tell(task.id)
        return try await supervise(task, entry, place, launcher, live)
    }

    private func supervise(
        _ task: TaskRecord,
        _ entry: CatalogEntry,
        _ place: LaunchPlace,
        _ launcher: Launcher,
        _ live: LiveAttempt
    ) async throws -> AttemptEnd {
        let watch = AttemptWatch(
            task: task,
            entry: entry,
            launcher: launcher,
            live: live,
            runner: self,
            warnings: place.warnings
        )
        let events: AsyncStream<LauncherEvent>
        do {
            events = try launcher.launch(
                preparation.spec(for: entry, task: task, place: place),
                stdin: preparation.input(for: entry, task: task)
            )
        } catch {
            launchers.giveBack(launcher)
            // Beyond what can be described to a launcher; time does not mend that.
            guard error.code == .internal else { return try await putBack(task, error.message) }
            return .ended(try await end(watch.unlaunched("\(error)"), live))
        }
        live.attach(launcher, number: UInt64(task.attempt))
        switch try await watch.follow(events) {
        case .finished(let finish):
            let outcome = try await end(finish, live)
            release(launcher, task)
            return .ended(outcome)
        case .putBack(let reason):
            let end = try await putBack(task, reason)
            release(launcher, task)
            return end
        case .lost(let process, let reason):
            logger.warning(
                "a launcher was lost",
                metadata: ["task": "\(task.id)", "launcher": "\(launcher.mark.pid)", "reason": "\(reason)"]
            )
            await preparation.endTree(of: place, process: process, launcher: launcher.mark)
            guard process != nil else { return try await putBack(task, "its launcher was lost: \(reason)") }
            return .ended(try await end(lossFinish(task, entry, live.stopReason), live))
        }
    }

    /// Commits the end of an attempt; the launcher hears of it only after this.
    private func end(_ finish: AttemptFinish, _ live: LiveAttempt) async throws -> FinishOutcome? {
        let persistence = Persistence(live: live, logger: logger)
        let outcome = try await persistence.write { () throws(BulkheadError) in try await store.finish(finish)
        }
        feed.tell(finish.id)
        if let task = outcome?.task, task.status == .queued, task.cancelRequested {
            try await endCancelled(task)
        }
        return outcome
    }

    private func release(_ launcher: Launcher, _ task: TaskRecord) {
        launcher.send(.outcomeAck(attempt: UInt64(task.attempt)))
        launchers.giveBack(launcher)
    }

    /// Ends a queued task that somebody cancelled while an attempt of it was ending by itself.
    private func endCancelled(_ task: TaskRecord) async throws {
        let error = TaskError(.cancelled, "cancelled between two attempts")
        _ = try await store.endQueued(task.id, event: .cancel, error: error, now: clocks.wall())
        feed.tell(task.id)
    }

    /// What the loss of the launcher means for the task: rule 3 of contract §7, unless a stop came first.
    private func lossFinish(
        _ task: TaskRecord,
        _ entry: CatalogEntry,
        _ stop: StopReason?
    ) -> AttemptFinish {
        let now = clocks.wall()
        guard stop != .cancelled else {
            var finish = AttemptFinish(
                id: task.id,
                attempt: task.attempt,
                event: .cancel,
                outcome: "cancelled",
                now: now
            )
            finish.error = TaskError(.cancelled, "cancelled; its launcher was lost before it had ended")
            return finish
        }
        let recovery = entry.policy.recovery
        let decision = RecoveryRule.decide(
            stop == .supervisorStop ? .stopped : .crash,
            mayRunAgain: recovery.mode == .rehydrate,
            limit: recovery.limit,
            interruptions: task.interruptions,
            lossesInRow: task.lossesInRow
        )
        return AttemptFinish(task: task, decision: decision, now: now)
    }

    private func putBack(_ task: TaskRecord, _ reason: String) async throws -> AttemptEnd {
        let queued = try await store.putBack(
            task.id,
            attempt: task.attempt,
            notBefore: nil,
            waitingFor: reason
        )
        feed.tell(task.id)
        if let queued, queued.cancelRequested { try await endCancelled(queued) }
        return .putBack(reason)
    }

    private func endBeforeStart(_ task: TaskRecord, _ error: TaskError) async throws -> AttemptEnd {
        let ended = try await store.endQueued(task.id, event: .fail, error: error, now: clocks.wall())
        feed.tell(task.id)
        return ended == nil ? .stale : .ended(nil)
    }
}
