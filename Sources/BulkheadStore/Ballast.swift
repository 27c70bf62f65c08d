import BulkheadCore
import GRDB

/// Rows of nothing, whose pages are given up where a full disk has no others.
enum Ballast {
    /// Pages that go free with one row.
    static let pagesPerRow = 15
    /// Pages that SQLite takes to keep account of others: the map of pages, the list of free ones, a table's own.
    static let pagesOfAccount = 8
    /// Bytes on the disk of one row.
    static var bytesPerRow: Int { pagesPerRow * Checkpointer.pageBytes }
    /// Bytes of content of a page that holds the middle of a row
    /// (https://www.sqlite.org/fileformat2.html#cell_payload_overflow_pages).
    static let pageContent = Checkpointer.pageBytes - 4

    /// Pages of the main file, and those of them in which nothing lies.
    static func pages(_ db: Database) throws -> (all: Int, free: Int) {
        let free = try db.first("PRAGMA freelist_count") { try $0.count() }
        return (try allPages(db), free ?? 0)
    }

    static func allPages(_ db: Database) throws -> Int {
        try db.first("PRAGMA page_count") { try $0.count() } ?? 0
    }

    static func rows(_ db: Database) throws -> Int {
        try db.first("SELECT COUNT(*) FROM ballast") { try $0.count() } ?? 0
    }

    static func add(_ rows: Int, _ db: Database) throws {
        for _ in 0..<rows {
            try db.run("INSERT INTO ballast (data) VALUES (zeroblob(?))", [pagesPerRow * pageContent])
        }
    }

    /// Takes rows away, as far as there are so many.
    /// - Returns: How many went.
    static func take(_ rows: Int, _ db: Database) throws -> Int {
        try db.run("DELETE FROM ballast WHERE key IN (SELECT key FROM ballast LIMIT ?)", [rows])
        return db.changesCount
    }

    /// Makes pages free: rows go first, and then the oldest output, for which gaps stand.
    /// - Returns: How many rows went.
    static func free(_ pages: Int, _ db: Database) throws -> Int {
        let wanted = pages + pagesOfAccount
        let taken = try take(wanted / pagesPerRow + 1, db)
        _ = try Spool.free(wanted, db)
        return taken
    }
}

extension StoreSettings {
    /// Pages that an attempt's end takes beside its final: ends of tables and indexes that split, and its rows.
    private static let pagesPerEnd = 16
    /// Bytes that are held for the terminal reserve, at the most: of a cap of many GiB it may be a large part.
    private static let mostForTheRest: Int64 = 4 << 20
    /// The least of a log that is of use.
    private static let leastLogReserve: Int64 = 1 << 20

    /// Rows of the ballast that are held for the ends of what runs, and for what the terminal reserve is for.
    ///
    /// A result is written twice: with its task, and in its final message.
    func ballastRows(_ ledger: Ledger) -> Int {
        let content = Int64(Ballast.pageContent)
        let final = max(reservation ?? Limits.finalBytes(resultLimit: resultLimit), 1)
        let attempts = (ledger.reservedBytes + final - 1) / final
        let finals = 2 * ((ledger.reservedBytes + content - 1) / content)
        let rest = min(terminalReserve, Self.mostForTheRest) / content + 1
        let pages = Int(clamping: finals + rest + attempts * Int64(Self.pagesPerEnd))
        return (pages + Ballast.pagesPerRow - 1) / Ballast.pagesPerRow
    }

    /// Bytes of log that are held on a disk: less on a small one.
    func logReserve(onDiskOf bytes: Int64) -> Int64 {
        max(min(logReserve, bytes / 8), min(Self.leastLogReserve, logReserve))
    }
}
