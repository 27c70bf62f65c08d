import Foundation
import GRDB

/// The database cannot be trusted any more.
struct Damage: Error {
    /// What is wrong, as the end of "the database is damaged: ".
    var reason: String

    init(_ reason: String) { self.reason = reason }

    /// What an error of SQLite says of the file; nil where it says nothing of it.
    /// - Parameters:
    ///   - error: What was thrown.
    ///   - isReading: Whether the file was only being read, when a fault of the disk means that a part of it cannot
    ///     be had any more.
    init?(_ error: any Error, whileReading isReading: Bool = false) {
        if let damage = error as? Damage {
            self = damage
            return
        }
        guard let error = error as? DatabaseError else { return nil }
        switch error.extendedResultCode {
        case .SQLITE_CORRUPT_VTAB: return nil
        case .SQLITE_IOERR_READ, .SQLITE_IOERR_SHORT_READ, .SQLITE_IOERR_DATA, .SQLITE_IOERR_CORRUPTFS:
            guard isReading else { return nil }
        default:
            guard [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode) else { return nil }
        }
        reason = error.message ?? "SQLite says \(error.extendedResultCode)"
    }
}

/// Looks through a database for what was never written to it.
enum DamageCheck {
    /// Bytes up to which every index is compared with its table; beyond, only the structure is looked at, so that a
    /// start takes seconds and not minutes.
    static let thoroughBytes = 256 << 20

    /// Looks through the whole file.
    /// - Parameter db: A connection that may write, the tables being those of this version.
    /// - Throws: ``Damage``, or what SQLite said where it could not look.
    static func run(_ db: Database) throws {
        try compareTables(db)
        let pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
        let isSmall = pages * Checkpointer.pageBytes <= thoroughBytes
        let check = isSmall ? "integrity_check" : "quick_check"
        let findings = try String.fetchAll(db, sql: "PRAGMA \(check)(1)")
        guard findings == ["ok"] else { throw Damage(findings.first ?? "\(check) says nothing") }
        try compareCounters(db)
    }

    /// Sees that each table, index and trigger is there as this version makes it.
    private static func compareTables(_ db: Database) throws {
        let expected = try expectedTables.get()
        let missing = expected.subtracting(try tables(db)).map(\.name).sorted()
        guard missing.isEmpty else {
            throw Damage("not as Bulkhead made them: \(missing.joined(separator: ", "))")
        }
    }

    /// The tables as the migrations make them, in a database of its own in memory.
    private static let expectedTables = Result {
        let model = try DatabaseQueue()
        try Schema.migrator.migrate(model)
        return try model.read(tables)
    }

    private struct Table: Hashable, Sendable {
        var name: String
        var text: String
    }

    private static func tables(_ db: Database) throws -> Set<Table> {
        Set(
            try Row.fetchAll(db, sql: "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").map {
                Table(name: $0["name"], text: $0["sql"])
            }
        )
    }

    /// Sees that the counters that bound the spool are the counts of what is there.
    private static func compareCounters(_ db: Database) throws {
        let ledger = try Ledger.read(db)
        let counted = try db.first("SELECT COALESCE(SUM(length), 0), COUNT(*) FROM chunk") {
            (bytes: try $0.integer(), chunks: try $0.integer())
        }
        guard let counted, counted == (ledger.spoolBytes, ledger.chunks) else {
            throw Damage("the counters of its output are wrong")
        }
    }
}
