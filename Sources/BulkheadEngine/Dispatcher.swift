import BulkheadCore
import BulkheadLaunch
import BulkheadStore
import Logging

/// Decides, again and again, who starts now, and keeps the attempts that run.
///
/// It looks at the queues whenever something has changed (a submit, an end, a new catalog) and when a moment has
/// come for which something waits (a `notBefore`, the end of a back-off).
actor Dispatcher {
    private struct PoolState {
        var health = PoolHealth()
        /// Answers of the store may overtake one another: the larger revision is the newer one.
        var revision: Int64 = -1
        var running: Set<TaskID> = []
    }

    /// A pause in all launches, since this machine could not give what one needs.
    private struct LaunchPause {
        var until: Timestamp
        var step: Int
        var reason: String
    }

    private enum Ending {
        case left
        case stopped(StopReason)
    }

    private static let pauseSchedule = BackoffSchedule(
        delay: .seconds(1),
        maximum: .seconds(60),
        jitter: .none
    )
    /// The longest that the queue is left unlooked at while something waits for a date: clocks may be set.
    private static let longestSleep: Duration = .seconds(10)
    /// The time between looks at what is due and cannot be moved, for want of room in the spool.
    private static let heldUpPause: Duration = .seconds(1)

    private let store: Store
    private let catalog: CatalogHolder
    private let runner: AttemptRunner
    private let mirror: PoolMirror
    private let clocks: Clocks
    private let logger: Logger
    private let signals: AsyncStream<Void>
    private nonisolated let signal: AsyncStream<Void>.Continuation
    private var pools: [PoolName: PoolState] = [:]
    private var live: [TaskID: LiveAttempt] = [:]
    private var launchPause: LaunchPause?
    /// Whether something that is due could not be moved, so that looking again at once is of no use.
    private var dueIsHeldUp = false
    private var isDispatching = true
    /// What an attempt is told that comes once the others have been told.
    private var ending: Ending?
    private var alarm: Task<Void, Never>?
    private var failure: BulkheadError?
    private var idle: [CheckedContinuation<Void, Never>] = []
    /// After a start not everything that waits is launched at one moment.
    private var ramp = LaunchRamp()

    init(
        store: Store,
        catalog: CatalogHolder,
        runner: AttemptRunner,
        mirror: PoolMirror,
        clocks: Clocks,
        logger: Logger
    ) {
        self.store = store
        self.catalog = catalog
        self.runner = runner
        self.mirror = mirror
        self.clocks = clocks
        self.logger = logger
        (signals, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Says that the queues or the pools may have changed.
    nonisolated func wake() { signal.yield() }

    /// Takes the pools' health as it was stored, brought into what their rules allow now.
    func load(_ health: [PoolName: PoolRecord]) {
        let now = clocks.steady()
        for (name, stored) in health {
            var state = pools[name] ?? PoolState()
            state.health = stored.health
            state.revision = stored.revision
            state.health.clamp(to: catalog.current.settings(of: name).backoff, now: now)
            pools[name] = state
        }
    }

    /// Dispatches until ``stopDispatching()``, and returns when the last attempt has ended.
    /// - Throws: What the store said, where it can no longer be relied on.
    func run() async throws {
        signal.yield()
        await withDiscardingTaskGroup { group in
            for await _ in signals {
                guard isDispatching else { break }
                do {
                    try await pass(&group)
                } catch let error as BulkheadError where error.retryAfterSeconds != nil {
                    logger.warning(
                        "the queues could not be read; tried again",
                        metadata: ["error": "\(error)"]
                    )
                    setAlarm(after: .seconds(error.retryAfterSeconds ?? 1))
                } catch {
                    fail(error)
                }
            }
        }
        // Attempts of an earlier supervisor are not the group's.
        await waitUntilIdle()
        alarm?.cancel()
        if let failure { throw failure }
    }

    /// Starts nothing more; ``run()`` returns once the attempts that run have ended.
    func stopDispatching() {
        isDispatching = false
        signal.yield()
    }

    /// Waits until no attempt runs.
    func waitUntilIdle() async {
        guard !live.isEmpty else { return }
        await withCheckedContinuation { idle.append($0) }
    }

    /// Enters an attempt of an earlier supervisor, which takes its place in its pool at once.
    ///
    /// To be called before ``run()``, which waits for its end like for every other's.
    func takeOver(
        _ task: TaskRecord,
        _ attempt: LiveAttempt,
        _ body: @escaping @Sendable () async throws -> AttemptEnd
    ) {
        enter(attempt, of: task.id, in: task.pool)
        // Who asks for its end has waited for this.
        runner.feed.tell(task.id)
        Task { await self.run(task.id, in: task.pool, body) }
    }

    /// Leaves every attempt to its launcher; those that have none yet stay in their queues.
    func leaveAll() {
        ending = .left
        for attempt in live.values { attempt.leave() }
    }

    /// Asks every attempt to end.
    func stopAll(_ reason: StopReason) {
        ending = ending ?? .stopped(reason)
        for attempt in live.values { attempt.stop(reason) }
    }

    /// Asks one task's attempt to end.
    /// - Returns: Whether there was one.
    func stop(_ id: TaskID, _ reason: StopReason) -> Bool {
        guard let attempt = live[id] else { return false }
        attempt.stop(reason)
        return true
    }

    /// Which tasks of a pool run, or are about to, and how it stands.
    func state(of pool: PoolName) -> (running: Int, health: PoolHealth) {
        let state = pools[pool] ?? PoolState()
        return (state.running.count, state.health)
    }

    /// The pools of which anything is known.
    var knownPools: Set<PoolName> { Set(pools.keys) }

    /// What keeps a pool's tasks from starting, in plain words; nil where nothing does.
    func obstacle(in pool: PoolName) -> String? {
        guard isDispatching else { return "the supervisor is stopping" }
        let now = clocks.steady()
        let settings = catalog.current.settings(of: pool)
        let state = pools[pool] ?? PoolState()
        if let until = state.health.backoffUntil {
            return until > now
                ? "pool \(pool) backs off until \(clocks.date(of: until)), after \(state.health.failures) failures in a row"
                : "pool \(pool) runs one probe after \(state.health.failures) failures in a row"
        }
        if let launchPause, launchPause.until > now {
            return
                "no task could be launched (\(launchPause.reason)); tried again at \(clocks.date(of: launchPause.until))"
        }
        if state.running.count >= settings.concurrency {
            return "a free slot in pool \(pool) (\(state.running.count) of \(settings.concurrency) are taken)"
        }
        if ramp.left == 0, let step = ramp.nextStep, step > now {
            return "its turn: after a start of the supervisor tasks are launched a few at a time"
        }
        return nil
    }

    // MARK: One look at the queues

    private func pass(_ group: inout DiscardingTaskGroup) async throws {
        try await moveDueTasks()
        if let launchPause, launchPause.until > clocks.steady() {
            setAlarm(NextWake())
            return
        }
        guard store.diskShortage == nil else {
            // Whoever watches the disk wakes the dispatcher once there is room.
            setAlarm(try await store.nextWake())
            return
        }
        ramp.advance(to: clocks.steady(), random: clocks.random)
        var fitting = try await store.room().startsThatFit
        let ready = try await store.poolsWithReadyTasks()
        for (index, pool) in ready.enumerated() where isDispatching && fitting > 0 {
            let share = ramp.share(amongPools: ready.count - index) ?? .max
            let started = try await startTasks(of: pool, atMost: min(share, fitting), &group)
            ramp.take(started)
            fitting -= started
        }
        setAlarm(try await store.nextWake())
    }

    private func moveDueTasks() async throws {
        let (date, steady) = (clocks.wall(), clocks.steady())
        let next = try await store.nextWake()
        let isDue = next.date.map { $0 <= date } ?? false
        guard isDue || next.wait.map({ $0 <= steady }) ?? false else { return }
        let expired = try await store.expireDue(now: date)
        for task in expired { runner.feed.tell(task.id) }
        let woken = try await store.wakeDue(date: date, steady: steady)
        dueIsHeldUp = expired.isEmpty && !woken
    }

    /// Starts a pool's tasks.
    /// - Returns: How many.
    private func startTasks(
        of name: PoolName,
        atMost most: Int,
        _ group: inout DiscardingTaskGroup
    ) async throws -> Int {
        let state = pools[name] ?? PoolState()
        let plan = DispatchPlan.Pool(
            name: name,
            concurrency: catalog.current.settings(of: name).concurrency,
            running: state.running.count,
            health: state.health
        )
        let now = clocks.steady()
        let open = min(plan.openSlots(now: now), most)
        guard open > 0 else { return 0 }
        // Those that were chosen and are not yet running in the store still stand at the head of the queue.
        let heads = try await store.queueHeads(name, limit: open + state.running.count)
        // While the store was asked the end may have come.
        guard isDispatching else { return 0 }
        let queue = heads.filter { live[$0.id] == nil }
        let starts = DispatchPlan.starts(in: plan, queue: queue, now: now).prefix(open)
        for candidate in starts {
            let attempt = LiveAttempt()
            enter(attempt, of: candidate.id, in: name)
            group.addTask {
                // Not a child of the group: an attempt ends by its launcher's word, never by a cancellation.
                await Task {
                    await self.run(candidate.id, in: name) {
                        try await self.runner.run(candidate.id, live: attempt)
                    }
                }.value
            }
        }
        return starts.count
    }

    private func enter(_ attempt: LiveAttempt, of id: TaskID, in pool: PoolName) {
        live[id] = attempt
        pools[pool, default: PoolState()].running.insert(id)
        switch ending {
        case .left: attempt.leave()
        case .stopped(let reason): attempt.stop(reason)
        case nil: break
        }
    }

    private func run(
        _ id: TaskID,
        in pool: PoolName,
        _ body: @Sendable () async throws -> AttemptEnd
    ) async {
        do {
            switch try await body() {
            case .ended(let outcome): note(outcome, in: pool)
            case .putBack(let reason): pauseLaunches(reason)
            case .noRoom, .stale, .left: break
            }
        } catch let error as BulkheadError where error.retryAfterSeconds != nil && isDispatching {
            // A full disk or a lock kept it from beginning; what has begun tries again by itself.
            pauseLaunches("\(error)")
        } catch {
            fail(error)
        }
        live[id] = nil
        pools[pool]?.running.remove(id)
        if live.isEmpty {
            for waiter in idle { waiter.resume() }
            idle = []
        }
        signal.yield()
    }

    /// Takes a pool's health from the store's answer.
    private func note(_ outcome: FinishOutcome?, in pool: PoolName) {
        launchPause = nil
        guard let record = outcome?.pool, record.revision > pools[pool]?.revision ?? -1 else { return }
        Task { await mirror.note(record.health, of: pool) }
        pools[pool, default: PoolState()].health = record.health
        pools[pool]?.revision = record.revision
    }

    private func pauseLaunches(_ reason: String) {
        let now = clocks.steady()
        if let launchPause, launchPause.until > now { return }
        let step = launchPause.map { $0.step + 1 } ?? 0
        let wait = Self.pauseSchedule.wait(step: step, random: 0)
        launchPause = LaunchPause(until: now + wait, step: step, reason: reason)
        logger.warning(
            "no task could be launched; queued tasks wait",
            metadata: ["reason": "\(reason)", "seconds": "\(wait.inSeconds)"]
        )
    }

    /// Arranges the next look for the earliest moment for which something waits.
    private func setAlarm(_ next: NextWake) {
        let now = clocks.steady()
        var waits = pools.values.compactMap(\.health.backoffUntil).filter { $0 > now }.map { $0 - now }
        if let date = next.date {
            let wait = date - clocks.wall()
            waits.append(wait <= .zero && dueIsHeldUp ? Self.heldUpPause : wait)
        }
        if let wait = next.wait { waits.append(wait - now) }
        if let launchPause { waits.append(launchPause.until - now) }
        if ramp.left == 0, let step = ramp.nextStep { waits.append(step - now) }
        if let wait = waits.min() {
            setAlarm(after: min(max(wait, .milliseconds(1)), Self.longestSleep))
        } else {
            alarm?.cancel()
        }
    }

    private func setAlarm(after wait: Duration) {
        alarm?.cancel()
        alarm = Task { [signal] in
            do {
                try await Task.sleep(for: wait)
                signal.yield()
            } catch {
                // A newer alarm has taken the place of this one.
            }
        }
    }

    /// The store cannot be relied on: the next start goes on from what is committed, with what still runs.
    func fail(_ error: any Error) {
        let typed = error as? BulkheadError ?? BulkheadError(.internal, "\(error)")
        logger.error("the store failed; the supervisor ends", metadata: ["error": "\(typed)"])
        failure = failure ?? typed
        leaveAll()
        stopDispatching()
    }
}
