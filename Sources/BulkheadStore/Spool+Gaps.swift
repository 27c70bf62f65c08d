import BulkheadCore
import GRDB

/// What is missing of the output, as rows that never touch one another.
extension Spool {
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

    /// Notes that a controller has a chunk, which is then among the first to go.
    /// - Returns: Whether there is such a chunk.
    static func acknowledgeChunk(_ db: Database, arrival: Int64) throws -> Bool {
        try db.changes("UPDATE chunk SET acknowledged = 1, owed = 0 WHERE arrival = ?", [arrival])
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
}
