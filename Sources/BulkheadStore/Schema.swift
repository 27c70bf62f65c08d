import BulkheadCore
import GRDB

/// The tables, one migration for each version; a migration is never edited once it has landed.
enum Schema {
    /// "BKHD", by which the file can be told from every other SQLite database.
    static let applicationID = 0x424b_4844

    /// Every version of the tables in order.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("v1", foreignKeyChecks: .immediate) { db in
            try db.execute(sql: version1)
            try db.execute(sql: "PRAGMA application_id = \(applicationID); PRAGMA user_version = 1")
        }
        migrator.registerMigration("v2", foreignKeyChecks: .immediate) { db in
            try db.execute(sql: version2)
            try db.execute(sql: "PRAGMA user_version = 2")
        }
        migrator.registerMigration("v3", foreignKeyChecks: .immediate) { db in
            for statements in version3 { try db.execute(sql: statements) }
            try db.execute(sql: "PRAGMA user_version = 3")
        }
        return migrator
    }

    /// The third version, in parts by subject.
    private static let version3 = [retention, retryWaits, spool, messages]

    /// Sees that a file is empty, or a database of this version of Bulkhead or an earlier one.
    /// - Throws: ``BulkheadError`` with the code `storage`.
    static func confirmOwnership(_ db: Database, path: String) throws {
        let application = try Int.fetchOne(db, sql: "PRAGMA application_id") ?? 0
        // The migrator's own table is committed before the first version: where a full disk or a crash came
        // between the two, it is all there is.
        let tables =
            try Int.fetchOne(
                db,
                sql: "SELECT COUNT(*) FROM sqlite_schema WHERE tbl_name <> 'grdb_migrations'"
            ) ?? 0
        guard application == applicationID || (application == 0 && tables == 0) else {
            throw BulkheadError(
                .storage,
                "\(path) is a database of another program",
                advice: "give Bulkhead a state folder of its own with --state"
            )
        }
        let isNewer = try tables > 0 && migrator.hasBeenSuperseded(db)
        guard !isNewer else {
            throw BulkheadError(
                .storage,
                "\(path) was written by a newer version of Bulkhead",
                advice: "start that version again, or give this one another state folder with --state"
            )
        }
    }

    /// The first version.
    ///
    /// One counter, `ledger.sequence`, numbers all that happens: submits, starts, chunks, gaps and
    /// messages. So the order of a task's messages is the order of these numbers, whichever table they
    /// are drawn from.
    private static let version1 = """
        CREATE TABLE ledger (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            storeID TEXT NOT NULL,
            sequence INTEGER NOT NULL,
            spoolBytes INTEGER NOT NULL CHECK (spoolBytes >= 0),
            chunks INTEGER NOT NULL CHECK (chunks >= 0),
            finalBytes INTEGER NOT NULL CHECK (finalBytes >= 0)
        ) STRICT;
        INSERT INTO ledger VALUES (1, lower(hex(randomblob(4))), 0, 0, 0, 0);

        CREATE TABLE task (
            key INTEGER PRIMARY KEY,
            sequence INTEGER NOT NULL UNIQUE,
            id TEXT NOT NULL UNIQUE,
            type TEXT NOT NULL,
            pool TEXT NOT NULL,
            status TEXT NOT NULL CHECK (
                status IN ('queued', 'running', 'completed', 'failed', 'cancelled', 'interrupted')
            ),
            ready INTEGER NOT NULL,
            run INTEGER NOT NULL DEFAULT 1,
            attempt INTEGER NOT NULL DEFAULT 0,
            interruptions INTEGER NOT NULL DEFAULT 0,
            lossesInRow INTEGER NOT NULL DEFAULT 0,
            retries INTEGER NOT NULL DEFAULT 0,
            priority INTEGER NOT NULL,
            caller TEXT,
            submittedAt INTEGER NOT NULL,
            notBefore INTEGER,
            expiresAt INTEGER,
            startedAt INTEGER,
            completedAt INTEGER,
            progressFraction REAL,
            progressMessage TEXT,
            result TEXT,
            error TEXT,
            deniedSyscalls TEXT,
            usage TEXT,
            warnings TEXT,
            stdoutBytes INTEGER NOT NULL DEFAULT 0,
            stderrBytes INTEGER NOT NULL DEFAULT 0,
            droppedBytes INTEGER NOT NULL DEFAULT 0,
            retainedBytes INTEGER NOT NULL DEFAULT 0 CHECK (retainedBytes >= 0),
            cancelRequested INTEGER NOT NULL DEFAULT 0,
            waitingFor TEXT
        ) STRICT;
        CREATE INDEX task_by_status ON task (status, sequence);
        CREATE INDEX task_by_type ON task (type, sequence);
        CREATE INDEX task_by_pool ON task (pool, sequence);
        CREATE INDEX task_by_caller ON task (caller, sequence) WHERE caller IS NOT NULL;
        CREATE INDEX task_ready ON task (pool, priority DESC, sequence)
            WHERE status = 'queued' AND ready = 1;
        CREATE INDEX task_asleep ON task (notBefore) WHERE status = 'queued' AND ready = 0;
        CREATE INDEX task_expiring ON task (expiresAt) WHERE status = 'queued' AND expiresAt IS NOT NULL;

        CREATE TABLE input (
            task INTEGER PRIMARY KEY REFERENCES task (key) ON DELETE CASCADE,
            params TEXT NOT NULL,
            metadata TEXT
        ) STRICT;

        CREATE TABLE tally (
            pool TEXT NOT NULL,
            status TEXT NOT NULL,
            tasks INTEGER NOT NULL,
            PRIMARY KEY (pool, status)
        ) STRICT, WITHOUT ROWID;
        CREATE TRIGGER task_appears AFTER INSERT ON task BEGIN
            INSERT INTO tally VALUES (new.pool, new.status, 1)
                ON CONFLICT (pool, status) DO UPDATE SET tasks = tasks + 1;
        END;
        CREATE TRIGGER task_moves AFTER UPDATE OF status, pool ON task
            WHEN old.status <> new.status OR old.pool <> new.pool BEGIN
            UPDATE tally SET tasks = tasks - 1 WHERE pool = old.pool AND status = old.status;
            INSERT INTO tally VALUES (new.pool, new.status, 1)
                ON CONFLICT (pool, status) DO UPDATE SET tasks = tasks + 1;
        END;
        CREATE TRIGGER task_goes AFTER DELETE ON task BEGIN
            UPDATE tally SET tasks = tasks - 1 WHERE pool = old.pool AND status = old.status;
        END;

        CREATE TABLE attempt (
            task INTEGER NOT NULL REFERENCES task (key) ON DELETE CASCADE,
            attempt INTEGER NOT NULL,
            run INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            startedAt INTEGER NOT NULL,
            completedAt INTEGER,
            outcome TEXT,
            error TEXT,
            handler TEXT NOT NULL,
            enforcement TEXT NOT NULL,
            launcherPID INTEGER,
            launcherStart INTEGER,
            launcherBoot TEXT,
            processPID INTEGER,
            processStart INTEGER,
            processBoot TEXT,
            stdoutEnd INTEGER NOT NULL DEFAULT 0,
            stderrEnd INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (task, attempt)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE chunk (
            arrival INTEGER PRIMARY KEY,
            task INTEGER NOT NULL REFERENCES task (key) ON DELETE CASCADE,
            attempt INTEGER NOT NULL,
            channel INTEGER NOT NULL,
            offset INTEGER NOT NULL,
            length INTEGER NOT NULL CHECK (length > 0),
            data BLOB NOT NULL
        ) STRICT;
        CREATE INDEX chunk_by_attempt ON chunk (task, attempt);
        CREATE UNIQUE INDEX chunk_by_offset ON chunk (task, attempt, channel, offset);

        CREATE TABLE gap (
            arrival INTEGER PRIMARY KEY,
            task INTEGER NOT NULL REFERENCES task (key) ON DELETE CASCADE,
            attempt INTEGER NOT NULL,
            channel INTEGER NOT NULL,
            offset INTEGER NOT NULL,
            length INTEGER NOT NULL CHECK (length > 0)
        ) STRICT;
        CREATE INDEX gap_by_attempt ON gap (task, attempt);
        CREATE UNIQUE INDEX gap_by_offset ON gap (task, attempt, channel, offset);

        CREATE TABLE outbox (
            sequence INTEGER PRIMARY KEY,
            messageID TEXT NOT NULL UNIQUE,
            task INTEGER NOT NULL REFERENCES task (key) ON DELETE CASCADE,
            kind TEXT NOT NULL,
            run INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            at INTEGER NOT NULL,
            body TEXT,
            bytes INTEGER NOT NULL,
            acknowledgedAt INTEGER
        ) STRICT;
        CREATE INDEX outbox_by_task ON outbox (task);
        CREATE INDEX outbox_pending ON outbox (sequence) WHERE acknowledgedAt IS NULL;

        CREATE TABLE pool (
            name TEXT PRIMARY KEY,
            failures INTEGER NOT NULL,
            backoffs INTEGER NOT NULL,
            backoffUntil INTEGER,
            revision INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        """

    /// Adoption: how the launcher of a running attempt is found again, and the terms under which it runs.
    private static let version2 = """
        ALTER TABLE attempt ADD COLUMN launcherName TEXT;
        ALTER TABLE attempt ADD COLUMN launcherSecret BLOB;
        ALTER TABLE attempt ADD COLUMN terms TEXT;
        """
}
