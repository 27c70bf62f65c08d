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
    /// The spool has no room for its final; it waits in its queue.
    case noRoom
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
    let observe: (@Sendable (AttemptObservation) -> Void)?
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
                    TaskError(error.reason, error.message, hint: error.advice)
                )
            }
            return .putBack(error.message)
        }
        return try await holding(place.holdings) {
            // What has not begun stays in its queue.
            guard !live.supervisorEnds else {
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
            let begun: TaskRecord?
            do throws(BulkheadError) {
                begun = try await store.startAttempt(start)
            } catch {
                launchers.giveBack(launcher)
                if error.code == .noReserve { return .noRoom }
                guard error.retryAfterSeconds != nil else { throw error }
                return .putBack("\(error)")
            }
            guard let task = begun else {
                launchers.giveBack(launcher)
                return .stale
            }
            feed.tell(task.id)
            return try await launch(task, entry, place, terms, launcher, live)
        }
    }

    /// Gives back what an attempt holds, once it is over.
    func holding(
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
            let input = try HandlerInput(preparation.input(for: entry, task: task))
            if observe != nil { live.input = input }
            events = try launcher.launch(
                preparation.spec(for: entry, task: task, place: place),
                stdin: input,
                user: preparation.userBlock(of: place.holdings)
            )
        } catch {
            launchers.giveBack(launcher)
            // Beyond what can be described to a launcher; time does not mend that.
            guard error.code == .internal else { return try await putBack(task, error.message, live) }
            let watch = watch(task, terms, live, after: nil) { _ in }
            return .ended(try await end(watch.unlaunched("\(error)"), live))
        }
        return try await follow(task, terms, launcher, events, live)
    }

    /// Follows an attempt to its committed end, or to the point where this supervisor leaves it.
    func follow(
        _ task: TaskRecord,
        _ terms: AttemptTerms,
        _ launcher: Launcher,
        _ events: AsyncStream<LauncherEvent>,
        _ live: LiveAttempt
    ) async throws -> AttemptEnd {
        live.attach(launcher, number: UInt64(task.attempt))
        do {
            let watch = watch(task, terms, live, after: launcher.isAdopted ? launcher.tie : nil) {
                launcher.send($0)
            }
            switch try await watch.follow(events) {
            case .finished(let finish):
                let outcome = try await end(finish, live)
                release(launcher, task)
                return .ended(outcome)
            case .putBack(let reason):
                let end = try await putBack(task, reason, live)
                release(launcher, task)
                return end
            case .left:
                launchers.leave(launcher)
                return .left
            case .lost(let process, let mayHaveRun, let reason):
                logger.warning(
                    "a launcher was lost",
                    metadata: [
                        "task": "\(task.id)", "launcher": "\(launcher.mark.pid)", "reason": "\(reason)",
                    ]
                )
                if let end = try await takeRecord(task, terms, launcher.tie, live) { return end }
                await preparation.endTree(
                    of: terms.holdings.group,
                    scratch: terms.holdings.scratch,
                    process: process,
                    launcher: launcher.mark
                )
                guard mayHaveRun else {
                    return try await putBack(task, "its launcher was lost: \(reason)", live)
                }
                return .ended(try await end(lossFinish(task, terms.recovery, live), live))
            }
        } catch {
            // The outcome stays with the launcher until a supervisor has it in its store.
            launchers.leave(launcher)
            throw error
        }
    }

    /// Makes what follows an attempt; it knows the launcher's tie where there was a time without a supervisor.
    func watch(
        _ task: TaskRecord,
        _ terms: AttemptTerms,
        _ live: LiveAttempt,
        after tie: LauncherTie?,
        tell: @escaping @Sendable (SupervisorMessage) -> Void
    ) -> AttemptWatch {
        AttemptWatch(task: task, terms: terms, live: live, runner: self, tell: tell) { [folder] in
            tie.flatMap { folder.recordedAt(ofLauncher: $0.name) }
        }
    }
}
