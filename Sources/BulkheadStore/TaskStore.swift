public import BulkheadCore
import GRDB

extension Store {
    /// Marks a running task as to be cancelled.
    /// - Returns: The task, or nil where it does not run.
    public func requestCancel(_ id: TaskID) async throws(BulkheadError) -> TaskRecord? {
        try await writer.commit { db -> TaskRow? in
            let isRunning = try db.changes(
                "UPDATE task SET cancelRequested = 1 WHERE id = ? AND status = 'running'",
                [id.text]
            )
            return isRunning ? try TaskRow.fetch(db, id: id) : nil
        }?.parsed()
    }

    /// Ends a task that waits.
    /// - Parameters:
    ///   - id: The task.
    ///   - event: `fail` or `cancel`.
    ///   - error: Why.
    ///   - now: The moment.
    /// - Returns: The task, or nil where it does not wait or the event is not legal there.
    /// - Throws: ``BulkheadError`` with the code `noReserve` where the spool has no room for its final, or where
    ///   the database could not be written.
    public func endQueued(
        _ id: TaskID,
        event: TaskEvent,
        error: TaskError,
        now: Timestamp
    ) async throws(BulkheadError) -> TaskRecord? {
        let settings = self.settings
        return try await writer.commit { db -> TaskRow? in
            guard let row = try TaskRow.fetch(db, id: id), row.record.status == .queued else { return nil }
            return try Self.endQueued(row, event, error, now, settings, db)
        }?.parsed()
    }

    /// Takes a terminal task away, with its attempts, its output and its messages.
    /// - Parameters:
    ///   - id: The task.
    ///   - discardingMessages: Whether messages that nobody acknowledged may go.
    /// - Returns: Whether it is gone, or why not.
    /// - Throws: ``BulkheadError`` where the database could not be written.
    public func remove(
        _ id: TaskID,
        discardingMessages: Bool
    ) async throws(BulkheadError) -> RemoveOutcome {
        let outboxOn = settings.outboxOn
        return try await writer.commit { db in
            guard let row = try TaskRow.fetch(db, id: id) else { return .notFound }
            guard row.record.status.isTerminal else { return .notTerminal }
            if outboxOn, !discardingMessages, try Outbox.hasPending(db, task: row.key) {
                return .unacknowledged
            }
            try Self.takeAway(row.key, db)
            return .removed
        }
    }

    /// Brings a queued task to a terminal state, its final message included.
    static func endQueued(
        _ row: TaskRow,
        _ event: TaskEvent,
        _ error: TaskError,
        _ now: Timestamp,
        _ settings: StoreSettings,
        _ db: Database
    ) throws -> TaskRow? {
        guard let next = row.record.status.after(event), next.isTerminal else { return nil }
        let words = StoredJSON.value(error.bounded).text
        // Such a task has no reservation, so its final has to find room like a new one.
        let most = Int64(row.finalBody.utf8.count + words.utf8.count + Self.finalMemberBytes)
        if settings.outboxOn, let refusal = try settings.room(db).refusal(ofFinal: most) { throw refusal }
        let isQueued = try db.changes(
            """
            UPDATE task SET status = ?, error = ?, completedAt = ?, ready = 0, waitUntil = NULL, waitLength = NULL,
                waitingFor = NULL
            WHERE key = ? AND status = 'queued' AND attempt = ?
            """,
            [
                next.rawValue, words, now.milliseconds, row.key, row.record.attempt,
            ]
        )
        guard isQueued else { return nil }
        let ended = try TaskRow.fetch(db, key: row.key)
        if settings.outboxOn {
            try Outbox.appendFinal(db, of: ended)
            try Spool.makeRoom(db, settings)
        }
        return ended
    }

    /// Bytes by which a final may grow beside its error: the member's name, and a longer status.
    private static let finalMemberBytes = 32
}
