public import BulkheadCore
import GRDB

/// An attempt that runs, as far as the store knows.
public struct RunningAttempt: Sendable, Equatable {
    /// The task.
    public var task: TaskRecord
    /// The attempt.
    public var attempt: AttemptRecord
    /// What is needed to go on with it.
    public var tie: AttemptTie
}

extension Store {
    /// A page of the attempts that run, those of older tasks first; a page of large tasks ends early.
    /// - Parameters:
    ///   - sequence: The sequence of the last task of the page before; 0 for the first.
    ///   - limit: At most this many.
    /// - Returns: The page; empty where there are no more.
    /// - Throws: ``BulkheadError`` where the database could not be read.
    public func runningAttempts(
        after sequence: Int64 = 0,
        limit: Int
    ) async throws(BulkheadError) -> [RunningAttempt] {
        let most = settings.listPageBytes
        let rows = try await read { db in
            let statement = try db.cachedStatement(sql: Self.running)
            let cursor = try Row.fetchCursor(statement, arguments: [sequence, limit])
            var tasks: [TaskRow] = []
            var bytes = 0
            while bytes <= most, let row = try cursor.next() {
                var columns = Columns(row)
                tasks.append(try TaskRow(&columns))
                bytes += tasks[tasks.count - 1].textBytes
            }
            return try tasks.map { ($0, try Attempts.running(db, of: $0)) }
        }
        var page: [RunningAttempt] = []
        for (row, (attempt, tie)) in rows {
            page.append(RunningAttempt(task: try row.parsed(), attempt: attempt, tie: tie))
        }
        return page
    }

    static let running = TaskRow.selection(
        "WHERE t.status = 'running' AND t.sequence > ? ORDER BY t.sequence LIMIT ?"
    )
}

extension Attempts {
    private static let ofTask = "FROM attempt WHERE task = ? AND attempt = ?"

    /// The attempt of a task that runs, and what is needed to go on with it.
    fileprivate static func running(_ db: Database, of task: TaskRow) throws -> (AttemptRecord, AttemptTie) {
        let key: StatementArguments = [task.key, task.record.attempt]
        let attempt = try db.first("SELECT \(columns) \(ofTask)", key) { try row(&$0) }
        let tie = try db.first(
            "SELECT launcherName, launcherSecret, terms, stdoutEnd, stderrEnd \(ofTask)",
            key
        ) { columns in
            let name = try columns.optionalText()
            let secret = try columns.optionalBytes()
            let terms = try columns.optionalText()
            return AttemptTie(
                launcher: name.flatMap { name in secret.map { LauncherTie(name: name, secret: $0) } },
                terms: try terms.map { try StoredJSON.value($0) },
                stdoutEnd: try columns.integer(),
                stderrEnd: try columns.integer()
            )
        }
        guard let attempt, let tie else { throw DatabaseError.damaged("the table attempt") }
        return (attempt, tie)
    }
}
