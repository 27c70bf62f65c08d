import BulkheadCore
import BulkheadHost
import BulkheadLaunch
import BulkheadPolicy
import BulkheadStore

/// Follows what a launcher says of one attempt, and says what became of it.
struct AttemptWatch: Sendable {
    /// What became of the attempt.
    enum Last: Sendable {
        /// It is over; this is to be written.
        case finished(AttemptFinish)
        /// It did not start, for want of something that comes back.
        case putBack(String)
        /// Its launcher is gone; the handler's process is known once it was told of, which may be later than it runs.
        case lost(process: ProcessMark?, mayHaveRun: Bool, reason: String)
        /// It goes on without this supervisor; what it said so far is in the store.
        case left
    }

    let task: TaskRecord
    let terms: AttemptTerms
    let live: LiveAttempt
    let runner: AttemptRunner
    /// Tells the launcher something, where there still is one.
    let tell: @Sendable (SupervisorMessage) -> Void
    /// When the launcher recorded the end, where no supervisor was there.
    let recordedAt: @Sendable () -> Timestamp?

    /// Follows the events to the last one.
    /// - Throws: What the store said where it could not take the output or the handler's process.
    func follow(_ events: AsyncStream<LauncherEvent>) async throws -> Last {
        let output = OutputIntake(
            task: task,
            policy: terms.output,
            clocks: runner.clocks,
            store: runner.store,
            live: live,
            feed: runner.feed,
            logger: runner.logger,
            tell: tell
        )
        let progress = ProgressIntake(
            id: task.id,
            attempt: task.attempt,
            store: runner.store,
            feed: runner.feed
        )
        let persistence = Persistence(live: live, logger: runner.logger)
        var said = HandlerEvents(resultLimit: runner.resultLimit)
        var understood = MeaningBatch()
        var denied = DeniedCalls()
        var leftBehind: LeftBehind?
        var process: ProcessMark?
        var lastWords = "its control socket ended"
        var isLeft = false
        var mayHaveRun = false
        for await event in events {
            guard case .message(let message) = event else {
                if case .lost(let reason) = event { lastWords = reason }
                isLeft = event == .left
                break
            }
            switch message {
            case .ready, .challenge, .adopted: continue
            case .executing: mayHaveRun = true
            case .started(_, let pid, let startTime):
                mayHaveRun = true
                let mark = ProcessMark(pid: pid, startTime: startTime, bootID: ProcessIdentity.bootID)
                process = mark
                _ = try await persistence.write { [store = runner.store] () throws(BulkheadError) in
                    try await store.recordProcess(task.id, attempt: task.attempt, process: mark)
                }
            case .output(_, let stream, let offset, let bytes):
                await output.take(bytes, from: stream, at: offset)
            case .event(_, let line, _, let length):
                let meaning = said.take(line, length: Int(length))
                if let meanings = understood.add(meaning.meaning, bytes: line.count) {
                    tell(.eventAck(attempt: UInt64(task.attempt), meanings: meanings))
                }
                if meaning == .progress, let report = said.progress { await progress.take(report) }
            case .denied(_, let number, let count):
                denied.record(number: number, count: count)
            case .leftBehind(_, let processes, let holdsPipes):
                leftBehind = LeftBehind(processes: Int(processes), holdsPipes: holdsPipes)
            case .finished(_, let outcome):
                await progress.stop()
                try await output.flush()
                runner.observe?(
                    AttemptObservation(task: task, outcome, leftBehind: leftBehind, input: live.input)
                )
                return .finished(finish(outcome, said: said, denied: denied))
            case .refused(_, let stage, let errno, let detail):
                return refused(LaunchRefusal(stage: stage, errno: errno, detail: detail))
            }
        }
        await progress.stop()
        try await output.flush()
        return isLeft ? .left : .lost(process: process, mayHaveRun: mayHaveRun, reason: lastWords)
    }

    private func refused(_ refusal: LaunchRefusal) -> Last {
        if refusal.isPassing { return .putBack(refusal.message) }
        return .finished(
            unlaunched(
                refusal.message,
                hint: refusal.hint(under: terms),
                handlerToBlame: refusal.handlerIsToBlame
            )
        )
    }

    /// The end of an attempt whose handler never ran, for a reason that time does not mend.
    func unlaunched(_ message: String, hint: String? = nil, handlerToBlame: Bool = false) -> AttemptFinish {
        let ending = AttemptEnding.launchFailed(message: message, hint: hint, handlerToBlame: handlerToBlame)
        return makeFinish(
            OutcomeRule.decide(ending, handlerError: nil, retriesLeft: 0),
            said: HandlerEvents(resultLimit: runner.resultLimit),
            denied: DeniedCalls(),
            outcome: nil
        )
    }

    private func finish(_ outcome: LaunchOutcome, said: HandlerEvents, denied: DeniedCalls) -> AttemptFinish {
        if outcome.stop == .supervisorStop { return stoppedFinish(outcome, said, denied) }
        let decision = OutcomeRule.decide(
            ending(of: outcome),
            handlerError: said.error,
            retriesLeft: terms.retry.limit - task.retries,
            deniedHint: denied.hint(under: terms)
        )
        return makeFinish(decision, said: said, denied: denied, outcome: outcome)
    }

    /// What the launcher saw, as the rule wants to hear it: a stop decides before the exit does.
    private func ending(of outcome: LaunchOutcome) -> AttemptEnding {
        switch outcome.stop {
        case .timeout: return .timedOut(after: terms.timeout ?? .zero)
        case .cpu: return .outOfProcessorTime(limit: terms.cpu ?? .zero)
        case .cancelled: return .cancelled
        case .outputLimit: return .outOfOutput(limit: terms.output.limit)
        case .memory: return .outOfMemory(limit: terms.memory ?? 0)
        case .syscallDenied:
            // Under errno a single call ends nothing: the one that did was one too many.
            guard let name = outcome.killedBySyscall.map(DeniedCalls.name(of:)),
                terms.denials.action(on: name) == .kill
            else { return .tooManyDenials(limit: Limits.deniedCalls) }
            return .syscallDenied(name: name)
        case .supervisorStop, nil: break
        }
        switch outcome.ending {
        case .exited(let code):
            return code != 0 && ranOutOfMemory(outcome) ? outOfMemory : .exited(code: code)
        case .signaled(signal: 31) where terms.hasFilter: return .syscallDenied(name: nil)
        case .signaled(let signal): return ranOutOfMemory(outcome) ? outOfMemory : .signaled(signal: signal)
        }
    }

    private func ranOutOfMemory(_ outcome: LaunchOutcome) -> Bool {
        outcome.oomKills > 0 && terms.memory != nil
    }

    private var outOfMemory: AttemptEnding { .outOfMemory(limit: terms.memory ?? 0) }

    /// An attempt that was stopped since the supervisor ends: rule 3 of contract §7, without a loss counted.
    private func stoppedFinish(
        _ outcome: LaunchOutcome,
        _ said: HandlerEvents,
        _ denied: DeniedCalls
    ) -> AttemptFinish {
        let decision = RecoveryRule.decide(
            .stopped,
            mayRunAgain: terms.recovery.mode == .rehydrate,
            limit: terms.recovery.limit,
            interruptions: task.interruptions,
            lossesInRow: task.lossesInRow
        )
        var finish = AttemptFinish(task: task, decision: decision, now: endedAt)
        finish.outcome = "stopped"
        finish.result = said.result
        finish.progress = said.progress
        finish.deniedSyscalls = denied.entries(terms.denials)
        finish.usage = usage(of: outcome)
        finish.warnings = terms.warnings + said.warnings.kept
        finish.omittedWarnings = said.warnings.omitted
        return finish
    }

    private func makeFinish(
        _ decision: OutcomeRule,
        said: HandlerEvents,
        denied: DeniedCalls,
        outcome: LaunchOutcome?
    ) -> AttemptFinish {
        var finish = AttemptFinish(
            id: task.id,
            attempt: task.attempt,
            event: decision.event,
            outcome: decision.attemptOutcome,
            now: endedAt
        )
        finish.error = decision.error
        finish.result = said.result
        finish.progress = said.progress
        finish.deniedSyscalls = denied.entries(terms.denials)
        finish.usage = outcome.map(usage)
        finish.warnings =
            terms.warnings + said.warnings.kept + notes(on: outcome)
            + [decision.warning].compactMap { $0 }
        finish.omittedWarnings = said.warnings.omitted
        finish.interruptions = task.interruptions
        // The handler ended by itself, or we ended it for its own doing: no longer a loss in a row.
        finish.lossesInRow = 0
        finish.retries = task.retries
        if decision.event == .retry {
            let wait = terms.retry.backoff.wait(step: task.retries, random: runner.clocks.random())
            finish.retries = task.retries + 1
            finish.wait = RetryWait(wait, from: runner.clocks.steady())
        }
        finish.verdict = PoolVerdict(
            effect: decision.poolEffect,
            ran: outcome.map { .nanoseconds(Int64(clamping: $0.wallNanoseconds)) } ?? .zero,
            rule: runner.catalog.current.settings(of: task.pool).backoff,
            random: runner.clocks.random(),
            now: runner.clocks.steady()
        )
        return finish
    }

    /// The moment of the end: now, or earlier where nobody was there, but not before the start, however clocks were set.
    private var endedAt: Timestamp {
        let now = runner.clocks.wall()
        guard let recorded = recordedAt() else { return now }
        return min(now, max(recorded, task.startedAt ?? recorded))
    }

    private func notes(on outcome: LaunchOutcome?) -> [String] {
        guard let outcome else { return [] }
        var notes: [String] = []
        if outcome.drainIncomplete {
            notes.append(
                "a process that it left behind held its output open; what that wrote later is not kept"
            )
        }
        if outcome.eventLinesDropped > 0 {
            notes.append(
                "\(outcome.eventLinesDropped) event lines were not kept while no supervisor was there"
            )
        }
        if outcome.survivors > 0 {
            notes.append("\(outcome.survivors) of its processes did not end at SIGKILL (stuck in the kernel)")
        }
        return notes
    }

    private func usage(of outcome: LaunchOutcome) -> TaskUsage {
        TaskUsage(
            wallSeconds: Double(outcome.wallNanoseconds) / 1e9,
            cpuSeconds: Double(outcome.userMicroseconds + outcome.systemMicroseconds) / 1e6,
            maxRSSBytes: Int64(outcome.maxRSSBytes)
        )
    }
}

extension OutcomeRule {
    /// How the attempt ended, in the words of an attempt's record.
    fileprivate var attemptOutcome: String {
        switch event {
        case .complete: "completed"
        case .cancel: "cancelled"
        default: "failed"
        }
    }
}

extension AttemptFinish {
    /// The end of an attempt that a crash took, or that we stopped.
    init(task: TaskRecord, decision: RecoveryRule.Decision, now: Timestamp) {
        let outcome =
            switch decision.event {
            case .rehydrate: "rehydrated"
            case .interrupt: "interrupted"
            default: "failed"
            }
        self.init(id: task.id, attempt: task.attempt, event: decision.event, outcome: outcome, now: now)
        error = decision.error
        interruptions = decision.interruptions
        lossesInRow = decision.lossesInRow
    }
}

extension HandlerEvents.Line {
    /// What a line was, as the launcher is told it.
    fileprivate var meaning: EventMeaning {
        switch self {
        case .progress: .progress
        case .result: .result
        case .error: .error
        case .notUnderstood: .stray
        }
    }
}
