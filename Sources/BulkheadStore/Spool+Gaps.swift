import BulkheadCore
import GRDB

/// What is missing of the output, as rows that never touch one another.
///
/// Only where a controller knows of one gap and not yet of the other may two of them touch: then each is
/// told, or not told again, for itself.
extension Spool {
    /// Inserts a gap, and joins it with the gaps of its kind that touch it.
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
            INSERT INTO gap (arrival, task, attempt, channel, offset, length, acknowledged)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            [
                whole.arrival, stream.task, stream.attempt, stream.channel.column, whole.offset,
                whole.length, whole.isAcknowledged,
            ]
        )
    }

    /// Notes that a controller knows of a gap, which then joins those beside it that it knows of too.
    /// - Returns: Whether there is such a gap.
    static func acknowledgeGap(_ db: Database, arrival: Int64) throws -> Bool {
        guard var gap = try db.first(oneGap, [arrival], { try Extent(&$0) }) else { return false }
        guard !gap.isAcknowledged else { return true }
        gap.isAcknowledged = true
        try db.run("DELETE FROM gap WHERE arrival = ?", [arrival])
        try insertGap(gap, db)
        return true
    }

    /// Notes that a controller has a chunk, which is then among the first to go.
    /// - Returns: Whether there is such a chunk.
    static func acknowledgeChunk(_ db: Database, arrival: Int64) throws -> Bool {
        try db.changes("UPDATE chunk SET acknowledged = 1 WHERE arrival = ?", [arrival])
    }

    private static let oneGap = """
        SELECT arrival, task, attempt, channel, offset, length, acknowledged FROM gap WHERE arrival = ?
        """

    /// The last gap that begins before an offset, and the one that begins at another.
    static let gapsAround = """
        SELECT * FROM (
            SELECT arrival, task, attempt, channel, offset, length, acknowledged FROM gap
            INDEXED BY gap_by_offset WHERE task = ? AND attempt = ? AND channel = ? AND offset < ? ORDER BY offset DESC LIMIT 1
        )
        UNION ALL
        SELECT arrival, task, attempt, channel, offset, length, acknowledged FROM gap
        INDEXED BY gap_by_offset WHERE task = ? AND attempt = ? AND channel = ? AND offset = ?
        """
}

/// A stretch of one stream: a chunk's place, or a gap.
struct Extent: Sendable, Equatable {
    /// Which stream of which attempt.
    struct Stream: Sendable, Hashable {
        var task: Int64
        var attempt: Int
        var channel: OutputChannel
    }

    /// Its number in the order of arrival.
    var arrival: Int64
    var stream: Stream
    var offset: Int64
    var length: Int64
    /// Whether a controller has it, or knows that it is gone.
    var isAcknowledged = false

    var end: Int64 { offset + length }

    /// Both as one, which arrived when the newer did; nil where they do not touch or a controller knows
    /// of one alone.
    func joined(with other: Extent) -> Extent? {
        guard stream == other.stream, isAcknowledged == other.isAcknowledged,
            end == other.offset || other.end == offset
        else { return nil }
        return Extent(
            arrival: max(arrival, other.arrival),
            stream: stream,
            offset: min(offset, other.offset),
            length: length + other.length,
            isAcknowledged: isAcknowledged
        )
    }
}

extension Extent {
    init(_ columns: inout Columns) throws {
        arrival = try columns.integer()
        stream = Stream(
            task: try columns.integer(),
            attempt: try columns.count(),
            channel: try columns.channel()
        )
        offset = try columns.integer()
        length = try columns.integer()
        isAcknowledged = try columns.flag()
    }
}
