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

    /// Attempts that are looked at in one moment; with more of them nothing would go faster, and each takes memory.
    private static let atOnce = 128

    /// What an attempt holds that neither this pass nor a new attempt may touch before its turn.
    struct Remnant: Sendable {
        var group: String
        var launcher: String?
    }

    /// Finds what was running, and sees that nothing of what it uses is given away or removed.
    ///
    /// To be called before the handlers are read, since that removes copies that nothing uses.
    /// - Returns: What the attempts hold, for ``run(_:)``.
    /// - Throws: What the store said where it could not read.
    func find() async throws -> [Remnant] {
        var remnants: [Remnant] = []
        try await forEachPage { page in
            for running in page {
                if let terms = running.tie.terms.flatMap({ AttemptTerms($0) }) {
                    preparation.reclaim(terms.holdings)
                }
                let group = LaunchPreparation.group(of: running.task.id, attempt: running.task.attempt)
                remnants.append(Remnant(group: group, launcher: running.tie.launcher?.name))
            }
        }
        return remnants
    }

    private func forEachPage(_ body: ([RunningAttempt]) async throws -> Void) async throws {
        var last: Int64 = 0
        while true {
            let page = try await store.runningAttempts(after: last, limit: Self.atOnce)
            guard let end = page.last else { return }
            last = end.task.sequence
            try await body(page)
        }
    }

    /// Goes on with each attempt, takes its recorded outcome, or says that it was lost.
    ///
    /// It may be killed at any point: what it has not finished, the next one finds as it was. It returns when it is
    /// known of each what it is; those that go on are the dispatcher's from then on.
    /// - Parameter remnants: What ``find()`` found.
    /// - Returns: What it did.
    /// - Throws: What the store said where it could not read.
    func run(_ remnants: [Remnant]) async throws -> RecoveryReport {
        await sweep(remnants)
        var report = RecoveryReport()
        report.found = remnants.count
        let (findings, finding) = AsyncStream.makeStream(of: AttemptRunner.Found?.self)
        var found = findings.makeAsyncIterator()
        var open = 0
        try await forEachPage { page in
            for running in page {
                if open == Self.atOnce, let next = await found.next() {
                    report.count(next)
                    open -= 1
                }
                await takeOver(AttemptRunner.Leftover(running), finding)
                open += 1
            }
        }
        while open > 0, let next = await found.next() {
            report.count(next)
            open -= 1
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

    private func sweep(_ remnants: [Remnant]) async {
        await endStrays(Set(remnants.compactMap(\.launcher)))
        for problem in preparation.cgroups.sweep(keeping: Set(remnants.map(\.group))) {
            logger.warning(
                "a control group of an earlier supervisor is left",
                metadata: ["problem": "\(problem)"]
            )
        }
        folder.sweep(keeping: Set(remnants.compactMap(\.launcher)))
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
    fileprivate mutating func count(_ found: AttemptRunner.Found?) {
        switch found {
        case .adopted: adopted += 1
        case .recorded: recorded += 1
        case .waiting: waiting += 1
        case .lost(.rehydrate): rehydrated += 1
        case .lost(.interrupt): interrupted += 1
        case .lost(.fail): poisoned += 1
        case .lost, nil: break
        }
    }
}
