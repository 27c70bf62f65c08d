public import BulkheadCore
import GRDB

/// A message for a controller that it has not acknowledged.
public struct OutboxMessage: Sendable, Equatable {
    /// What a message tells.
    public enum Kind: String, Sendable, CaseIterable {
        /// The task was submitted.
        case received
        /// Its first attempt of the run began.
        case started
        /// A piece of output.
        case output
        /// A piece of output that is gone.
        case gap
        /// The run is over.
        case final
    }

    /// Its place in the order of what happened.
    public var sequence: Int64
    /// Its name, the same however often it is delivered.
    public var messageID: String
    /// What it tells.
    public var kind: Kind
    /// The task.
    public var task: TaskID
    /// The task's type.
    public var type: TaskType
    /// Which run of it.
    public var run: Int
    /// Which attempt of it; 0 where there was none.
    public var attempt: Int
    /// When it happened.
    public var at: Timestamp
    /// What is particular to its kind.
    public var body: JSONObject
}

/// What acknowledging messages came to.
public struct AcknowledgeOutcome: Sendable, Equatable {
    /// Those that are acknowledged, now or before.
    public var acknowledged: [String]
    /// Those that no message has.
    public var unknown: [String]
}

extension Store {
    /// Bytes of bodies after which a page of messages ends early.
    private static let messagePageBytes = 4 << 20

    /// The messages that nobody has acknowledged, in order.
    /// - Parameters:
    ///   - after: Only those behind this sequence number.
    ///   - limit: At most this many.
    /// - Returns: The messages; a page of large ones ends early.
    /// - Throws: ``BulkheadError`` where the database could not be read.
    public func messages(after: Int64 = 0, limit: Int) async throws(BulkheadError) -> [OutboxMessage] {
        let rows = try await read { db in
            let cursor = try Row.fetchCursor(
                try db.cachedStatement(sql: Outbox.pending),
                arguments: [after, limit]
            )
            var rows: [(OutboxMessage, String)] = []
            var bytes = 0
            while bytes < Self.messagePageBytes, let row = try cursor.next() {
                var columns = Columns(row)
                rows.append(try Outbox.message(&columns))
                bytes += rows[rows.count - 1].1.utf8.count
            }
            return rows
        }
        var messages: [OutboxMessage] = []
        for (var message, body) in rows {
            message.body = try StoredJSON.value(body).object ?? JSONObject()
            messages.append(message)
        }
        return messages
    }

    /// Acknowledges messages: in any order, and as often as one likes.
    /// - Parameters:
    ///   - ids: Their names.
    ///   - now: The moment.
    /// - Returns: Which names are known.
    /// - Throws: ``BulkheadError`` where the database could not be written.
    public func acknowledge(
        _ ids: [String],
        now: Timestamp
    ) async throws(BulkheadError) -> AcknowledgeOutcome {
        try await writer.commit { db in
            var outcome = AcknowledgeOutcome(acknowledged: [], unknown: [])
            for id in ids {
                if try Outbox.acknowledge(db, id, now: now) {
                    outcome.acknowledged.append(id)
                } else {
                    outcome.unknown.append(id)
                }
            }
            return outcome
        }
    }
}

/// The rows of messages.
enum Outbox {
    /// A message's name, made of what it tells of alone, so that telling it again gives the same name.
    ///
    /// The database's own id and the task's key are part of it: an id that has gone and is submitted again is
    /// another task, and its messages are other messages.
    static func messageID(of row: TaskRow, _ kind: OutboxMessage.Kind, _ db: Database) throws -> String {
        let storeID = try Ledger.read(db).storeID
        return "\(row.record.id).\(storeID).\(row.key).\(row.record.run).\(kind.rawValue)"
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

    static let pending = """
        SELECT o.sequence, o.messageID, o.kind, t.id, t.type, o.run, o.attempt, o.at, o.body
        FROM outbox o INDEXED BY outbox_pending JOIN task t ON t.key = o.task
        WHERE o.acknowledgedAt IS NULL AND o.sequence > ? ORDER BY o.sequence LIMIT ?
        """

    static func message(_ columns: inout Columns) throws -> (OutboxMessage, body: String) {
        let sequence = try columns.integer()
        let messageID = try columns.text()
        let names = try (columns.text(), columns.text(), columns.text())
        guard let kind = OutboxMessage.Kind(rawValue: names.0), let task = try? TaskID(names.1),
            let type = try? TaskType(names.2)
        else { throw DatabaseError.damaged("the table outbox") }
        let message = OutboxMessage(
            sequence: sequence,
            messageID: messageID,
            kind: kind,
            task: task,
            type: type,
            run: try columns.count(),
            attempt: try columns.count(),
            at: try columns.moment(),
            body: JSONObject()
        )
        return (message, try columns.optionalText() ?? "{}")
    }

    /// Acknowledges one message; its name stays until its task goes, so that a second time is no surprise.
    /// - Returns: Whether there is such a message.
    static func acknowledge(_ db: Database, _ id: String, now: Timestamp) throws -> Bool {
        let message = try db.first("SELECT bytes, acknowledgedAt FROM outbox WHERE messageID = ?", [id]) {
            (bytes: try $0.integer(), acknowledgedAt: try $0.optionalInteger())
        }
        guard let message else { return false }
        guard message.acknowledgedAt == nil else { return true }
        try db.run(
            "UPDATE outbox SET acknowledgedAt = ?, body = NULL WHERE messageID = ?",
            [now.milliseconds, id]
        )
        try Ledger.countFinals(db, bytes: -message.bytes)
        return true
    }

    static func hasPending(_ db: Database, task: Int64) throws -> Bool {
        try db.first(
            "SELECT 1 FROM outbox WHERE task = ? AND acknowledgedAt IS NULL LIMIT 1",
            [task]
        ) { try $0.count() } != nil
    }

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
