public import BulkheadCore
import Foundation
import GRDB

extension Store {
    /// What is measured of the store at this moment: kept counters and the sizes of files, nothing that is counted
    /// for it row by row.
    /// - Returns: The measures.
    /// - Throws: ``BulkheadError`` where the database could not be read.
    public func measures() async throws(BulkheadError) -> StoreMeasures {
        var measures = try await read { db in
            var measures = StoreMeasures()
            try Self.readSums(db, into: &measures)
            measures.tasks = try Self.readTally(db)
            let moments = try db.rows(Self.oldestPending) { try $0.optionalMoment() }
            measures.oldestPending = moments.compactMap(\.self).min()
            return measures
        }
        measures.databaseBytes = Self.bytes(ofFile: settings.path)
        measures.logBytes = Self.bytes(ofFile: settings.path + "-wal")
        measures.reserve = writer.reserve?.measures ?? ReserveMeasures()
        measures.counters = counters
        measures.commits = writer.measures
        return measures
    }

    private static func readSums(_ db: Database, into measures: inout StoreMeasures) throws {
        let found: Void? = try db.first(
            """
            SELECT spoolBytes, reservedBytes, finalBytes, outputBytes, droppedBytes, pendingMessages
            FROM ledger
            """
        ) { columns in
            measures.spoolBytes = try columns.integer()
            measures.reservedBytes = try columns.integer()
            measures.finalBytes = try columns.integer()
            measures.outputBytes = try columns.integer()
            measures.droppedBytes = try columns.integer()
            measures.pendingMessages = try columns.count()
        }
        guard found != nil else { throw DatabaseError.damaged("the table ledger") }
    }

    private static func readTally(_ db: Database) throws -> [PoolName: [TaskStatus: Int]] {
        var tasks: [PoolName: [TaskStatus: Int]] = [:]
        _ = try db.rows("SELECT pool, status, tasks FROM tally") { columns in
            guard let pool = try? PoolName(try columns.text()),
                let status = TaskStatus(rawValue: try columns.text())
            else { throw DatabaseError.damaged("the table tally") }
            tasks[pool, default: [:]][status] = try columns.count()
        }
        return tasks
    }

    private static func bytes(ofFile path: String) -> Int64 {
        (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int64) ?? 0
    }

    /// The oldest message of each kind that nobody has acknowledged, each the first of its index.
    static let oldestPending = """
        SELECT * FROM (SELECT submittedAt FROM task INDEXED BY task_received_owed
            WHERE receivedAcknowledged = 0 ORDER BY sequence LIMIT 1)
        UNION ALL SELECT * FROM (SELECT runStartedAt FROM task INDEXED BY task_started_owed
            WHERE startedAcknowledged = 0 ORDER BY startedSequence LIMIT 1)
        UNION ALL SELECT * FROM (SELECT at FROM chunk INDEXED BY chunk_owed
            WHERE owed = 1 ORDER BY arrival LIMIT 1)
        UNION ALL SELECT * FROM (SELECT at FROM gap INDEXED BY gap_owed
            WHERE owedEnd IS NOT NULL ORDER BY arrival LIMIT 1)
        UNION ALL SELECT * FROM (SELECT at FROM outbox INDEXED BY outbox_pending
            WHERE acknowledgedAt IS NULL ORDER BY sequence LIMIT 1)
        """
}
