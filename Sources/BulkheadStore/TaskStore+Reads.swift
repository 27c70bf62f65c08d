public import BulkheadCore
import GRDB

extension Store {
    /// A task by its id.
    public func task(_ id: TaskID) async throws(BulkheadError) -> TaskRecord? {
        try await read { db in try TaskRow.fetch(db, id: id) }?.parsed()
    }

    /// What a queued task waits for, as ``putBack(_:attempt:notBefore:waitingFor:)`` kept it.
    public func waitingFor(_ id: TaskID) async throws(BulkheadError) -> String? {
        try await read { db in
            try db.first("SELECT waitingFor FROM task WHERE id = ?", [id.text]) { try $0.optionalText() }
        } ?? nil
    }

    /// The ids that begin with a text.
    /// - Parameters:
    ///   - prefix: The beginning, in either case.
    ///   - limit: At most this many; two suffice to know whether it is unique.
    /// - Returns: The ids in order.
    /// - Throws: ``BulkheadError`` where the database could not be read.
    public func tasks(beginning prefix: String, limit: Int) async throws(BulkheadError) -> [TaskID] {
        let from = prefix.lowercased()
        // Ids are of hexadecimal digits and "-", all of which sort before "~".
        let texts = try await read { db in
            try db.rows(
                "SELECT id FROM task WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
                [from, from + "~", limit]
            ) { try $0.text() }
        }
        return texts.compactMap { try? TaskID($0) }
    }

    /// The latest attempts of a task, oldest first.
    public func attempts(of id: TaskID, limit: Int) async throws(BulkheadError) -> [AttemptRecord] {
        try await read { db in
            try db.rows(
                """
                SELECT \(Attempts.columns) FROM attempt
                WHERE task = (SELECT key FROM task WHERE id = ?) ORDER BY attempt DESC LIMIT ?
                """,
                [id.text, limit]
            ) { try Attempts.row(&$0) }.reversed()
        }
    }

    /// A page of tasks, those submitted last first.
    /// - Parameter filter: Which; its limit is cut to a thousand, and a page of large tasks ends early.
    /// - Returns: The page.
    /// - Throws: ``BulkheadError`` where the database could not be read.
    public func tasks(_ filter: TaskFilter) async throws(BulkheadError) -> TaskPage {
        let limit = min(max(filter.limit, 1), Limits.listPage)
        let most = settings.listPageBytes
        let rows = try await read { db in
            let (sql, arguments) = Self.list(filter, limit: limit + 1)
            let cursor = try Row.fetchCursor(try db.cachedStatement(sql: sql), arguments: arguments)
            var rows: [TaskRow] = []
            var bytes = 0
            while rows.count <= limit, let row = try cursor.next() {
                var columns = Columns(row)
                rows.append(try TaskRow(&columns))
                bytes += rows[rows.count - 1].textBytes
                // One row too many says that there is a next page.
                if bytes > most, rows.count > 1 { break }
            }
            return (rows: rows, isCut: rows.count > limit || (bytes > most && rows.count > 1))
        }
        var tasks: [TaskRecord] = []
        for row in rows.isCut ? rows.rows.dropLast() : rows.rows[...] { tasks.append(try row.parsed()) }
        return TaskPage(tasks: tasks, next: rows.isCut ? tasks.last?.sequence : nil)
    }

    /// The statement of a list; each combination of conditions is a text of its own, and few are in use.
    static func list(_ filter: TaskFilter, limit: Int) -> (sql: String, arguments: StatementArguments) {
        var conditions: [String] = []
        var arguments = StatementArguments()
        for (column, value) in [
            ("caller", filter.caller), ("type", filter.type?.name), ("status", filter.status?.rawValue),
            ("pool", filter.pool?.name),
        ] {
            guard let value else { continue }
            conditions.append("t.\(column) = ?")
            arguments += [value]
        }
        if let before = filter.before {
            conditions.append("t.sequence < ?")
            arguments += [before]
        }
        let condition = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        arguments += [limit]
        return (TaskRow.selection("\(condition) ORDER BY t.sequence DESC LIMIT ?"), arguments)
    }
}
