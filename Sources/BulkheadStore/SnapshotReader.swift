public import BulkheadCore
import GRDB

extension Store {
    /// A page of what a controller needs that has lost touch.
    /// - Parameters:
    ///   - place: Where the page begins.
    ///   - limit: Entries that each list of the page has at most.
    /// - Returns: The page, and where the next one begins.
    /// - Throws: ``BulkheadError`` where the database could not be read.
    public func snapshot(
        from place: SpoolSnapshot.Place,
        limit: Int
    ) async throws(BulkheadError) -> SpoolSnapshot {
        try await read { db in try SnapshotReader(limit: limit).page(from: place, db) }
    }
}

/// Reads one page of a snapshot.
struct SnapshotReader {
    let limit: Int

    func page(from place: SpoolSnapshot.Place, _ db: Database) throws -> SpoolSnapshot {
        let ledger = try Ledger.read(db)
        var page = SpoolSnapshot(
            sequence: ledger.sequence,
            pendingMessages: ledger.pendingMessages,
            spoolBytes: ledger.spoolBytes,
            finalBytes: ledger.finalBytes
        )
        (page.running, page.next.running) = try list(Self.running, behind: place.running, db) {
            try Self.running(&$0, db)
        }
        (page.queued, page.next.queued) = try list(Self.queued, behind: place.queued, db) {
            try Self.task(&$0)
        }
        (page.finals, page.next.finals) = try list(Self.finals, behind: place.finals, db) {
            try Self.final($0, ledger.storeID, &$1, db)
        }
        return page
    }

    /// One of the lists, and the number behind which it goes on; nil where it is over.
    private func list<Entry>(
        _ sql: String,
        behind place: Int64?,
        _ db: Database,
        _ read: (Int64, inout Columns) throws -> Entry
    ) throws -> ([Entry], next: Int64?) {
        guard let place else { return ([], nil) }
        // One row too many says that there is a next page.
        let rows = try db.rows(sql, [place, limit + 1]) { columns in
            let number = try columns.integer()
            return (number, try read(number, &columns))
        }
        let kept = rows.prefix(limit)
        return (kept.map(\.1), rows.count > limit ? kept.last?.0 : nil)
    }

    private func list<Entry>(
        _ sql: String,
        behind place: Int64?,
        _ db: Database,
        _ read: (inout Columns) throws -> Entry
    ) throws -> ([Entry], next: Int64?) {
        try list(sql, behind: place, db) { try read(&$1) }
    }

    private static func task(_ columns: inout Columns) throws -> TaskID {
        guard let task = try? TaskID(try columns.text()) else {
            throw DatabaseError.damaged("the table task")
        }
        return task
    }

    private static func type(_ columns: inout Columns) throws -> TaskType {
        guard let type = try? TaskType(try columns.text()) else {
            throw DatabaseError.damaged("the table task")
        }
        return type
    }

    private static func running(_ columns: inout Columns, _ db: Database) throws -> SpoolSnapshot.Running {
        let (task, type, key) = try (task(&columns), type(&columns), columns.integer())
        let (run, attempt, startedAt) = try (columns.count(), columns.count(), columns.moment())
        return SpoolSnapshot.Running(
            task: task,
            type: type,
            run: run,
            attempt: attempt,
            startedAt: startedAt,
            output: try output(ofTask: key, attempt: attempt, db)
        )
    }

    private static func final(
        _ sequence: Int64,
        _ storeID: String,
        _ columns: inout Columns,
        _ db: Database
    ) throws -> SpoolSnapshot.Final {
        let (task, type, key) = try (task(&columns), type(&columns), columns.integer())
        let (run, attempt) = try (columns.count(), columns.count())
        let name = MessageName(task: task, storeID: storeID, key: key, run: run, kind: .final)
        return SpoolSnapshot.Final(
            sequence: sequence,
            messageID: name.text,
            task: task,
            type: type,
            run: run,
            attempt: attempt,
            output: try output(ofTask: key, attempt: attempt, db)
        )
    }

    /// The streams of an attempt on which something was written.
    private static func output(
        ofTask key: Int64,
        attempt: Int,
        _ db: Database
    ) throws -> [SpoolSnapshot.OutputRange] {
        let ends = try db.first(
            "SELECT stdoutEnd, stderrEnd FROM attempt WHERE task = ? AND attempt = ?",
            [key, attempt]
        ) { try [(OutputChannel.stdout, $0.integer()), (.stderr, $0.integer())] }
        return try (ends ?? []).filter { $0.1 > 0 }.map { channel, end in
            let stream: StatementArguments = [key, attempt, channel.column]
            let gaps = try db.rows(Self.gaps, stream + [Limits.snapshotGaps]) {
                SpoolSnapshot.Gap(offset: try $0.integer(), bytes: try $0.integer())
            }
            return SpoolSnapshot.OutputRange(
                attempt: attempt,
                channel: channel,
                first: try db.first(Self.firstKept, stream, { try $0.integer() }) ?? end,
                end: end,
                gaps: gaps,
                missingBytes: try db.first(Self.missing, stream, { try $0.integer() }) ?? 0
            )
        }
    }

    static let running = """
        SELECT sequence, id, type, key, run, attempt, startedAt FROM task INDEXED BY task_by_status
        WHERE status = 'running' AND sequence > ? ORDER BY sequence LIMIT ?
        """
    static let queued = """
        SELECT sequence, id FROM task INDEXED BY task_by_status
        WHERE status = 'queued' AND sequence > ? ORDER BY sequence LIMIT ?
        """
    static let finals = """
        SELECT o.sequence, t.id, t.type, t.key, o.run, o.attempt
        FROM outbox o INDEXED BY outbox_pending CROSS JOIN task t ON t.key = o.task
        WHERE o.acknowledgedAt IS NULL AND o.kind = 'final' AND o.sequence > ? ORDER BY o.sequence LIMIT ?
        """
    static let gaps = """
        SELECT offset, length FROM gap INDEXED BY gap_by_offset
        WHERE task = ? AND attempt = ? AND channel = ? ORDER BY offset LIMIT ?
        """
    static let missing = """
        SELECT COALESCE(SUM(length), 0) FROM gap INDEXED BY gap_by_offset
        WHERE task = ? AND attempt = ? AND channel = ?
        """
    static let firstKept = """
        SELECT offset FROM chunk INDEXED BY chunk_by_offset
        WHERE task = ? AND attempt = ? AND channel = ? ORDER BY offset LIMIT 1
        """
}
