import BulkheadCore
import SeededRandom

/// A small world around the core.
///
/// It has what is durable, what a crash takes, launchers that outlive the supervisor, and clocks that jump. Everything
/// that can come between two commits is a step of its own.
struct World {
    static let type: TaskType = {
        do {
            return try TaskType("simulated")
        } catch {
            fatalError("\(error)")
        }
    }()
    static let lossLimit = 3
    static let retryLimit = 2
    static let concurrency = 3
    static let backoff = PoolBackoff(
        after: 3,
        within: .seconds(60),
        schedule: BackoffSchedule(delay: .seconds(1), maximum: .seconds(30))
    )
    static let retryDelay = BackoffSchedule(delay: .seconds(1), maximum: .seconds(10))
    static let otherParams: JSONValue = ["other": true]
    private static let ids = (0..<8).map { TaskID(milliseconds: Int64($0), random: (0, 0)) }

    /// A launcher with an attempt; it goes on without a supervisor.
    struct Launcher: Sendable {
        var task: Int
        var attempt: Int
        /// How its handler ended, once it has; kept until it is acknowledged.
        var ending: (AttemptEnding, HandlerError?)?
        /// Whether the supervisor that is there follows it.
        var isAttached: Bool
        /// Whether its outcome is in the store.
        var isCommitted = false
    }

    let rules: Rules
    var random: SeededRandom

    // What is durable.
    var rows: [Int: Row] = [:]
    var health = PoolHealth()
    private var sequence: Int64 = 0

    // What lives on without a supervisor.
    var launchers: [Launcher] = []

    // What a crash takes.
    var isUp = true
    /// Attempts that are in the store and not with a launcher yet.
    var unlaunched: [Int] = []
    /// Tasks that ran when the supervisor before ended, and are not looked at yet.
    var unrecovered: [Int] = []

    // The clocks: one that people set, and one that only goes forward and begins anew with each supervisor.
    var wall = Timestamp(milliseconds: 1_700_000_000_000)
    var steady = Timestamp(milliseconds: 1_700_000_000_000)

    /// The submit of this step.
    var submitted: JSONValue?
    /// What happened, as nobody in the world knows it.
    var truths: [Int: Truth] = [:]
    /// Failures of handlers since the last success.
    var failuresInRow = 0

    init(seed: UInt64, rules: Rules = Rules()) {
        random = SeededRandom(seed: seed)
        self.rules = rules
    }

    /// The tasks of which the supervisor has an attempt in its hands.
    var running: [Int] { unlaunched + launchers.filter { $0.isAttached && !$0.isCommitted }.map(\.task) }

    private func index(of task: Int) -> Int? {
        launchers.firstIndex { $0.task == task && $0.attempt == rows[task]?.attempt && !$0.isCommitted }
    }

    // MARK: Steps of clients

    mutating func submit(_ task: Int, params: JSONValue) {
        guard isUp else { return }
        submitted = params
        let existing = rows[task].map {
            SubmitRule.Existing(status: $0.status, type: Self.type, params: $0.params)
        }
        sequence += 1
        switch rules.submit(existing, params) {
        case .create:
            rows[task] = Row(
                task: task,
                params: params,
                priority: Int.random(in: 0...2, using: &random),
                sequence: sequence
            )
            truths[task] = truths[task] ?? Truth(rehydrates: task % 2 == 0)
        case .runAgain:
            guard var row = rows[task], let next = rules.after(row.status, .resubmit) else { return }
            row.status = next
            row.run += 1
            row.sequence = sequence
            (row.lossesInRow, row.retries) = (0, 0)
            (row.retryAt, row.reason, row.isCancelRequested) = (nil, nil, false)
            rows[task] = row
        case .returnExisting, .refuse: break
        }
    }

    mutating func cancel(_ task: Int) {
        guard isUp, var row = rows[task], !row.status.isTerminal else { return }
        truths[task]?.cancelled.insert(row.run)
        if row.status == .queued {
            end(&row, .cancel, .cancelled)
        } else {
            row.isCancelRequested = true
            rows[task] = row
            stopIfCancelled(task)
        }
    }

    private mutating func end(_ row: inout Row, _ event: TaskEvent, _ reason: ErrorReason?) {
        guard let next = rules.after(row.status, event) else { return }
        row.status = next
        row.reason = reason
        if next.isTerminal { row.isCancelRequested = false }
        rows[row.task] = row
    }

    private mutating func stopIfCancelled(_ task: Int) {
        guard rows[task]?.isCancelRequested == true, let index = index(of: task),
            launchers[index].isAttached, launchers[index].ending == nil
        else { return }
        handlerEnds(index, .cancelled, nil)
    }

    // MARK: Steps of the supervisor

    mutating func dispatch() {
        guard isUp, unrecovered.isEmpty else { return }
        let pool = DispatchPlan.Pool(
            name: .default,
            concurrency: Self.concurrency,
            running: running.count,
            health: health
        )
        let queue = rows.values.filter { $0.status == .queued && ($0.retryAt ?? steady) <= steady }
            .map {
                DispatchPlan.Candidate(id: Self.ids[$0.task], priority: $0.priority, sequence: $0.sequence)
            }
        for start in rules.starts(pool, queue, steady) {
            guard let task = Self.ids.firstIndex(of: start.id), var row = rows[task],
                let next = rules.after(row.status, .start)
            else { continue }
            row.status = next
            row.attempt += 1
            row.retryAt = nil
            rows[task] = row
            truths[task]?.attempts.append(Truth.Attempt(number: row.attempt, run: row.run))
            unlaunched.append(task)
        }
    }

    /// Hands an attempt to a launcher; now and then there is none to be had.
    mutating func launch() {
        guard isUp, let task = unlaunched.popLast(), var row = rows[task] else { return }
        if Int.random(in: 0..<10, using: &random) == 0 {
            guard let next = rules.after(row.status, .putBack) else { return }
            row.status = next
            row.attempt -= 1
            truths[task]?.attempts.removeLast()
            if row.isCancelRequested {
                end(&row, .cancel, .cancelled)
            } else {
                rows[task] = row
            }
            return
        }
        launchers.append(Launcher(task: task, attempt: row.attempt, isAttached: true))
        stopIfCancelled(task)
    }

    /// A handler ends, whether somebody follows it or not.
    mutating func handlerEnds(_ index: Int, _ ending: AttemptEnding, _ error: HandlerError?) {
        launchers[index].ending = (ending, error)
        let launcher = launchers[index]
        note(.ended(ending, error), task: launcher.task, attempt: launcher.attempt)
    }

    private mutating func note(_ end: Truth.End, task: Int, attempt: Int) {
        guard let at = truths[task]?.attempts.lastIndex(where: { $0.number == attempt }) else { return }
        truths[task]?.attempts[at].end = end
    }

    /// Commits an outcome that a launcher has told.
    mutating func takeOutcome() {
        let told = launchers.indices.filter {
            launchers[$0].isAttached && launchers[$0].ending != nil && !launchers[$0].isCommitted
        }
        guard isUp, let index = told.randomElement(using: &random),
            let (ending, error) = launchers[index].ending
        else { return }
        launchers[index].isCommitted = true
        let task = launchers[index].task
        // A stale outcome has no effect.
        guard var row = rows[task], row.status == .running, row.attempt == launchers[index].attempt else {
            return
        }
        let outcome = rules.outcome(ending, error, Self.retryLimit - row.retries)
        row.lossesInRow = 0
        if outcome.event == .retry {
            let wait = rules.wait(row.retries, Double.random(in: 0..<1, using: &random))
            row.retryAt = steady + wait
            row.retries += 1
        }
        end(&row, outcome.event, outcome.error?.reason)
        apply(outcome.poolEffect)
        if row.status == .queued, row.isCancelRequested { end(&row, .cancel, .cancelled) }
    }

    private mutating func apply(_ effect: OutcomeRule.PoolEffect) {
        switch effect {
        case .success:
            failuresInRow = 0
            rules.succeed(&health)
        case .failure:
            failuresInRow += 1
            rules.fail(&health, .seconds(1), steady, Double.random(in: 0..<1, using: &random))
        case .none: break
        }
    }

    /// The launcher hears that its outcome is committed, and forgets it.
    mutating func acknowledge() {
        guard isUp else { return }
        launchers.removeAll { $0.isAttached && $0.isCommitted }
    }

    /// What becomes of an attempt of which nothing is left.
    private mutating func lose(_ task: Int, _ loss: RecoveryRule.Loss) {
        guard var row = rows[task], row.status == .running else { return }
        guard !row.isCancelRequested else { return end(&row, .cancel, .cancelled) }
        note(.lost(loss), task: task, attempt: row.attempt)
        let decision = rules.recover(loss, truths[task]?.rehydrates == true, row)
        row.interruptions = decision.interruptions
        row.lossesInRow = decision.lossesInRow
        end(&row, decision.event, decision.error?.reason)
    }

    // MARK: What goes wrong

    /// A launcher is killed with its handler.
    ///
    /// An outcome that was told, or written down, stays.
    mutating func killLauncher() {
        let victims = launchers.indices.filter { launchers[$0].ending == nil }
        guard let index = victims.randomElement(using: &random) else { return }
        let launcher = launchers.remove(at: index)
        if isUp, launcher.isAttached { lose(launcher.task, .crash) }
    }

    /// The supervisor is gone, at once.
    mutating func crash() {
        isUp = false
        unlaunched = []
        unrecovered = []
        for index in launchers.indices { launchers[index].isAttached = false }
    }

    /// The supervisor is told to stop what runs, does so, and ends.
    mutating func stop() {
        guard isUp, unrecovered.isEmpty else { return }
        // What has not been launched stays in its queue.
        for task in unlaunched {
            guard var row = rows[task], let next = rules.after(row.status, .putBack) else { continue }
            row.status = next
            row.attempt -= 1
            truths[task]?.attempts.removeLast()
            rows[task] = row
            if row.isCancelRequested { end(&row, .cancel, .cancelled) }
        }
        unlaunched = []
        for launcher in launchers where launcher.isAttached && launcher.ending == nil {
            lose(launcher.task, .stopped)
        }
        launchers.removeAll { $0.isAttached && $0.ending == nil }
        crash()
    }

    mutating func restart() {
        guard !isUp else { return }
        isUp = true
        steady = wall
        rules.clamp(&health, steady)
        for (task, row) in rows where row.status == .queued {
            rows[task]?.retryAt = row.retryAt.map { min($0, steady + Self.retryDelay.maximum) }
        }
        unrecovered = rows.values.filter { $0.status == .running }.map(\.task).sorted()
        // Whose outcome is committed has nothing to say any more.
        launchers.removeAll { launcher in !unrecovered.contains(launcher.task) || launcher.isCommitted }
    }

    /// Looks at one attempt that ran when the supervisor before ended.
    mutating func recoverOne() {
        guard isUp, let task = unrecovered.popLast() else { return }
        if let index = index(of: task) {
            launchers[index].isAttached = true
            stopIfCancelled(task)
        } else {
            lose(task, .crash)
        }
    }
}
