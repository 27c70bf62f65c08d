import BulkheadCore
import GRDB

/// Opens the one file in which the store lives, and sees that it keeps what is promised of it.
enum DatabaseFile {
    /// Readers that may look into the file at once.
    private static let readers = 4
    /// KiB of pages that each connection keeps in memory.
    private static let cacheKiB = 8_192
    /// What `PRAGMA synchronous` answers for FULL (https://www.sqlite.org/pragma.html#pragma_synchronous).
    static let synchronousFull = 2

    /// Opens the database, looks through it, and moves it aside where it is damaged; then a new one begins.
    /// - Parameters:
    ///   - settings: Where it lies.
    ///   - now: The moment, for the name of what is moved aside.
    /// - Returns: The open pool, and the latest loss that it knows of.
    /// - Throws: ``BulkheadError`` with the code `storage` and what the user can do.
    static func open(
        _ settings: StoreSettings,
        now: Timestamp
    ) throws(BulkheadError) -> (pool: DatabasePool, loss: HistoryLoss?) {
        do {
            let quarantine = Quarantine(path: settings.path)
            var note = try quarantine.note(now: now)
            if note == nil, let reason = try quarantine.damageOfFiles() {
                note = try quarantine.begin(reason, now: now)
            }
            var pool = note == nil ? try openTrusted(settings, quarantine, &note, now: now) : nil
            if let begun = note { note = try quarantine.move(begun) }
            pool = try pool ?? openChecked(settings)
            guard let pool else { throw BulkheadError(.internal, "the database was not opened") }
            if let note {
                try pool.write { try record(note.loss, $0) }
                try quarantine.finish()
            }
            return (pool, try pool.read(latestLoss))
        } catch {
            throw BulkheadError(storing: error, "the database \(settings.path) cannot be opened")
        }
    }

    /// Opens a database of which nothing bad is known.
    /// - Returns: The pool; nil where it is found to be damaged, which then is noted.
    private static func openTrusted(
        _ settings: StoreSettings,
        _ quarantine: Quarantine,
        _ note: inout Quarantine.Note?,
        now: Timestamp
    ) throws -> DatabasePool? {
        do {
            return try openChecked(settings)
        } catch  where Damage(error, whileReading: true) != nil {
            // A disk may fail once to give what it has; a file that is damaged stays so.
            do {
                return try openChecked(settings)
            } catch {
                guard let damage = Damage(error, whileReading: true) else { throw error }
                note = try quarantine.begin(damage.reason, now: now)
                return nil
            }
        }
    }

    private static func openChecked(_ settings: StoreSettings) throws -> DatabasePool {
        let pool = try openUnchecked(settings)
        try pool.writeWithoutTransaction(DamageCheck.run)
        return pool
    }

    private static func record(_ loss: HistoryLoss, _ db: Database) throws {
        try db.run(
            "INSERT INTO loss (at, file, reason) VALUES (?, ?, ?) ON CONFLICT (file) DO NOTHING",
            [loss.at.milliseconds, loss.file, loss.reason]
        )
    }

    private static func latestLoss(_ db: Database) throws -> HistoryLoss? {
        try db.first("SELECT at, file, reason FROM loss ORDER BY at DESC, rowid DESC LIMIT 1") {
            HistoryLoss(at: try $0.moment(), file: try $0.text(), reason: try $0.text())
        }
    }

    /// Opens the database, makes or migrates its tables, and proves that commits are durable.
    private static func openUnchecked(_ settings: StoreSettings) throws -> DatabasePool {
        let pool = try DatabasePool(path: settings.path, configuration: configuration(settings))
        try pool.writeWithoutTransaction { db in
            // GRDB sets NORMAL when it opens a pool, after `prepareDatabase`, so FULL comes here.
            try db.execute(sql: "PRAGMA synchronous = FULL")
            try confirmDurability(db)
            try Schema.confirmOwnership(db, path: settings.path)
        }
        try Schema.migrator.migrate(pool)
        try pool.writeWithoutTransaction(confirmDurability)
        return pool
    }

    /// Sees that a commit of this connection reaches the disk before it returns.
    /// - Throws: ``BulkheadError`` where `synchronous` is anything but FULL.
    static func confirmDurability(_ db: Database) throws {
        let level = try Int.fetchOne(db, sql: "PRAGMA synchronous")
        guard level == synchronousFull else {
            throw BulkheadError(
                .storage,
                "the database does not keep synchronous=FULL",
                cause: "it answers \(level.map(String.init) ?? "nothing") where 2 is expected",
                advice: "use the SQLite library of the distribution"
            )
        }
    }

    private static func configuration(_ settings: StoreSettings) -> Configuration {
        var configuration = Configuration()
        configuration.label = "bulkhead"
        configuration.foreignKeysEnabled = true
        configuration.busyMode = .timeout(settings.busyTimeout.inSeconds)
        configuration.maximumReaderCount = readers
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA mmap_size = 0; PRAGMA cache_size = -\(cacheKiB)")
            // What a statement keeps aside while it runs needs no disk, which may be full.
            try db.execute(sql: "PRAGMA temp_store = MEMORY")
            guard !db.configuration.readonly else {
                // GRDB has a time-out of its own for readers, and no setting for it.
                try db.execute(sql: "PRAGMA busy_timeout = \(settings.busyTimeout.wholeMilliseconds)")
                return
            }
            // Only the first table's making fixes auto_vacuum. Checkpoints are the writer's own, since
            // SQLite's automatic ones say nothing of an error. Debian switches secure_delete on, which
            // would write each rotated chunk once more, as zeros.
            try db.execute(
                sql: """
                    PRAGMA auto_vacuum = INCREMENTAL;
                    PRAGMA wal_autocheckpoint = 0;
                    PRAGMA secure_delete = OFF;
                    PRAGMA journal_size_limit = \(StoreSettings.logKept);
                    """
            )
        }
        return configuration
    }
}
