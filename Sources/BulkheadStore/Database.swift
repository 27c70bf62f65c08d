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

    /// Opens the database, makes or migrates its tables, and proves that commits are durable.
    /// - Parameter settings: Where it lies.
    /// - Returns: The open pool.
    /// - Throws: ``BulkheadError`` with the code `storage` and what the user can do.
    static func open(_ settings: StoreSettings) throws(BulkheadError) -> DatabasePool {
        do {
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
        } catch {
            throw BulkheadError(storing: error, "the database \(settings.path) cannot be opened")
        }
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
