public import BulkheadCore
import GRDB

extension Store {
    /// What has happened behind a place in the order of all that happens.
    ///
    /// Nothing of it is kept apart: it is drawn from the tasks and their output as they are, so a task that has
    /// changed several times since is told once, as it is now.
    /// - Parameters:
    ///   - task: Of this task alone; nil is all.
    ///   - after: Only what lies behind this sequence number.
    ///   - limit: At most this many events.
    ///   - bytes: Bytes of output after which a page ends early.
    /// - Returns: The page.
    /// - Throws: ``BulkheadError`` with the code `notFound` where that task is not there.
    public func events(
        of task: TaskID?,
        after: Int64,
        limit: Int,
        bytes: Int
    ) async throws(BulkheadError) -> EventPage {
        let (drafts, isOver) = try await read { db in
            let reader = try EventReader(of: task, after: after, db)
            return (try reader.page(limit: limit, bytes: bytes, db), reader.isOver)
        }
        var page = EventPage(events: [], next: after, isEnd: isOver && drafts.isEmpty)
        for draft in drafts {
            let event = try draft.event()
            page.events.append(event)
            page.next = event.sequence
        }
        return page
    }

    /// The sequence number given last.
    public func lastSequence() async throws(BulkheadError) -> Int64 {
        try await read { db in try Ledger.read(db).sequence }
    }

    /// Eight hexadecimal digits that tell this database from every other.
    public func storeID() async throws(BulkheadError) -> String {
        try await read { db in try Ledger.read(db).storeID }
    }
}

/// Draws events from the tables in which they lie.
struct EventReader {
    /// An event as its row holds it, its JSON still text.
    enum Draft: Sendable {
        case status(Int64, TaskRow)
        case progress(Int64, TaskRow)
        case output(TaskID, OutputPiece)

        var bytes: Int {
            guard case .output(_, let piece) = self, case .bytes(let bytes) = piece.content else { return 0 }
            return bytes.count
        }

        func event() throws(BulkheadError) -> FeedEvent {
            switch self {
            case .status(let sequence, let row):
                FeedEvent(sequence: sequence, task: row.record.id, content: .status(try row.parsed()))
            case .progress(let sequence, let row):
                FeedEvent(
                    sequence: sequence,
                    task: row.record.id,
                    content: .progress(
                        row.record.progress ?? TaskProgress(fraction: nil, message: nil),
                        attempt: row.record.attempt
                    )
                )
            case .output(let task, let piece):
                FeedEvent(sequence: piece.sequence, task: task, content: .output(piece))
            }
        }
    }

    private struct Subject {
        var key: Int64
        /// The attempt in which the place lies.
        var attempt: Int
        var isTerminal: Bool
    }

    private let after: Int64
    private let subject: Subject?

    init(of task: TaskID?, after: Int64, _ db: Database) throws {
        self.after = after
        subject = try task.map { id in
            let subject = try db.first(Self.subject, [after, id.text]) { columns in
                Subject(
                    key: try columns.integer(),
                    attempt: try columns.count(),
                    isTerminal: TaskStatus(rawValue: try columns.text())?.isTerminal ?? false
                )
            }
            guard let subject else { throw BulkheadError(.notFound, "there is no task \(id)") }
            return subject
        }
    }

    /// Whether the task is one whose run is over.
    var isOver: Bool { subject?.isTerminal ?? false }

    func page(limit: Int, bytes: Int, _ db: Database) throws -> [Draft] {
        var rows = MergedRows<Draft>()
        if let subject {
            let ofTask: StatementArguments = [subject.key, after]
            let ofAttempt: StatementArguments = [subject.key, subject.attempt, after]
            try rows.add(Self.statusOfTask, ofTask, db) { .status($0, try TaskRow(&$1)) }
            try rows.add(Self.progressOfTask, ofTask, db) { .progress($0, try TaskRow(&$1)) }
            for (sql, arguments) in [
                (Self.chunksOfAttempt, ofAttempt), (Self.chunksOfLater, ofAttempt),
                (Self.gapsOfAttempt, ofAttempt), (Self.gapsOfLater, ofAttempt),
            ] {
                try rows.add(sql, arguments, db, Self.output)
            }
        } else {
            try rows.add(Self.status, [after], db) { .status($0, try TaskRow(&$1)) }
            try rows.add(Self.progress, [after], db) { .progress($0, try TaskRow(&$1)) }
            try rows.add(Self.chunks, [after], db, Self.output)
            try rows.add(Self.gaps, [after], db, Self.output)
        }
        var drafts: [Draft] = []
        var sum = 0
        while drafts.count < limit, sum < bytes, let draft = try rows.next() {
            sum += draft.bytes
            drafts.append(draft)
        }
        return drafts
    }

    private static func output(_ sequence: Int64, _ columns: inout Columns) throws -> Draft {
        guard let task = try? TaskID(try columns.text()) else {
            throw DatabaseError.damaged("the table task")
        }
        let attempt = try columns.count()
        let channel = try columns.channel()
        let offset = try columns.integer()
        let length = try columns.integer()
        let bytes = try columns.optionalBytes()
        let piece = OutputPiece(
            sequence: sequence,
            channel: channel,
            attempt: attempt,
            offset: offset,
            content: bytes.map { .bytes($0) } ?? .gap(length)
        )
        return .output(task, piece)
    }
}

/// The statements, apart from the calls so that a test can ask SQLite how it would run them.
extension EventReader {
    static let subject = """
        SELECT key, COALESCE((
            SELECT MAX(attempt) FROM attempt WHERE task = task.key AND sequence <= ?
        ), 0), status FROM task WHERE id = ?
        """
    static let status = TaskRow.glance(
        "t.changed",
        "FROM task t INDEXED BY task_by_change WHERE t.changed > ? ORDER BY t.changed"
    )
    static let progress = TaskRow.glance(
        "t.progressed",
        """
        FROM task t INDEXED BY task_by_progress
        WHERE t.progressed IS NOT NULL AND t.progressed > ? ORDER BY t.progressed
        """
    )
    static let statusOfTask = TaskRow.glance("t.changed", "FROM task t WHERE t.key = ? AND t.changed > ?")
    static let progressOfTask = TaskRow.glance(
        "t.progressed",
        "FROM task t WHERE t.key = ? AND t.progressed > ?"
    )

    private static let chunk = "SELECT p.arrival, t.id, p.attempt, p.channel, p.offset, p.length, p.data"
    private static let gap = "SELECT p.arrival, t.id, p.attempt, p.channel, p.offset, p.length, NULL"
    private static let ofAttempt = "WHERE p.task = ? AND p.attempt = ? AND p.arrival > ? ORDER BY p.arrival"
    // A task's attempts follow one another, so this is the order of arrival.
    private static let ofLater = """
        WHERE p.task = ? AND p.attempt > ? AND p.arrival > ? ORDER BY p.attempt, p.arrival
        """

    static let chunks = """
        \(chunk) FROM chunk p CROSS JOIN task t ON t.key = p.task WHERE p.arrival > ? ORDER BY p.arrival
        """
    static let gaps = """
        \(gap) FROM gap p CROSS JOIN task t ON t.key = p.task WHERE p.arrival > ? ORDER BY p.arrival
        """
    static let chunksOfAttempt = """
        \(chunk) FROM chunk p INDEXED BY chunk_by_attempt CROSS JOIN task t ON t.key = p.task \(ofAttempt)
        """
    static let chunksOfLater = """
        \(chunk) FROM chunk p INDEXED BY chunk_by_attempt CROSS JOIN task t ON t.key = p.task \(ofLater)
        """
    static let gapsOfAttempt = """
        \(gap) FROM gap p INDEXED BY gap_by_attempt CROSS JOIN task t ON t.key = p.task \(ofAttempt)
        """
    static let gapsOfLater = """
        \(gap) FROM gap p INDEXED BY gap_by_attempt CROSS JOIN task t ON t.key = p.task \(ofLater)
        """
}
