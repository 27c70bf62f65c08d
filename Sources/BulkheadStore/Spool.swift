public import BulkheadCore
import Foundation
import GRDB

extension Store {
    /// Stores output, makes room for it in the same transaction, and says what became of each piece.
    ///
    /// Idempotent by offset: what a stream already has is not stored twice, and a jump becomes a gap. A task
    /// over its own limit pays first, then the oldest output of all. Output of an attempt that does not run
    /// is stale and changes nothing. On a full disk it takes the place of the oldest, or is said as a gap.
    /// - Parameter chunks: The pieces, those of one stream in order.
    /// - Returns: One entry for each piece; offsets up to an entry's `end` may be acknowledged.
    /// - Throws: ``BulkheadError`` where the database could not be written.
    public func append(_ chunks: [OutputChunk]) async throws(BulkheadError) -> AppendOutcome {
        for chunk in chunks where chunk.offset < 0 || chunk.offset > Int64.max - Int64(chunk.bytes.count) {
            throw BulkheadError(.internal, "output of the task \(chunk.id) has an impossible offset")
        }
        let bytes = chunks.reduce(0) { $0 + $1.bytes.count }
        let settings = self.settings
        if writer.pressure == .full {
            // A group without any change has the log looked at again.
            try await writer.commit { _ in }
            if let refusal = writer.pressure.outputRefusal { throw refusal }
        }
        let full: [(SpoolIntake.Disk, CommitPurpose)] = [
            (.full(missingPages: writer.reserve?.missingPages ?? 0), .growth), (.closed, .relief),
        ]
        let tries = (writer.reserve?.shortage == nil ? [(.roomy, .growth)] : []) + full
        var refusal: BulkheadError?
        for (disk, purpose) in tries {
            do {
                return try await writer.commit(bytes: bytes, for: purpose) { db in
                    var intake = SpoolIntake(settings, disk)
                    return try intake.append(chunks, db)
                }
            } catch  where error.code == .noReserve {
                refusal = error
            }
        }
        throw refusal ?? BulkheadError(.internal, "output was not taken")
    }

    /// Bytes of output that are kept.
    public func spoolBytes() async throws(BulkheadError) -> Int64 {
        try await read { db in try Ledger.read(db).spoolBytes }
    }
}

/// The rows of output and of what is missing of it.
enum Spool {
    /// Takes all output of a task that goes.
    static func discard(_ db: Database, task: Int64) throws {
        let kept = try db.first("SELECT retainedBytes FROM task WHERE key = ?", [task]) { try $0.integer() }
        try db.run("DELETE FROM chunk WHERE task = ?", [task])
        try Ledger.countChunks(db, bytes: -(kept ?? 0), chunks: -Int64(db.changesCount))
        try db.run("DELETE FROM gap WHERE task = ?", [task])
    }

    /// Takes the output of an attempt that never was, as if nothing had been written.
    static func discard(_ db: Database, task: Int64, attempt: Int) throws {
        let kept = try sum("chunk", task, attempt, db)
        let gone = try sum("gap", task, attempt, db)
        guard kept + gone > 0 else { return }
        try db.run("DELETE FROM chunk WHERE task = ? AND attempt = ?", [task, attempt])
        try Ledger.countChunks(db, bytes: -kept, chunks: -Int64(db.changesCount))
        try db.run("DELETE FROM gap WHERE task = ? AND attempt = ?", [task, attempt])
        try db.run(
            """
            UPDATE task SET retainedBytes = retainedBytes - ?, droppedBytes = droppedBytes - ?,
                stdoutBytes = stdoutBytes
                    - (SELECT a.stdoutEnd FROM attempt a WHERE a.task = task.key AND a.attempt = ?),
                stderrBytes = stderrBytes
                    - (SELECT a.stderrEnd FROM attempt a WHERE a.task = task.key AND a.attempt = ?)
            WHERE key = ?
            """,
            [kept, gone, attempt, attempt, task]
        )
    }

    private static func sum(_ table: String, _ task: Int64, _ attempt: Int, _ db: Database) throws -> Int64 {
        try db.first(
            "SELECT COALESCE(SUM(length), 0) FROM \(table) WHERE task = ? AND attempt = ?",
            [task, attempt]
        ) { try $0.integer() } ?? 0
    }
}
