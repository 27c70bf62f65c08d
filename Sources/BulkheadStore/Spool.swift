public import BulkheadCore
import Foundation
import GRDB

extension Store {
    /// Stores output, makes room for it in the same transaction, and says what became of each piece.
    ///
    /// Idempotent by offset: what a stream already has is not stored twice, and a jump becomes a gap. A task
    /// over its own limit pays first, then the oldest output of all. Output of an attempt that does not run
    /// is stale and changes nothing.
    /// - Parameter chunks: The pieces, those of one stream in order.
    /// - Returns: One entry for each piece; offsets up to an entry's `end` may be acknowledged.
    /// - Throws: ``BulkheadError`` where the database could not be written.
    public func append(_ chunks: [OutputChunk]) async throws(BulkheadError) -> AppendOutcome {
        for chunk in chunks where chunk.offset < 0 || chunk.offset > Int64.max - Int64(chunk.bytes.count) {
            throw BulkheadError(.internal, "output of the task \(chunk.id) has an impossible offset")
        }
        let bytes = chunks.reduce(0) { $0 + $1.bytes.count }
        let settings = self.settings
        return try await writer.commit(bytes: bytes) { db in
            var intake = SpoolIntake(
                cap: settings.spoolCap,
                chunkBound: settings.chunkBound,
                isOwed: settings.outboxOn
            )
            return try intake.append(chunks, db)
        }
    }

    /// Bytes of output that are kept.
    public func spoolBytes() async throws(BulkheadError) -> Int64 {
        try await read { db in try Ledger.read(db).spoolBytes }
    }
}

/// The rows of output and of what is missing of it.
enum Spool {
    /// Rows that are looked at in one step when room is made.
    private static let rotationStep = 64

    /// Whose output goes, and which statement finds the oldest of it.
    enum Victim {
        case task(Int64)
        case anyone

        var statement: String {
            switch self {
            case .task: Spool.oldestOfTask
            case .anyone: Spool.oldest
            }
        }

        var arguments: StatementArguments {
            switch self {
            case .task(let key): [key]
            case .anyone: []
            }
        }
    }

    static let oldest = """
        SELECT \(Extent.ofChunk) FROM chunk ORDER BY arrival \
        LIMIT \(rotationStep)
        """
    // A task's attempts follow one another, so this is the order of arrival.
    static let oldestOfTask = """
        SELECT \(Extent.ofChunk) FROM chunk INDEXED BY chunk_by_attempt \
        WHERE task = ? ORDER BY attempt, arrival LIMIT \(rotationStep)
        """

    /// Drops the oldest chunks until enough is gone, and leaves gaps in their place.
    static func drop(_ victim: Victim, bytes: Int64, chunks: Int64 = 0, _ db: Database) throws {
        var bytes = bytes
        var chunks = chunks
        while bytes > 0 || chunks > 0 {
            let candidates = try db.rows(victim.statement, victim.arguments, { try Extent(&$0) })
            guard !candidates.isEmpty else { return }
            var dropped: [Extent] = []
            for extent in candidates where bytes > 0 || chunks > 0 {
                try db.run("DELETE FROM chunk WHERE arrival = ?", [extent.arrival])
                bytes -= extent.length
                chunks -= 1
                dropped.append(extent)
            }
            try leaveGaps(dropped, db)
        }
    }

    private static func leaveGaps(_ dropped: [Extent], _ db: Database) throws {
        var gaps: [Extent.Stream: Extent] = [:]
        var bytesOfTask: [Int64: Int64] = [:]
        for extent in dropped {
            bytesOfTask[extent.stream.task, default: 0] += extent.length
            if let gap = gaps[extent.stream] {
                if let both = gap.joined(with: extent) {
                    gaps[extent.stream] = both
                    continue
                }
                try insertGap(gap, db)
            }
            gaps[extent.stream] = extent
        }
        for gap in gaps.values { try insertGap(gap, db) }
        for (task, bytes) in bytesOfTask {
            try db.run(
                """
                UPDATE task SET droppedBytes = droppedBytes + ?, retainedBytes = retainedBytes - ?
                WHERE key = ?
                """,
                [bytes, bytes, task]
            )
        }
        try Ledger.countChunks(
            db,
            bytes: -dropped.reduce(0) { $0 + $1.length },
            chunks: -Int64(dropped.count)
        )
    }

    /// Inserts a gap, and joins it with the gaps that touch it.
    static func insertGap(_ gap: Extent, _ db: Database) throws {
        let stream = gap.stream
        let neighbours = try db.rows(
            gapsAround,
            [
                stream.task, stream.attempt, stream.channel.column, gap.offset,
                stream.task, stream.attempt, stream.channel.column, gap.end,
            ],
            { try Extent(&$0) }
        )
        var whole = gap
        for neighbour in neighbours {
            guard let both = whole.joined(with: neighbour) else { continue }
            whole = both
            try db.run("DELETE FROM gap WHERE arrival = ?", [neighbour.arrival])
        }
        try db.run(
            """
            INSERT INTO gap (arrival, task, attempt, channel, offset, length, at, owedOffset, owedEnd)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                whole.arrival, stream.task, stream.attempt, stream.channel.column, whole.offset,
                whole.length, whole.at.milliseconds, whole.owed?.lowerBound, whole.owed?.upperBound,
            ]
        )
    }

    /// The last gap that begins before an offset, and the one that begins at another.
    static let gapsAround = """
        SELECT * FROM (
            SELECT \(Extent.ofGap) FROM gap INDEXED BY gap_by_offset
            WHERE task = ? AND attempt = ? AND channel = ? AND offset < ? ORDER BY offset DESC LIMIT 1
        )
        UNION ALL
        SELECT \(Extent.ofGap) FROM gap INDEXED BY gap_by_offset
        WHERE task = ? AND attempt = ? AND channel = ? AND offset = ?
        """

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
