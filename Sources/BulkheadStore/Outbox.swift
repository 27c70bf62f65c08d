public import BulkheadCore
import GRDB

extension Store {
    /// The messages that nobody has acknowledged, in the order of what happened.
    ///
    /// A gap stands where the output was whose place it takes, so a reader that goes on behind the last page meets
    /// every message that it has not had, and no gap of output that it has.
    /// - Parameters:
    ///   - after: Only those behind this sequence number.
    ///   - limit: At most this many.
    ///   - bytes: Bytes of output and of finals after which the page ends early.
    /// - Returns: The messages.
    /// - Throws: ``BulkheadError`` where the database could not be read.
    public func messages(
        after: Int64 = 0,
        limit: Int,
        bytes: Int = Limits.outputPageBytes
    ) async throws(BulkheadError) -> OutboxPage {
        let drafts = try await read { db in
            try OutboxReader.page(after: after, limit: limit, bytes: bytes, db)
        }
        var page = OutboxPage(messages: [], next: after)
        for draft in drafts {
            page.messages.append(try draft.message())
            page.next = draft.sequence
        }
        return page
    }

    /// Names that one transaction acknowledges, so that a submit never waits long behind it.
    private static let acknowledgeStep = 256

    /// Acknowledges messages: in any order, and as often as one likes.
    /// - Parameters:
    ///   - ids: Their names.
    ///   - now: The moment.
    /// - Returns: Which names are known.
    /// - Throws: ``BulkheadError`` where the database could not be written; then some may be acknowledged.
    public func acknowledge(
        _ ids: [String],
        now: Timestamp
    ) async throws(BulkheadError) -> AcknowledgeOutcome {
        var outcome = AcknowledgeOutcome(acknowledged: [], unknown: [])
        var rest = ids[...]
        while !rest.isEmpty {
            let step = Array(rest.prefix(Self.acknowledgeStep))
            rest = rest.dropFirst(Self.acknowledgeStep)
            let known = try await writer.commit { db in
                try step.map { try Outbox.acknowledge(db, $0, now: now) }
            }
            for (id, isKnown) in zip(step, known) {
                if isKnown { outcome.acknowledged.append(id) } else { outcome.unknown.append(id) }
            }
        }
        return outcome
    }
}

/// The rows of messages.
enum Outbox {
    /// The name of the message that tells of a run as a whole.
    static func messageID(of row: TaskRow, _ kind: OutboxMessage.Kind, _ db: Database) throws -> String {
        MessageName(
            task: row.record.id,
            storeID: try Ledger.read(db).storeID,
            key: row.key,
            run: row.record.run,
            kind: kind
        ).text
    }

    /// Appends the final message of a run that has just ended.
    static func appendFinal(_ db: Database, of row: TaskRow) throws {
        let body = row.finalBody
        let bytes = body.utf8.count
        try db.run(
            """
            INSERT INTO outbox (sequence, messageID, task, kind, run, attempt, at, body, bytes)
            VALUES (?, ?, ?, 'final', ?, ?, ?, ?, ?)
            """,
            [
                try Ledger.next(db), try messageID(of: row, .final, db), row.key, row.record.run,
                row.record.attempt, row.record.completedAt?.milliseconds ?? 0, body, bytes,
            ]
        )
        try Ledger.countFinals(db, bytes: Int64(bytes))
    }

    /// Notes that the first attempt of a run begins.
    ///
    /// It is told once for each run: an attempt that is put back and begins again is the same beginning.
    static func noteStart(
        of row: TaskRow,
        _ start: AttemptStart,
        sequence: Int64,
        _ db: Database
    ) throws {
        try db.run(
            """
            UPDATE task SET startedSequence = ?, startedAttempt = ?, runStartedAt = ?, startedAcknowledged = 0
            WHERE key = ? AND startedSequence IS NULL AND NOT EXISTS (
                SELECT 1 FROM attempt WHERE task = ? AND run = ? AND attempt < ?
            )
            """,
            [
                sequence, start.expectedAttempt + 1, start.now.milliseconds, row.key, row.key,
                row.record.run, start.expectedAttempt + 1,
            ]
        )
    }

    /// Keeps what was told, or is to be told, of the beginning of a run whose task begins another one.
    static func keepBeginning(of row: TaskRow, _ db: Database) throws {
        let kinds: [(OutboxMessage.Kind, String)] = [
            (.received, "sequence, run, 0, submittedAt, 0, receivedAcknowledged"),
            (.started, "startedSequence, run, startedAttempt, runStartedAt, 0, startedAcknowledged"),
        ]
        for (kind, columns) in kinds {
            try db.run(
                """
                INSERT INTO outbox (messageID, task, kind, sequence, run, attempt, at, bytes, acknowledgedAt)
                SELECT ?, key, '\(kind.rawValue)', \(columns) FROM (
                    SELECT key, sequence, run, submittedAt, startedSequence, startedAttempt, runStartedAt,
                        CASE receivedAcknowledged WHEN 1 THEN completedAt END AS receivedAcknowledged,
                        CASE startedAcknowledged WHEN 1 THEN completedAt END AS startedAcknowledged
                    FROM task WHERE key = ? AND \(kind.rawValue)Acknowledged IS NOT NULL
                )
                """,
                [try messageID(of: row, kind, db), row.key]
            )
        }
    }

    /// Whether a message of a task is not acknowledged.
    static func hasPending(_ db: Database, task: Int64) throws -> Bool {
        try db.first(pendingOfTask, [task, task, task, task]) { try $0.count() } != nil
    }

    static let pendingOfTask = """
        SELECT 1 FROM task WHERE key = ? AND (receivedAcknowledged = 0 OR startedAcknowledged = 0)
        UNION ALL
        SELECT 1 FROM outbox INDEXED BY outbox_by_task WHERE task = ? AND acknowledgedAt IS NULL
        UNION ALL
        SELECT 1 FROM chunk INDEXED BY chunk_owed_by_task WHERE task = ? AND owed = 1
        UNION ALL
        SELECT 1 FROM gap INDEXED BY gap_owed_by_task WHERE task = ? AND owedEnd IS NOT NULL
        LIMIT 1
        """

    /// Takes all messages of a task that goes.
    static func discard(_ db: Database, task: Int64) throws {
        let bytes = try db.first(
            "SELECT COALESCE(SUM(bytes), 0) FROM outbox WHERE task = ? AND acknowledgedAt IS NULL",
            [task]
        ) { try $0.integer() }
        try Ledger.countFinals(db, bytes: -(bytes ?? 0))
        try db.run("DELETE FROM outbox WHERE task = ?", [task])
    }
}
