public import BulkheadCore
import GRDB

extension Store {
    /// Ends an attempt: task, attempt, pool and, where the run is over, the final message in one transaction.
    ///
    /// A request to cancel stays with a task that waits for another attempt; the caller ends it then.
    /// - Parameter finish: How it ended and what follows.
    /// - Returns: The task and its pool, or nil where that attempt does not run or the event is not legal.
    /// - Throws: ``BulkheadError`` where the database could not be written.
    public func finish(_ finish: AttemptFinish) async throws(BulkheadError) -> FinishOutcome? {
        let settings = self.settings
        var finish = finish
        finish.error = finish.error?.bounded
        let known = finish
        let result = finish.result?.text
        let ended = try await writer.commit(bytes: result?.utf8.count ?? 0) { db -> Ended? in
            guard known.event != .putBack, let row = try TaskRow.fetch(db, id: known.id),
                row.record.status == .running, row.record.attempt == known.attempt
            else { return nil }
            // Here alone nobody can ask for it any more between the look and the end.
            let ending = row.record.cancelRequested ? known.whereCancelled : known
            guard let next = row.record.status.after(ending.event) else { return nil }
            guard try Self.write(ending, result: next.isTerminal ? result : nil, next, over: row, db) else {
                return nil
            }
            try Attempts.end(db, ending, task: row.key)
            try Reservations.giveBack(db, task: row.key, attempt: ending.attempt)
            let pool = try Pools.apply(db, ending.verdict, to: row.record.pool)
            let ended = try TaskRow.fetch(db, key: row.key)
            if settings.outboxOn, next.isTerminal {
                try Outbox.appendFinal(db, of: ended)
                try Spool.makeRoom(db, settings)
            }
            return Ended(row: ended, pool: pool, finish: ending)
        }
        guard let ended else { return nil }
        count { counters in
            counters.ended[ended.finish.error?.reason, default: 0] += 1
            for call in ended.finish.deniedSyscalls { counters.denied &+= UInt64(clamping: call.count) }
        }
        return FinishOutcome(task: try ended.row.parsed(), pool: ended.pool)
    }

    private struct Ended: Sendable {
        var row: TaskRow
        var pool: PoolRecord
        var finish: AttemptFinish
    }

    private static func write(
        _ finish: AttemptFinish,
        result: String?,
        _ next: TaskStatus,
        over row: TaskRow,
        _ db: Database
    ) throws -> Bool {
        let task = row.record
        let wait = next.isTerminal ? nil : finish.wait
        var warnings = try row.parsedWarnings()
        for warning in finish.warnings { warnings.append(warning) }
        warnings.omit(finish.omittedWarnings)
        let denied = addUp(try row.parsedDenied(), finish.deniedSyscalls, &warnings)
        let progress = finish.progress ?? task.progress
        return try db.changes(
            """
            UPDATE task SET status = ?, ready = ?, waitUntil = ?, waitLength = ?, completedAt = ?, error = ?, result = ?,
                progressFraction = ?, progressMessage = ?, deniedSyscalls = ?, usage = ?, warnings = ?,
                interruptions = ?, lossesInRow = ?, retries = ?, cancelRequested = ?
            WHERE key = ? AND status = 'running' AND attempt = ?
            """,
            [
                next.rawValue, !next.isTerminal && wait == nil, wait?.until.milliseconds,
                wait?.length.wholeMilliseconds,
                next.isTerminal ? finish.now.milliseconds : nil,
                finish.error.map { StoredJSON.value($0).text }, result, progress?.fraction,
                progress?.message, denied.isEmpty ? nil : StoredJSON.value(denied).text,
                finish.usage.map { StoredJSON.value($0).text },
                warnings == Warnings() ? nil : StoredJSON.value(warnings).text,
                finish.interruptions ?? task.interruptions, finish.lossesInRow ?? task.lossesInRow,
                finish.retries ?? task.retries, task.cancelRequested && !next.isTerminal, row.key,
                finish.attempt,
            ]
        )
    }

    /// Adds an attempt's denied calls to those of the run, up to the number of names that are kept.
    static func addUp(
        _ before: [DeniedSyscall],
        _ new: [DeniedSyscall],
        _ warnings: inout Warnings
    ) -> [DeniedSyscall] {
        var sum = before
        var omitted = 0
        for call in new {
            let index = sum.firstIndex { $0.name == call.name && $0.action == call.action }
            if let index {
                sum[index].count = sum[index].count.addingReportingOverflow(call.count).partialValue
            } else if sum.count < Limits.deniedNames {
                sum.append(call)
            } else {
                omitted += 1
            }
        }
        if omitted > 0 {
            warnings.append("\(omitted) more names of denied system calls were not kept")
        }
        return sum
    }
}
