extension Schema {
    /// What a controller has of the output, and the room that running attempts hold for their finals.
    ///
    /// An acknowledged chunk is the first to go. `ballast` holds pages that are given up where the disk is
    /// full.
    static let spool = """
        ALTER TABLE chunk ADD COLUMN acknowledged INTEGER NOT NULL DEFAULT 0;
        CREATE INDEX chunk_acknowledged ON chunk (arrival) WHERE acknowledged = 1;
        CREATE INDEX chunk_acknowledged_by_task ON chunk (task, attempt) WHERE acknowledged = 1;

        ALTER TABLE ledger ADD COLUMN reservedBytes INTEGER NOT NULL DEFAULT 0 CHECK (reservedBytes >= 0);
        ALTER TABLE attempt ADD COLUMN reservedBytes INTEGER NOT NULL DEFAULT 0;

        CREATE TABLE ballast (
            key INTEGER PRIMARY KEY,
            data BLOB NOT NULL
        ) STRICT;
        """
}
