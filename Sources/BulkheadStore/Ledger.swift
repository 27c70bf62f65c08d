import BulkheadCore
import GRDB

/// The one row of counters, kept up in the transactions that change what they count.
struct Ledger: Sendable, Equatable {
    /// Eight hexadecimal digits that tell this database from every other.
    var storeID: String
    /// The number given last to a submit, a start, a chunk, a gap or a message.
    var sequence: Int64
    /// Bytes of output that are kept.
    var spoolBytes: Int64
    /// Chunks that are kept.
    var chunks: Int64
    /// Bytes of finals that are not acknowledged.
    var finalBytes: Int64
    /// Bytes that running attempts have reserved for their finals.
    var reservedBytes: Int64
    /// Messages of every kind that are not acknowledged.
    var pendingMessages: Int64

    /// Bytes of the cap that output cannot have.
    var bytesHeld: Int64 { finalBytes + reservedBytes }

    static func read(_ db: Database) throws -> Ledger {
        let ledger = try db.first(
            """
            SELECT storeID, sequence, spoolBytes, chunks, finalBytes, reservedBytes, pendingMessages
            FROM ledger
            """
        ) {
            Ledger(
                storeID: try $0.text(),
                sequence: try $0.integer(),
                spoolBytes: try $0.integer(),
                chunks: try $0.integer(),
                finalBytes: try $0.integer(),
                reservedBytes: try $0.integer(),
                pendingMessages: try $0.integer()
            )
        }
        guard let ledger else { throw DatabaseError.damaged("the table ledger") }
        return ledger
    }

    /// Draws a number that was never given before.
    static func next(_ db: Database) throws -> Int64 {
        let number = try db.first("UPDATE ledger SET sequence = sequence + 1 RETURNING sequence") {
            try $0.integer()
        }
        guard let number else { throw DatabaseError.damaged("the table ledger") }
        return number
    }

    /// Counts chunks that came, or that went where the numbers are below zero.
    static func countChunks(_ db: Database, bytes: Int64, chunks: Int64) throws {
        guard bytes != 0 || chunks != 0 else { return }
        try db.run(
            "UPDATE ledger SET spoolBytes = spoolBytes + ?, chunks = chunks + ?",
            [bytes, chunks]
        )
    }

    /// Counts a final that came, or that went where the number is below zero.
    static func countFinals(_ db: Database, bytes: Int64) throws {
        guard bytes != 0 else { return }
        try db.run("UPDATE ledger SET finalBytes = finalBytes + ?", [bytes])
    }

    /// Counts a reservation that was made, or that was given back where the number is below zero.
    static func countReserved(_ db: Database, bytes: Int64) throws {
        guard bytes != 0 else { return }
        try db.run("UPDATE ledger SET reservedBytes = reservedBytes + ?", [bytes])
    }
}
