public import BulkheadCore
import Foundation
import GRDB

extension Store {
    /// Begins an attempt: the task runs, its count of attempts is one higher and the attempt has a row.
    /// - Parameter start: The task and what will hold it.
    /// - Returns: The task, or nil where it no longer waits or had another attempt since.
    /// - Throws: ``BulkheadError`` with the code `noReserve` where the spool has no room for its final, or where
    ///   the database could not be written.
    public func startAttempt(_ start: AttemptStart) async throws(BulkheadError) -> TaskRecord? {
        let settings = self.settings
        if let refusal = await refusalByDisk() { throw refusal }
        let started = try await writer.commit(for: .growth) { db -> Result<TaskRow?, BulkheadError> in
            guard let row = try TaskRow.fetch(db, id: start.id), row.record.attempt == start.expectedAttempt,
                let next = row.record.status.after(.start)
            else { return .success(nil) }
            if let obstacle = try settings.room(db).obstacle {
                return .failure(BulkheadError(.noReserve, "the task \(start.id) waits for \(obstacle)"))
            }
            let isQueued = try db.changes(
                """
                UPDATE task SET status = ?, ready = 0, attempt = attempt + 1, startedAt = ?,
                    progressFraction = NULL, progressMessage = NULL, usage = NULL, waitingFor = NULL
                WHERE key = ? AND status = 'queued' AND attempt = ?
                """,
                [next.rawValue, start.now.milliseconds, row.key, start.expectedAttempt]
            )
            guard isQueued else { return .success(nil) }
            let sequence = try Attempts.insert(db, start, of: row)
            try Reservations.make(db, task: row.key, attempt: start.expectedAttempt + 1, settings)
            if settings.outboxOn { try Outbox.noteStart(of: row, start, sequence: sequence, db) }
            try Attempts.forgetOld(db, task: row.key, latest: start.expectedAttempt + 1)
            return .success(try TaskRow.fetch(db, key: row.key))
        }
        let row = try started.get()
        if row != nil { count { $0.started += 1 } }
        return try row?.parsed()
    }

    /// Keeps the handler's own process with its attempt.
    /// - Returns: Whether that attempt runs.
    public func recordProcess(
        _ id: TaskID,
        attempt: Int,
        process: ProcessMark
    ) async throws(BulkheadError) -> Bool {
        try await writer.commit { db in
            try db.changes(
                """
                UPDATE attempt SET processPID = ?, processStart = ?, processBoot = ?
                WHERE attempt = ?
                    AND task = (SELECT key FROM task WHERE id = ? AND status = 'running' AND attempt = ?)
                """,
                [
                    process.pid, Int64(bitPattern: process.startTime), process.bootID, attempt, id.text,
                    attempt,
                ]
            )
        }
    }

    /// Puts a task back whose handler never ran: the attempt leaves no trace and its number is used again.
    ///
    /// A request to cancel stays with the task; whoever puts it back looks at it and ends the task then.
    /// - Parameters:
    ///   - id: The task.
    ///   - attempt: The attempt that could not be launched.
    ///   - waitingFor: What it waits for, in plain words, shown until it starts.
    /// - Returns: The task, or nil where that attempt does not run.
    /// - Throws: ``BulkheadError`` where the database could not be written.
    public func putBack(
        _ id: TaskID,
        attempt: Int,
        waitingFor: String
    ) async throws(BulkheadError) -> TaskRecord? {
        let queued = try await writer.commit { db -> TaskRow? in
            guard let row = try TaskRow.fetch(db, id: id), row.record.attempt == attempt,
                let next = row.record.status.after(.putBack)
            else { return nil }
            try Spool.discard(db, task: row.key, attempt: attempt)
            let isRunning = try db.changes(
                """
                UPDATE task SET status = ?, ready = 1, attempt = attempt - 1, waitingFor = ?,
                    startedAt = (
                        SELECT a.startedAt FROM attempt a
                        WHERE a.task = task.key AND a.attempt = task.attempt - 1 AND a.run = task.run
                    )
                WHERE key = ? AND status = 'running' AND attempt = ?
                """,
                [
                    next.rawValue, waitingFor.cut(toBytes: Limits.messageBytes), row.key, attempt,
                ]
            )
            guard isRunning else { throw DatabaseError.damaged("the table task") }
            try Reservations.giveBack(db, task: row.key, attempt: attempt)
            try db.run("DELETE FROM attempt WHERE task = ? AND attempt = ?", [row.key, attempt])
            return try TaskRow.fetch(db, key: row.key)
        }
        if queued != nil { count { $0.putBack += 1 } }
        return try queued?.parsed()
    }

    /// Keeps a handler's report while its attempt runs; a stale one changes nothing.
    public func record(
        _ progress: TaskProgress,
        id: TaskID,
        attempt: Int
    ) async throws(BulkheadError) {
        try await writer.commit { db in
            try db.run(
                """
                UPDATE task SET progressFraction = ?, progressMessage = ?
                WHERE id = ? AND status = 'running' AND attempt = ?
                """,
                [progress.fraction, progress.message, id.text, attempt]
            )
        }
    }
}

/// The rows of attempts.
enum Attempts {
    /// Inserts an attempt that begins.
    /// - Returns: Its number in the order of what happened.
    static func insert(_ db: Database, _ start: AttemptStart, of row: TaskRow) throws -> Int64 {
        let sequence = try Ledger.next(db)
        try db.run(
            """
            INSERT INTO attempt (task, attempt, run, sequence, startedAt, handler, enforcement, launcherPID,
                launcherStart, launcherBoot, launcherName, launcherSecret, terms)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                row.key, start.expectedAttempt + 1, row.record.run, sequence,
                start.now.milliseconds, start.handler,
                JSONValue.array(start.enforcement.map { .string($0) }).text, start.launcher?.pid,
                start.launcher.map { Int64(bitPattern: $0.startTime) }, start.launcher?.bootID,
                start.tie?.name, start.tie.map { Data($0.secret) }, start.terms?.text,
            ]
        )
        return sequence
    }

    /// Forgets attempts that are not shown any more and of which no output is kept, nor a gap that is owed.
    static func forgetOld(_ db: Database, task: Int64, latest: Int) throws {
        let oldest = latest - Limits.attemptsShown
        guard oldest > 0 else { return }
        try db.run(
            """
            DELETE FROM attempt WHERE task = ? AND attempt <= ? AND NOT EXISTS (
                SELECT 1 FROM chunk c WHERE c.task = attempt.task AND c.attempt = attempt.attempt
            ) AND NOT EXISTS (
                SELECT 1 FROM gap g
                WHERE g.task = attempt.task AND g.attempt = attempt.attempt AND g.owedEnd IS NOT NULL
            )
            """,
            [task, oldest]
        )
        try db.run(
            """
            DELETE FROM gap WHERE task = ? AND attempt <= ? AND NOT EXISTS (
                SELECT 1 FROM attempt a WHERE a.task = gap.task AND a.attempt = gap.attempt
            )
            """,
            [task, oldest]
        )
    }

    static func end(_ db: Database, _ finish: AttemptFinish, task: Int64) throws {
        try db.run(
            """
            UPDATE attempt SET completedAt = ?, outcome = ?, error = ?, launcherName = NULL,
                launcherSecret = NULL, terms = NULL
            WHERE task = ? AND attempt = ?
            """,
            [
                finish.now.milliseconds, finish.outcome, finish.error.map { StoredJSON.value($0).text },
                task, finish.attempt,
            ]
        )
    }

    static let columns = """
        attempt, run, startedAt, completedAt, outcome, error, handler, enforcement, launcherPID,
        launcherStart, launcherBoot, processPID, processStart, processBoot
        """

    static func row(_ columns: inout Columns) throws -> AttemptRecord {
        let attempt = try columns.count()
        let run = try columns.count()
        let startedAt = try columns.moment()
        let completedAt = try columns.optionalMoment()
        let outcome = try columns.optionalText()
        let error = try columns.optionalText()
        let handler = try columns.text()
        let enforcement = try StoredJSON.value(try columns.text()).array ?? []
        var record = AttemptRecord(
            attempt: attempt,
            run: run,
            startedAt: startedAt,
            handler: handler,
            enforcement: enforcement.compactMap(\.string)
        )
        record.completedAt = completedAt
        record.outcome = outcome
        record.error = try error.map { try StoredJSON.error(try StoredJSON.value($0)) }
        record.launcher = try columns.mark()
        record.process = try columns.mark()
        return record
    }
}
