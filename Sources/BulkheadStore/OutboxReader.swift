import BulkheadCore
import GRDB

/// Draws a page of messages from the tables in which they lie, in the order of what happened.
enum OutboxReader {
    /// A message as its row holds it, its JSON still text.
    struct Draft: Sendable {
        /// What is particular to its kind.
        enum Content: Sendable {
            case received
            case started
            case output(OutputChannel, offset: Int64, bytes: [UInt8])
            case gap(OutputChannel, offset: Int64, bytes: Int64)
            case final(String)
        }

        var sequence: Int64
        var name: MessageName
        var type: TaskType
        var attempt: Int
        var at: Timestamp
        var content: Content

        /// Bytes of what makes a message large.
        var bytes: Int {
            switch content {
            case .received, .started, .gap: 0
            case .output(_, _, let bytes): bytes.count
            case .final(let text): text.utf8.count
            }
        }

        /// The message with its JSON parsed.
        /// - Throws: ``BulkheadError`` with the code `storage` where a text is not what was written.
        func message() throws(BulkheadError) -> OutboxMessage {
            let content: OutboxMessage.Content
            switch self.content {
            case .received: content = .received
            case .started: content = .started
            case .output(let channel, let offset, let bytes):
                content = .output(channel, offset: offset, bytes: bytes)
            case .gap(let channel, let offset, let bytes):
                content = .gap(channel, offset: offset, bytes: bytes)
            case .final(let text): content = .final(try StoredJSON.value(text).object ?? JSONObject())
            }
            return OutboxMessage(
                sequence: sequence,
                messageID: name.text,
                task: name.task,
                type: type,
                run: name.run,
                attempt: attempt,
                at: at,
                content: content
            )
        }
    }

    /// Reads one page.
    static func page(after: Int64, limit: Int, bytes most: Int, _ db: Database) throws -> [Draft] {
        let storeID = try Ledger.read(db).storeID
        var rows = MergedRows<Draft>()
        for (sql, content) in sources {
            try rows.add(sql, [after], db) { sequence, columns in
                try draft(sequence, storeID, &columns, content)
            }
        }
        var drafts: [Draft] = []
        var bytes = 0
        while drafts.count < limit, bytes < most, let draft = try rows.next() {
            bytes += draft.bytes
            drafts.append(draft)
        }
        return drafts
    }

    private typealias ContentReader = @Sendable (inout Columns) throws -> Draft.Content

    private static func draft(
        _ sequence: Int64,
        _ storeID: String,
        _ columns: inout Columns,
        _ content: ContentReader
    ) throws -> Draft {
        let names = try (columns.text(), columns.text())
        guard let task = try? TaskID(names.0), let type = try? TaskType(names.1) else {
            throw DatabaseError.damaged("the table task")
        }
        let key = try columns.integer()
        let run = try columns.count()
        let attempt = try columns.count()
        let at = try columns.moment()
        let content = try content(&columns)
        let name = MessageName(
            task: task,
            storeID: storeID,
            key: key,
            run: run,
            kind: content.kind,
            place: content.place(arrival: sequence, attempt: attempt)
        )
        return Draft(sequence: sequence, name: name, type: type, attempt: attempt, at: at, content: content)
    }

    /// Where messages lie: number, id, type, key, run, attempt and moment, then what is particular to them.
    private static let sources: [(sql: String, content: ContentReader)] = [
        (received, { _ in .received }),
        (started, { _ in .started }),
        (
            output,
            { columns in
                let (channel, offset) = try (columns.channel(), columns.integer())
                return .output(channel, offset: offset, bytes: try columns.optionalBytes() ?? [])
            }
        ),
        (
            gaps,
            { columns in
                let (channel, offset) = try (columns.channel(), columns.integer())
                return .gap(channel, offset: offset, bytes: try columns.integer() - offset)
            }
        ),
        (
            kept,
            { columns in
                let kind = try columns.text()
                switch OutboxMessage.Kind(rawValue: kind) {
                case .received: return .received
                case .started: return .started
                case .final: return .final(try columns.optionalText() ?? "{}")
                case .output, .gap, nil: throw DatabaseError.damaged("the table outbox")
                }
            }
        ),
    ]

    static let received = """
        SELECT sequence, id, type, key, run, 0, submittedAt FROM task INDEXED BY task_received_owed
        WHERE receivedAcknowledged = 0 AND sequence > ? ORDER BY sequence
        """
    static let started = """
        SELECT startedSequence, id, type, key, run, startedAttempt, runStartedAt
        FROM task INDEXED BY task_started_owed
        WHERE startedAcknowledged = 0 AND startedSequence > ? ORDER BY startedSequence
        """
    static let output = """
        SELECT c.arrival, t.id, t.type, t.key, a.run, c.attempt, c.at, c.channel, c.offset, c.data
        FROM chunk c INDEXED BY chunk_owed CROSS JOIN task t ON t.key = c.task
            CROSS JOIN attempt a ON a.task = c.task AND a.attempt = c.attempt
        WHERE c.owed = 1 AND c.arrival > ? ORDER BY c.arrival
        """
    static let gaps = """
        SELECT g.arrival, t.id, t.type, t.key, a.run, g.attempt, g.at, g.channel, g.owedOffset, g.owedEnd
        FROM gap g INDEXED BY gap_owed CROSS JOIN task t ON t.key = g.task
            CROSS JOIN attempt a ON a.task = g.task AND a.attempt = g.attempt
        WHERE g.owedEnd IS NOT NULL AND g.arrival > ? ORDER BY g.arrival
        """
    /// Finals, and the beginnings of runs that were followed by others.
    static let kept = """
        SELECT o.sequence, t.id, t.type, t.key, o.run, o.attempt, o.at, o.kind, o.body
        FROM outbox o INDEXED BY outbox_pending CROSS JOIN task t ON t.key = o.task
        WHERE o.acknowledgedAt IS NULL AND o.sequence > ? ORDER BY o.sequence
        """
}

extension OutboxReader.Draft.Content {
    fileprivate var kind: OutboxMessage.Kind {
        switch self {
        case .received: .received
        case .started: .started
        case .output: .output
        case .gap: .gap
        case .final: .final
        }
    }

    fileprivate func place(arrival: Int64, attempt: Int) -> MessageName.Place? {
        let (channel, offset, length): (OutputChannel, Int64, Int64)
        switch self {
        case .received, .started, .final: return nil
        case .output(let stream, let start, let bytes):
            (channel, offset, length) = (stream, start, Int64(bytes.count))
        case .gap(let stream, let start, let bytes): (channel, offset, length) = (stream, start, bytes)
        }
        return MessageName.Place(
            arrival: arrival,
            attempt: attempt,
            channel: channel,
            offset: offset,
            end: offset + length
        )
    }
}
