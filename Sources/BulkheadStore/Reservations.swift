public import BulkheadCore
import GRDB

extension StoreSettings {
    /// How the cap is shared out at this moment.
    func room(_ ledger: Ledger) -> SpoolRoom {
        SpoolRoom(
            cap: spoolCap,
            terminalReserve: terminalReserve,
            final: reservation ?? Limits.finalBytes(resultLimit: resultLimit),
            finals: outboxOn ? ledger.finalBytes : 0,
            reserved: ledger.reservedBytes
        )
    }

    /// How the cap is shared out within this transaction.
    func room(_ db: Database) throws -> SpoolRoom { room(try Ledger.read(db)) }
}

extension Store {
    /// How the spool's cap is shared out.
    public func room() async throws(BulkheadError) -> SpoolRoom {
        let settings = self.settings
        return try await read { db in try settings.room(db) }
    }
}

/// The room that running attempts hold for their finals: made with an attempt's beginning, given back with its
/// end or when it is put back, each in the same transaction.
enum Reservations {
    /// Reserves room for the final of an attempt that begins, at the cost of output.
    static func make(
        _ db: Database,
        task: Int64,
        attempt: Int,
        _ settings: StoreSettings
    ) throws {
        let final = try settings.room(db).final
        try db.run(
            "UPDATE attempt SET reservedBytes = ? WHERE task = ? AND attempt = ?",
            [final, task, attempt]
        )
        try Ledger.countReserved(db, bytes: final)
        try Spool.makeRoom(db, settings)
    }

    /// Gives an attempt's reservation back.
    static func giveBack(_ db: Database, task: Int64, attempt: Int) throws {
        let bytes = try db.first(
            "SELECT reservedBytes FROM attempt WHERE task = ? AND attempt = ?",
            [task, attempt]
        ) { try $0.integer() }
        try db.run(
            "UPDATE attempt SET reservedBytes = 0 WHERE task = ? AND attempt = ? AND reservedBytes > 0",
            [task, attempt]
        )
        try Ledger.countReserved(db, bytes: -(bytes ?? 0))
    }

    /// Sees at the start that what is counted is what running attempts hold, and that each holds enough.
    ///
    /// Attempts that began under an earlier version, or a smaller limit of results, reserve more now.
    /// - Returns: What was wrong, if anything was.
    static func confirm(_ db: Database, _ settings: StoreSettings) throws -> String? {
        let counted = try Ledger.read(db).reservedBytes
        let held = try db.first(Self.held) { try $0.integer() } ?? 0
        try db.run(
            """
            UPDATE attempt SET reservedBytes = ?1
            WHERE (task, attempt) IN (SELECT key, attempt FROM task WHERE status = 'running')
                AND reservedBytes < ?1
            """,
            [try settings.room(db).final]
        )
        let needed = try db.first(Self.held) { try $0.integer() } ?? 0
        try Ledger.countReserved(db, bytes: needed - counted)
        guard counted != held else { return nil }
        return "the reservations of running attempts were counted as \(counted) bytes and are \(held)"
    }

    private static let held = """
        SELECT COALESCE(SUM(a.reservedBytes), 0) FROM task t
        JOIN attempt a ON a.task = t.key AND a.attempt = t.attempt WHERE t.status = 'running'
        """
}
