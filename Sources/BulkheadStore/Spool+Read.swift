public import BulkheadCore
import GRDB

extension Store {
    /// Pieces that one page has at most, so that tiny ones do not make it large in memory.
    static let pagePieces = 16_384

    /// A page of a task's output, gaps included, in the order of arrival.
    ///
    /// A gap grows when what lies beside it goes, so a gap may begin before what a reader has already seen:
    /// such a reader goes by the offsets.
    /// - Parameters:
    ///   - id: The task.
    ///   - query: Which output.
    /// - Returns: The page; `isEnd` says that it reaches the end of an attempt that is over.
    /// - Throws: ``BulkheadError`` with the code `notFound` where task or attempt is not there.
    public func output(
        of id: TaskID,
        _ query: OutputQuery
    ) async throws(BulkheadError) -> OutputPage {
        try await read { db in
            guard let task = try OutputReader.Subject.fetch(db, id: id) else {
                throw BulkheadError(.notFound, "there is no task \(id)")
            }
            return try OutputReader(task: task, query: query).page(db)
        }
    }
}

/// Reads one page of output.
struct OutputReader {
    /// What of a task decides which output there is.
    struct Subject: Sendable {
        var id: TaskID
        var key: Int64
        var attempt: Int
        var status: TaskStatus

        static func fetch(_ db: Database, id: TaskID) throws -> Subject? {
            try db.first("SELECT key, attempt, status FROM task WHERE id = ?", [id.text]) { columns in
                let key = try columns.integer()
                let attempt = try columns.count()
                guard let status = TaskStatus(rawValue: try columns.text()) else {
                    throw DatabaseError.damaged("the table task")
                }
                return Subject(id: id, key: key, attempt: attempt, status: status)
            }
        }
    }

    let task: Subject
    let query: OutputQuery

    func page(_ db: Database) throws -> OutputPage {
        let attempt = query.attempt ?? task.attempt
        guard attempt > 0 else {
            return OutputPage(attempt: 0, pieces: [], isEnd: task.status.isTerminal)
        }
        let isKnown = try db.first(
            "SELECT 1 FROM attempt WHERE task = ? AND attempt = ?",
            [task.key, attempt]
        ) { try $0.count() }
        guard isKnown != nil else {
            throw BulkheadError(
                .notFound,
                "the task \(task.id) has no attempt \(attempt), or it is no longer kept"
            )
        }
        let (pieces, isAll) = try pieces(of: attempt, db)
        let isOver = attempt < task.attempt || task.status != .running
        return OutputPage(attempt: attempt, pieces: pieces, isEnd: isAll && isOver)
    }

    private func pieces(of attempt: Int, _ db: Database) throws -> ([OutputPiece], isAll: Bool) {
        let limit = min(max(query.limit, 1), Limits.outputPageBytes)
        let (sql, arguments) = statement(attempt)
        let cursor = try Row.fetchCursor(try db.cachedStatement(sql: sql), arguments: arguments)
        var pieces: [OutputPiece] = []
        var bytes = 0
        while let row = try cursor.next() {
            guard bytes < limit, pieces.count < Store.pagePieces else { return (pieces, false) }
            var columns = Columns(row)
            guard let piece = cut(try Self.piece(&columns, attempt)) else { continue }
            if case .bytes(let content) = piece.content { bytes += content.count }
            pieces.append(piece)
        }
        return (pieces, true)
    }

    private static func piece(_ columns: inout Columns, _ attempt: Int) throws -> OutputPiece {
        let sequence = try columns.integer()
        let channel = try columns.channel()
        let offset = try columns.integer()
        let length = try columns.integer()
        let bytes = try columns.optionalBytes()
        return OutputPiece(
            sequence: sequence,
            channel: channel,
            attempt: attempt,
            offset: offset,
            content: bytes.map { .bytes($0) } ?? .gap(length)
        )
    }

    /// The part of a piece from the wanted offset on; nil where nothing of it is left.
    private func cut(_ piece: OutputPiece) -> OutputPiece? {
        guard query.channel != nil, let from = query.offset else { return piece }
        return piece.rest(from: from)
    }

    private func statement(_ attempt: Int) -> (String, StatementArguments) {
        guard let channel = query.channel else {
            let place: StatementArguments = [task.key, attempt, query.after ?? 0]
            return (Self.both, place + place)
        }
        let stream: StatementArguments = [task.key, attempt, channel.column]
        let place = stream + [query.offset ?? 0] + stream + [query.after ?? 0]
        return (Self.one, place + place)
    }

    /// Both streams, merged in the order of arrival without sorting.
    static let both = """
        SELECT arrival, channel, offset, length, data FROM chunk INDEXED BY chunk_by_attempt
        WHERE task = ? AND attempt = ? AND arrival > ?
        UNION ALL
        SELECT arrival, channel, offset, length, NULL FROM gap INDEXED BY gap_by_attempt
        WHERE task = ? AND attempt = ? AND arrival > ?
        ORDER BY arrival
        """

    /// One stream, from the piece on that holds an offset.
    static let one = """
        SELECT arrival, channel, offset, length, data FROM chunk INDEXED BY chunk_by_offset
        WHERE offset >= \(beginning("chunk")) AND task = ? AND attempt = ? AND channel = ? AND arrival > ?
        UNION ALL
        SELECT arrival, channel, offset, length, NULL FROM gap INDEXED BY gap_by_offset
        WHERE offset >= \(beginning("gap")) AND task = ? AND attempt = ? AND channel = ? AND arrival > ?
        ORDER BY offset
        """

    private static func beginning(_ table: String) -> String {
        """
        COALESCE((
            SELECT MAX(offset) FROM \(table) INDEXED BY \(table)_by_offset
            WHERE task = ? AND attempt = ? AND channel = ? AND offset <= ?
        ), 0)
        """
    }
}
