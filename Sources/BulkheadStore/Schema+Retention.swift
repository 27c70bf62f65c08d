extension Schema {
    /// Retention: terminal tasks in the order in which they ended.
    static let retention = """
        CREATE INDEX task_ended ON task (completedAt) WHERE completedAt IS NOT NULL;
        """

    /// Databases that were damaged and are moved aside, of which this one is the successor.
    static let losses = """
        CREATE TABLE loss (
            at INTEGER NOT NULL,
            file TEXT NOT NULL UNIQUE,
            reason TEXT NOT NULL
        ) STRICT;
        """

    /// Sums over the life of the database, kept up by the changes that they sum up.
    static let sums = """
        ALTER TABLE ledger ADD COLUMN outputBytes INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE ledger ADD COLUMN droppedBytes INTEGER NOT NULL DEFAULT 0;
        CREATE TRIGGER output_comes AFTER UPDATE OF stdoutBytes, stderrBytes ON task
            WHEN new.stdoutBytes + new.stderrBytes > old.stdoutBytes + old.stderrBytes BEGIN
            UPDATE ledger SET outputBytes = outputBytes
                + new.stdoutBytes + new.stderrBytes - old.stdoutBytes - old.stderrBytes;
        END;
        CREATE TRIGGER output_goes AFTER UPDATE OF droppedBytes ON task
            WHEN new.droppedBytes > old.droppedBytes BEGIN
            UPDATE ledger SET droppedBytes = droppedBytes + new.droppedBytes - old.droppedBytes;
        END;
        """
}
