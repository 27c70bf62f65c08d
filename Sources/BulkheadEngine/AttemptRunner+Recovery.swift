import BulkheadCore
import BulkheadHost
import BulkheadLaunch
import BulkheadPolicy
import BulkheadStore
import Glibc
import Logging

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

        init(_ running: RunningAttempt) {
            task = running.task
            attempt = running.attempt
            tie = running.tie
            terms = running.tie.terms.flatMap { AttemptTerms($0) }
        }
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
            scratch: left.terms?.holdings.scratch,
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
