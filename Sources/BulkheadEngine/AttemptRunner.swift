import BulkheadCore
import BulkheadHost
import BulkheadLaunch
import BulkheadPolicy
import BulkheadSandbox
import BulkheadStore
import Glibc
import Logging

/// How an attempt left its pool.
enum AttemptEnd: Sendable {
    /// It ran, or failed for good; the pool's health after it, where it said something about it.
    case ended(FinishOutcome?)
    /// It could not start for want of something that comes back; why, in plain words.
    case putBack(String)
    /// The task was no longer there to start, or is not to be started any more.
    case stale
    /// It goes on without this supervisor.
    case left
}

/// Runs one attempt of a task, from its turn in the queue to its committed end.
struct AttemptRunner: Sendable {
    let store: Store
    let launchers: LauncherPool
    let folder: LaunchersFolder
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
        return try await holding(place.holdings) {
            guard !live.isLeft else {
                launchers.giveBack(launcher)
                return .stale
            }
            let terms = AttemptTerms(entry, place)
            var start = AttemptStart(
                id: queued.id,
                expectedAttempt: queued.attempt,
                now: clocks.wall(),
                handler: entry.handler.digest,
                enforcement: place.enforcement,
                launcher: launcher.mark
            )
            start.tie = launcher.tie
            start.terms = terms.value
            guard let task = try await store.startAttempt(start) else {
                launchers.giveBack(launcher)
                return .stale
            }
            feed.tell(task.id)
            return try await launch(task, entry, place, terms, launcher, live)
        }
    }

    /// Gives back what an attempt holds, once it is over.
    private func holding(
        _ holdings: Holdings,
        _ body: () async throws -> AttemptEnd
    ) async throws -> AttemptEnd {
        // Where the store fails the attempt is left as well: the next start goes on with it.
        let end = try await body()
        if case .left = end { return end }
        preparation.remove(holdings)
        return end
    }

    private func launch(
        _ task: TaskRecord,
        _ entry: CatalogEntry,
        _ place: LaunchPlace,
        _ terms: AttemptTerms,
        _ launcher: Launcher,
        _ live: LiveAttempt
    ) async throws -> AttemptEnd {
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
            let watch = watch(task, terms, live) { _ in }
            return .ended(try await end(watch.unlaunched("\(error)"), live))
        }
        return try await follow(task, terms, launcher, events, live)
    }

    /// Follows an attempt to its committed end, or to the point where this supervisor leaves it.
    private func follow(
        _ task: TaskRecord,
        _ terms: AttemptTerms,
        _ launcher: Launcher,
        _ events: AsyncStream<LauncherEvent>,
        _ live: LiveAttempt
    ) async throws -> AttemptEnd {
        live.attach(launcher, number: UInt64(task.attempt))
        do {
            switch try await watch(task, terms, live, tell: { launcher.send($0) }).follow(events) {
            case .finished(let finish):
                let outcome = try await end(finish, live)
                release(launcher, task)
                return .ended(outcome)
            case .putBack(let reason):
                let end = try await putBack(task, reason)
                release(launcher, task)
                return end
            case .left:
                launchers.leave(launcher)
                return .left
            case .lost(let process, let reason):
                logger.warning(
                    "a launcher was lost",
                    metadata: [
                        "task": "\(task.id)", "launcher": "\(launcher.mark.pid)", "reason": "\(reason)",
                    ]
                )
                if let end = try await takeRecord(task, terms, launcher.tie, live) { return end }
                await preparation.endTree(
                    of: terms.holdings.group,
                    process: process,
                    launcher: launcher.mark
                )
                guard process != nil else {
                    return try await putBack(task, "its launcher was lost: \(reason)")
                }
                return .ended(try await end(lossFinish(task, terms.recovery, live), live))
            }
        } catch {
            // The outcome stays with the launcher until a supervisor has it in its store.
            launchers.leave(launcher)
            throw error
        }
    }

    private func watch(
        _ task: TaskRecord,
        _ terms: AttemptTerms,
        _ live: LiveAttempt,
        tell: @escaping @Sendable (SupervisorMessage) -> Void
    ) -> AttemptWatch {
        AttemptWatch(task: task, terms: terms, live: live, runner: self, tell: tell)
    }

    /// Takes the outcome that a launcher has recorded, in the same way as one that it tells.
    /// - Returns: The end; nil where there is no record.
    private func takeRecord(
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
        switch try await watch(task, terms, live, tell: { _ in }).follow(events) {
        case .finished(let finish): end = .ended(try await self.end(finish, live))
        case .putBack(let reason): end = try await putBack(task, reason)
        case .left, .lost: return nil
        }
        folder.forget(launcher: tie.name)
        return end
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
        if launcher.isAdopted, let tie = launcher.tie { folder.forgetRecord(ofLauncher: tie.name) }
        launchers.giveBack(launcher)
    }

    /// Ends a queued task that somebody cancelled while an attempt of it was ending by itself.
    private func endCancelled(_ task: TaskRecord) async throws {
        let error = TaskError(.cancelled, "cancelled between two attempts")
        _ = try await store.endQueued(task.id, event: .cancel, error: error, now: clocks.wall())
        feed.tell(task.id)
    }

    /// What it means for a task that nothing is left of its attempt: rule 3 of contract §7, unless a stop came first.
    private func lossFinish(
        _ task: TaskRecord,
        _ recovery: RecoveryPolicy?,
        _ live: LiveAttempt
    ) -> AttemptFinish {
        if live.stopReason == .cancelled || task.cancelRequested {
            var finish = AttemptFinish(
                id: task.id,
                attempt: task.attempt,
                event: .cancel,
                outcome: "cancelled",
                now: clocks.wall()
            )
            finish.error = TaskError(.cancelled, "cancelled; its launcher was lost before it had ended")
            return finish
        }
        let decision = RecoveryRule.decide(
            live.stopReason == .supervisorStop ? .stopped : .crash,
            mayRunAgain: recovery?.mode == .rehydrate,
            limit: recovery?.limit ?? RecoveryPolicy().limit,
            interruptions: task.interruptions,
            lossesInRow: task.lossesInRow
        )
        return AttemptFinish(task: task, decision: decision, now: clocks.wall())
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

/// Going on with what an earlier supervisor left.
extension AttemptRunner {
    /// How long a launcher may take to exit once it has stopped listening; after that it is ended.
    private static let exitPatience = Duration.seconds(5)
    /// Between two tries to speak to a launcher that lives and does not answer.
    private static let retryPause = Duration.seconds(1)

    /// An attempt that ran when the supervisor before ended.
    struct Leftover: Sendable {
        var task: TaskRecord
        var attempt: AttemptRecord
        var tie: AttemptTie
        var terms: AttemptTerms?
    }

    /// What became of one, as far as it is known at once.
    enum Found: Sendable {
        case adopted
        case recorded
        case waiting
        case lost(TaskEvent)
    }

    /// Goes on with an attempt by the rules of contract §7, to its end.
    /// - Parameters:
    ///   - left: The attempt.
    ///   - live: By which it can be stopped and left.
    ///   - recovery: What its type's policy says now; nil where there is none that is right.
    ///   - tell: Told what was found, at least once, and first when nothing has to be waited for any more.
    /// - Returns: How it ended.
    /// - Throws: What the store said where it could not read or write.
    func recover(
        _ left: Leftover,
        live: LiveAttempt,
        recovery: RecoveryPolicy?,
        tell: @Sendable (Found) -> Void
    ) async throws -> AttemptEnd {
        if left.task.cancelRequested { live.stop(.cancelled) }
        guard let terms = left.terms else { return try await lose(left, recovery, live, tell) }
        return try await holding(terms.holdings) {
            tries: while !live.isLeft {
                switch await adopt(left, terms) {
                case .success(let adopted):
                    tell(.adopted)
                    return try await follow(left.task, terms, adopted.launcher, adopted.events, live)
                case .failure(let failure):
                    if await isOver(failure, left, live) { break tries }
                    tell(.waiting)
                }
            }
            guard !live.isLeft else { return .left }
            if let end = try await takeRecord(left.task, terms, left.tie.launcher, live) {
                tell(.recorded)
                return end
            }
            return try await lose(left, recovery, live, tell)
        }
    }

    private func adopt(
        _ left: Leftover,
        _ terms: AttemptTerms
    ) async -> Result<(launcher: Launcher, events: AsyncStream<LauncherEvent>), AdoptionFailure> {
        guard let tie = left.tie.launcher, let mark = left.attempt.launcher else { return .failure(.gone) }
        do {
            return .success(
                try await launchers.adopt(
                    tie,
                    mark: mark,
                    attempt: (task: left.task.id.text, number: UInt64(left.task.attempt)),
                    committed: (stdout: UInt64(left.tie.stdoutEnd), stderr: UInt64(left.tie.stderrEnd)),
                    times: (timeout: terms.timeout, grace: terms.grace)
                )
            )
        } catch {
            return .failure(error)
        }
    }

    /// Deals with a launcher that could not be adopted.
    /// - Returns: Whether it has ended; else it is worth another try.
    private func isOver(_ failure: AdoptionFailure, _ left: Leftover, _ live: LiveAttempt) async -> Bool {
        guard let launcher = left.attempt.launcher else { return true }
        let words: Logger.Metadata = [
            "task": "\(left.task.id)", "launcher": "\(launcher.pid)", "reason": "\(failure)",
        ]
        switch failure {
        case .gone:
            return true
        case .deaf where await ProcessIdentity.waitForEnd(of: launcher, atMost: Self.exitPatience):
            return true
        case .deaf, .foreign:
            logger.warning("a launcher cannot be adopted and is ended", metadata: words)
            return await end(left, launcher)
        case .silent, .unknownVersion:
            logger.notice("a launcher is waited for", metadata: words)
            if failure == .silent { ProcessIdentity.send(SIGCONT, to: launcher) }
            if live.stopReason != nil { return await end(left, launcher) }
            return await ProcessIdentity.waitForEnd(of: launcher, atMost: Self.retryPause)
        }
    }

    private func end(_ left: Leftover, _ launcher: ProcessMark) async -> Bool {
        await preparation.endTree(
            of: LaunchPreparation.group(of: left.task.id, attempt: left.task.attempt),
            process: left.attempt.process,
            launcher: launcher
        )
        return true
    }

    /// Rule 3, after rule 4.
    private func lose(
        _ left: Leftover,
        _ recovery: RecoveryPolicy?,
        _ live: LiveAttempt,
        _ tell: @Sendable (Found) -> Void
    ) async throws -> AttemptEnd {
        if let launcher = left.attempt.launcher { _ = await end(left, launcher) }
        let finish = lossFinish(left.task, recovery, live)
        let outcome = try await end(finish, live)
        if let tie = left.tie.launcher { folder.forget(launcher: tie.name) }
        tell(.lost(finish.event))
        return .ended(outcome)
    }
}
