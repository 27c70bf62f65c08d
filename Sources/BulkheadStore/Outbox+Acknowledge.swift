import BulkheadCore
import GRDB

/// Acknowledging, one name at a time.
extension Outbox {
    /// Acknowledges one message; its name stays known until its task goes, so that a second time is no surprise.
    /// - Returns: Whether there is or was such a message.
    static func acknowledge(_ db: Database, _ id: String, now: Timestamp) throws -> Bool {
        guard let name = MessageName(id), name.storeID == (try Ledger.read(db).storeID),
            let run = try db.first(
                "SELECT run FROM task WHERE key = ? AND id = ?",
                [name.key, name.task.text],
                { try $0.count() }
            ), name.run <= run
        else { return false }
        if let place = name.place { return try acknowledge(place, of: name, db) }
        if name.run == run, name.kind != .final { return try acknowledgeBeginning(name, db) }
        return try acknowledgeRow(id, now: now, db)
    }

    /// Acknowledges what is a row of the outbox, and gives its room back.
    private static func acknowledgeRow(_ id: String, now: Timestamp, _ db: Database) throws -> Bool {
        let message = try db.first("SELECT bytes, acknowledgedAt FROM outbox WHERE messageID = ?", [id]) {
            (bytes: try $0.integer(), acknowledgedAt: try $0.optionalInteger())
        }
        guard let message else { return false }
        guard message.acknowledgedAt == nil else { return true }
        try db.run(
            "UPDATE outbox SET acknowledgedAt = ?, body = NULL WHERE messageID = ?",
            [now.milliseconds, id]
        )
        try Ledger.countFinals(db, bytes: -message.bytes)
        return true
    }

    /// Acknowledges what is drawn from the task's row: that its present run was received, or began.
    private static func acknowledgeBeginning(_ name: MessageName, _ db: Database) throws -> Bool {
        let column = "\(name.kind.rawValue)Acknowledged"
        return try db.changes(
            "UPDATE task SET \(column) = 1 WHERE key = ? AND run = ? AND \(column) IS NOT NULL",
            [name.key, name.run]
        )
    }

    /// Acknowledges a stretch of output or the gap where it was.
    ///
    /// Output that went after it had been told, and before it is acknowledged, left a gap: the controller has
    /// those bytes, so nothing of them is missing for it.
    private static func acknowledge(
        _ place: MessageName.Place,
        of name: MessageName,
        _ db: Database
    ) throws -> Bool {
        let isOfRun = try db.first(
            "SELECT 1 FROM attempt WHERE task = ? AND attempt = ? AND run = ?",
            [name.key, place.attempt, name.run]
        ) { try $0.count() }
        guard isOfRun != nil else { return false }
        if name.kind == .output, try acknowledgeChunk(place, ofTask: name.key, db) { return true }
        return try acknowledgeGap(place.extent(ofTask: name.key), db)
    }

    private static func acknowledgeChunk(
        _ place: MessageName.Place,
        ofTask key: Int64,
        _ db: Database
    ) throws -> Bool {
        let isOwed = try db.first(
            """
            SELECT owed FROM chunk
            WHERE arrival = ? AND task = ? AND attempt = ? AND channel = ? AND offset = ? AND length = ?
            """,
            [
                place.arrival, key, place.attempt, place.channel.column, place.offset,
                place.end - place.offset,
            ]
        ) { try $0.flag() }
        guard let isOwed else { return false }
        return try !isOwed || Spool.acknowledgeChunk(db, arrival: place.arrival)
    }

    private static func acknowledgeGap(_ told: Extent, _ db: Database) throws -> Bool {
        let stream = told.stream
        let gap = try db.first(
            gapAround,
            [stream.task, stream.attempt, stream.channel.column, told.offset]
        ) { try Extent(&$0) }
        guard let gap, told.end <= gap.end else { return false }
        let owed = gap.owed(after: told.offset..<told.end)
        guard owed != gap.owed else { return true }
        try db.run(
            "UPDATE gap SET owedOffset = ?, owedEnd = ? WHERE arrival = ?",
            [owed?.lowerBound, owed?.upperBound, gap.arrival]
        )
        return true
    }

    /// The last gap of a stream that begins at an offset or before.
    static let gapAround = """
        SELECT \(Extent.ofGap) FROM gap INDEXED BY gap_by_offset
        WHERE task = ? AND attempt = ? AND channel = ? AND offset <= ? ORDER BY offset DESC LIMIT 1
        """
}
