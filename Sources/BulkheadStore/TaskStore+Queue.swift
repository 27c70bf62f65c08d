public import BulkheadCore
import GRDB

extension Store {
    /// Rows that one transaction of a sweep touches, so that a submit never waits long behind it.
    static let sweepStep = 256
    /// The place in a queue up to which ``queuePosition(of:)`` counts.
    public static let queuePositionBound = 10_000

    /// Makes those queued tasks ready whose `notBefore` has passed or whose wait is over, a bounded number at a time.
    /// - Parameters:
    ///   - date: The moment by the wall clock, for `notBefore`.
    ///   - steady: The moment on the clock that the engine waits by, for the waits before a retry.
    /// - Returns: Whether there were any; then more may be left.
    /// - Throws: ``BulkheadError`` where the database could not be written.
    public func wakeDue(date: Timestamp, steady: Timestamp) async throws(BulkheadError) -> Bool {
        try await writer.commit { db in
            let isDate = try db.changes(Self.wakeByDate, [date.milliseconds])
            let isWait = try db.changes(Self.wakeByWait, [steady.milliseconds])
            return isDate || isWait
        }
    }

    /// Brings the waits before a retry into what they may be under this clock: none is longer than when it began.
    ///
    /// To be called once at the start, since the clock that the engine waits by begins anew with each supervisor.
    /// - Parameter now: The moment, on the clock that the engine waits by.
    /// - Throws: ``BulkheadError`` where the database could not be written.
    public func clampWaits(now: Timestamp) async throws(BulkheadError) {
        try await writer.commit { db in
            try db.run(
                """
                UPDATE task SET waitUntil = ?1 + waitLength WHERE key IN (
                    SELECT key FROM task INDEXED BY task_waiting
                    WHERE status = 'queued' AND waitUntil IS NOT NULL AND waitUntil > ?1 + waitLength
                )
                """,
                [now.milliseconds]
            )
        }
    }

    /// Fails those queued tasks whose `expiresAt` has passed, a bounded number at a time.
    /// - Parameter now: The moment.
    /// - Returns: Those that failed; where there are any, more may be left. One whose final the spool has no room
    ///   for stays queued.
    /// - Throws: ``BulkheadError`` where the database could not be written.
    public func expireDue(now: Timestamp) async throws(BulkheadError) -> [TaskRecord] {
        let settings = self.settings
        let rows = try await writer.commit { db in
            var ended: [TaskRow] = []
            for row in try db.rows(Self.expired, [now.milliseconds], { try TaskRow(&$0) }) {
                let error = TaskError(
                    .expired,
                    "its expiresAt passed while it was queued",
                    hint: "submit it again with a later expiresAt, or without one"
                )
                do {
                    if let row = try Self.endQueued(row, .fail, error, now, settings, db) {
                        ended.append(row)
                    }
                } catch let error as BulkheadError where error.code == .noReserve {
                    // Nothing of this one is written; it ends when there is room for its final.
                    break
                }
            }
            return ended
        }
        var records: [TaskRecord] = []
        for row in rows { records.append(try row.parsed()) }
        return records
    }

    /// The earliest moments at which ``wakeDue(date:steady:)`` or ``expireDue(now:)`` has something to do.
    public func nextWake() async throws(BulkheadError) -> NextWake {
        try await read { db in
            let dates = try db.rows(Self.nextDates) { try $0.optionalMoment() }
            let wait = try db.first(Self.nextWait) { try $0.optionalMoment() }
            return NextWake(date: dates.compactMap(\.self).min(), wait: wait ?? nil)
        }
    }

    /// The ready tasks of a pool that go first: higher priority, then oldest.
    /// - Parameters:
    ///   - pool: The pool.
    ///   - limit: At most this many.
    ///   - excluded: Tasks to leave out, such as those that are being started.
    /// - Returns: The tasks in their order.
    /// - Throws: ``BulkheadError`` where the database could not be read.
    public func queueHeads(
        _ pool: PoolName,
        limit: Int,
        excluding excluded: Set<TaskID> = []
    ) async throws(BulkheadError) -> [DispatchPlan.Candidate] {
        let heads = try await read { db in
            try db.rows(Self.heads, [pool.name, limit + excluded.count]) { columns in
                guard let id = try? TaskID(try columns.text()) else {
                    throw DatabaseError.damaged("the table task")
                }
                return DispatchPlan.Candidate(
                    id: id,
                    priority: try columns.count(),
                    sequence: try columns.integer()
                )
            }
        }
        return Array(heads.lazy.filter { !excluded.contains($0.id) }.prefix(limit))
    }

    /// The pools in which a task is ready.
    public func poolsWithReadyTasks() async throws(BulkheadError) -> [PoolName] {
        try await read { db in
            try db.rows(Self.readyPools) { try Self.poolName(&$0) }
        }
    }

    /// How many ready tasks of its pool go before a task.
    /// - Parameter task: The task as it was read.
    /// - Returns: From 0; nil where it is not ready, or is further back than ``queuePositionBound``.
    /// - Throws: ``BulkheadError`` where the database could not be read.
    public func queuePosition(of task: TaskRecord) async throws(BulkheadError) -> Int? {
        let place: StatementArguments = [
            task.pool.name, task.priority, task.pool.name, task.priority, task.sequence,
        ]
        return try await read { db in
            let isReady = try db.first(
                "SELECT 1 FROM task WHERE id = ? AND sequence = ? AND status = 'queued' AND ready = 1",
                [task.id.text, task.sequence]
            ) { try $0.count() }
            guard isReady != nil else { return nil }
            let ahead = try db.first(Self.ahead, place) { try $0.count() } ?? 0
            return ahead > Self.queuePositionBound ? nil : ahead
        }
    }

    /// Tasks that wait, by pool.
    public func queuedCounts() async throws(BulkheadError) -> [PoolName: Int] {
        try await tally("SELECT pool, tasks FROM tally WHERE status = 'queued' AND tasks > 0") {
            try Self.poolName(&$0)
        }
    }

    /// Tasks by status; a status without tasks is left out.
    public func counts() async throws(BulkheadError) -> [TaskStatus: Int] {
        try await tally("SELECT status, SUM(tasks) FROM tally GROUP BY status HAVING SUM(tasks) > 0") {
            guard let status = TaskStatus(rawValue: try $0.text()) else {
                throw DatabaseError.damaged("the table tally")
            }
            return status
        }
    }

    private func tally<Key: Hashable & Sendable>(
        _ sql: String,
        _ key: @escaping @Sendable (inout Columns) throws -> Key
    ) async throws(BulkheadError) -> [Key: Int] {
        try await read { db in
            let pairs = try db.rows(sql) { (try key(&$0), try $0.count()) }
            return Dictionary(pairs) { $0 + $1 }
        }
    }

    private static func poolName(_ columns: inout Columns) throws -> PoolName {
        guard let name = try? PoolName(try columns.text()) else {
            throw DatabaseError.damaged("the name of a pool")
        }
        return name
    }
}

/// The statements, apart from the calls so that a test can ask SQLite how it would run them.
extension Store {
    static let expired = TaskRow.selection(
        """
        WHERE t.key IN (
            SELECT key FROM task INDEXED BY task_expiring
            WHERE status = 'queued' AND expiresAt IS NOT NULL AND expiresAt <= ? LIMIT \(sweepStep)
        )
        """
    )
    static let wakeByDate = """
        UPDATE task SET ready = 1 WHERE key IN (
            SELECT key FROM task INDEXED BY task_asleep
            WHERE status = 'queued' AND ready = 0 AND waitUntil IS NULL AND notBefore <= ? LIMIT \(sweepStep)
        )
        """
    static let wakeByWait = """
        UPDATE task SET ready = 1, waitUntil = NULL, waitLength = NULL WHERE key IN (
            SELECT key FROM task INDEXED BY task_waiting
            WHERE status = 'queued' AND waitUntil IS NOT NULL AND waitUntil <= ? LIMIT \(sweepStep)
        )
        """
    static let nextWait = """
        SELECT MIN(waitUntil) FROM task INDEXED BY task_waiting
        WHERE status = 'queued' AND waitUntil IS NOT NULL
        """
    static let nextDates = """
        SELECT MIN(notBefore) FROM task INDEXED BY task_asleep
        WHERE status = 'queued' AND ready = 0 AND waitUntil IS NULL
        UNION ALL
        SELECT MIN(expiresAt) FROM task INDEXED BY task_expiring
        WHERE status = 'queued' AND expiresAt IS NOT NULL
        """
    static let heads = """
        SELECT id, priority, sequence FROM task INDEXED BY task_ready
        WHERE pool = ? AND status = 'queued' AND ready = 1
        ORDER BY priority DESC, sequence LIMIT ?
        """
    static let readyPools = """
        SELECT pool FROM tally WHERE status = 'queued' AND tasks > 0 AND EXISTS (
            SELECT 1 FROM task INDEXED BY task_ready
            WHERE task.pool = tally.pool AND status = 'queued' AND ready = 1
        )
        """
    static let ahead = """
        SELECT COUNT(*) FROM (
            SELECT * FROM (
                SELECT 1 FROM task INDEXED BY task_ready
                WHERE pool = ? AND status = 'queued' AND ready = 1 AND priority > ?
                LIMIT \(queuePositionBound + 1)
            )
            UNION ALL
            SELECT * FROM (
                SELECT 1 FROM task INDEXED BY task_ready
                WHERE pool = ? AND status = 'queued' AND ready = 1 AND priority = ? AND sequence < ?
                LIMIT \(queuePositionBound + 1)
            )
        )
        """
}
