import BulkheadCore
import BulkheadHost
import BulkheadPolicy
import BulkheadStore
import Logging

/// The pass at the start over what was running when the supervisor before ended (contract §7, rules 3 and 4).
struct Recovery: Sendable {
    let store: Store
    let catalog: CatalogHolder
    let preparation: LaunchPreparation
    let clocks: Clocks
    let logger: Logger

    /// Ends what still lives of each attempt, then queues its task again or says that it was lost.
    ///
    /// It may be killed at any point: what it has not finished, the next one finds as it was.
    /// - Returns: What it found and did.
    /// - Throws: What the store said where it could not read or write.
    func run() async throws -> RecoveryReport {
        let left = try await store.running()
        var report = RecoveryReport()
        report.found = left.count
        for problem in preparation.cgroups.sweep() {
            logger.warning(
                "a control group of an earlier supervisor is left",
                metadata: ["problem": "\(problem)"]
            )
        }
        try await withThrowingTaskGroup(of: TaskEvent?.self) { group in
            for (task, attempt) in left { group.addTask { try await recover(task, attempt) } }
            for try await event in group {
                switch event {
                case .rehydrate: report.rehydrated += 1
                case .interrupt: report.interrupted += 1
                case .fail: report.poisoned += 1
                default: break
                }
            }
        }
        if report.found > 0 {
            logger.notice(
                "recovered",
                metadata: [
                    "found": "\(report.found)", "rehydrated": "\(report.rehydrated)",
                    "interrupted": "\(report.interrupted)", "poisoned": "\(report.poisoned)",
                ]
            )
        }
        return report
    }

    private func recover(_ task: TaskRecord, _ attempt: AttemptRecord) async throws -> TaskEvent? {
        if let launcher = attempt.launcher {
            await preparation.endTree(of: nil, process: attempt.process, launcher: launcher)
        }
        let recovery = policy(of: task)
        let decision = RecoveryRule.decide(
            .crash,
            mayRunAgain: recovery?.mode == .rehydrate,
            limit: recovery?.limit ?? RecoveryPolicy().limit,
            interruptions: task.interruptions,
            lossesInRow: task.lossesInRow
        )
        let finish = AttemptFinish(task: task, decision: decision, now: clocks.wall())
        return try await store.finish(finish) == nil ? nil : decision.event
    }

    /// Only a policy that is there and right says that running again is safe.
    private func policy(of task: TaskRecord) -> RecoveryPolicy? {
        guard case .ready(let entry) = catalog.current.resolve(task.type) else { return nil }
        return entry.policy.recovery
    }
}
