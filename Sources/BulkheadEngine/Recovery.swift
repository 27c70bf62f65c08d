import BulkheadCore
import BulkheadHost
import BulkheadPolicy
import BulkheadStore
import Logging
import Synchronization

/// The pass at the start over what was running when the supervisor before ended (contract §7).
struct Recovery: Sendable {
    let store: Store
    let catalog: CatalogHolder
    let preparation: LaunchPreparation
    let folder: LaunchersFolder
    let runner: AttemptRunner
    let dispatcher: Dispatcher
    let logger: Logger

    /// Finds what was running, and sees that nothing of what it uses is given away or removed.
    ///
    /// To be called before the handlers are read, since that removes copies that nothing uses.
    /// - Returns: The attempts, for ``run(_:)``.
    /// - Throws: What the store said where it could not read.
    func find() async throws -> [AttemptRunner.Leftover] {
        let ties = try await store.runningTies()
        let left = try await store.running().map { task, attempt in
            let tie =
                ties[task.id] ?? AttemptTie(launcher: nil, terms: nil, stdoutEnd: 0, stderrEnd: 0)
            return AttemptRunner.Leftover(
                task: task,
                attempt: attempt,
                tie: tie,
                terms: tie.terms.flatMap { AttemptTerms($0) }
            )
        }
        for terms in left.compactMap(\.terms) { preparation.reclaim(terms.holdings) }
        return left
    }

    /// Goes on with each attempt, takes its recorded outcome, or says that it was lost.
    ///
    /// It may be killed at any point: what it has not finished, the next one finds as it was. It returns when it is
    /// known of each what it is; those that go on are the dispatcher's from then on.
    /// - Parameter left: What ``find()`` found.
    /// - Returns: What it did.
    func run(_ left: [AttemptRunner.Leftover]) async -> RecoveryReport {
        await sweep(left)
        var report = RecoveryReport()
        report.found = left.count
        let (findings, finding) = AsyncStream.makeStream(of: AttemptRunner.Found?.self)
        for leftover in left { await takeOver(leftover, finding) }
        var open = left.count
        if open == 0 { finding.finish() }
        for await found in findings {
            if let found { report.count(found) }
            open -= 1
            if open == 0 { finding.finish() }
        }
        if report.found > 0 {
            logger.notice(
                "recovered",
                metadata: [
                    "found": "\(report.found)", "adopted": "\(report.adopted)",
                    "recorded": "\(report.recorded)", "waiting": "\(report.waiting)",
                    "rehydrated": "\(report.rehydrated)", "interrupted": "\(report.interrupted)",
                    "poisoned": "\(report.poisoned)",
                ]
            )
        }
        return report
    }

    private func takeOver(
        _ leftover: AttemptRunner.Leftover,
        _ finding: AsyncStream<AttemptRunner.Found?>.Continuation
    ) async {
        let live = LiveAttempt()
        let recovery = policy(of: leftover.task)
        let first = FirstFinding(finding)
        await dispatcher.takeOver(leftover.task, live) {
            // Whatever happens, the pass does not wait for it for ever.
            defer { first.tell(nil) }
            return try await runner.recover(leftover, live: live, recovery: recovery) { first.tell($0) }
        }
    }

    /// How long the kernel may take to end what was killed.
    private static let patience = Duration.seconds(5)

    /// Ends launchers of which the database knows nothing: nobody could take their outcome, and their tasks may be
    /// submitted again at any moment.
    private func endStrays(_ names: Set<String>) async {
        for stray in folder.strays(but: names) {
            let isOver = await stray.end(atMost: Self.patience)
            logger.warning(
                "a launcher of which the database knows nothing was ended, with its handler",
                metadata: [
                    "launcher": "\(stray.launcher.pid)",
                    "processes": "\(stray.children.map { "\($0.pid)" }.joined(separator: " "))",
                    "left": "\(!isOver)",
                ]
            )
        }
    }

    private func sweep(_ left: [AttemptRunner.Leftover]) async {
        await endStrays(Set(left.compactMap { $0.tie.launcher?.name }))
        let groups = Set(left.map { LaunchPreparation.group(of: $0.task.id, attempt: $0.task.attempt) })
        for problem in preparation.cgroups.sweep(keeping: groups) {
            logger.warning(
                "a control group of an earlier supervisor is left",
                metadata: ["problem": "\(problem)"]
            )
        }
        folder.sweep(keeping: Set(left.compactMap { $0.tie.launcher?.name }))
    }

    /// Only a policy that is there and right says that running again is safe.
    private func policy(of task: TaskRecord) -> RecoveryPolicy? {
        guard case .ready(let entry) = catalog.current.resolve(task.type) else { return nil }
        return entry.policy.recovery
    }
}

/// Passes on the first of several findings.
private final class FirstFinding: Sendable {
    private let finding: Mutex<AsyncStream<AttemptRunner.Found?>.Continuation?>

    init(_ finding: AsyncStream<AttemptRunner.Found?>.Continuation) {
        self.finding = Mutex(finding)
    }

    func tell(_ found: AttemptRunner.Found?) {
        let first = finding.withLock { finding in
            defer { finding = nil }
            return finding
        }
        first?.yield(found)
    }
}

extension RecoveryReport {
    fileprivate mutating func count(_ found: AttemptRunner.Found) {
        switch found {
        case .adopted: adopted += 1
        case .recorded: recorded += 1
        case .waiting: waiting += 1
        case .lost(.rehydrate): rehydrated += 1
        case .lost(.interrupt): interrupted += 1
        case .lost(.fail): poisoned += 1
        case .lost: break
        }
    }
}
