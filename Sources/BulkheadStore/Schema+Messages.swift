extension Schema {
    /// Messages of every kind, and the order in which tasks change.
    ///
    /// What happens while the outbox is on is owed to a controller until it acknowledges it; what happens while
    /// it is off never is. `receivedAcknowledged` and `startedAcknowledged` are of the present run: null where
    /// nothing is or was owed, 0 where it is, 1 where it was acknowledged; those of earlier runs are rows of the
    /// outbox. A gap owes one stretch, the smallest that holds all of it that nobody acknowledged.
    ///
    /// `changed` is the number of a task's last change of status, `progressed` that of its running attempt's
    /// last report.
    static let messages = """
        ALTER TABLE ledger ADD COLUMN pendingMessages INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE task ADD COLUMN receivedAcknowledged INTEGER;
        ALTER TABLE task ADD COLUMN startedSequence INTEGER;
        ALTER TABLE task ADD COLUMN startedAttempt INTEGER;
        ALTER TABLE task ADD COLUMN runStartedAt INTEGER;
        ALTER TABLE task ADD COLUMN startedAcknowledged INTEGER;
        ALTER TABLE task ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE task ADD COLUMN progressed INTEGER;
        ALTER TABLE chunk ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE chunk ADD COLUMN owed INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE gap ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE gap ADD COLUMN owedOffset INTEGER;
        ALTER TABLE gap ADD COLUMN owedEnd INTEGER;
        UPDATE ledger SET pendingMessages = (SELECT COUNT(*) FROM outbox WHERE acknowledgedAt IS NULL);

        CREATE INDEX task_received_owed ON task (sequence) WHERE receivedAcknowledged = 0;
        CREATE INDEX task_started_owed ON task (startedSequence) WHERE startedAcknowledged = 0;
        CREATE INDEX task_by_change ON task (changed);
        CREATE INDEX task_by_progress ON task (progressed) WHERE progressed IS NOT NULL;
        CREATE INDEX chunk_owed ON chunk (arrival) WHERE owed = 1;
        CREATE INDEX chunk_owed_by_task ON chunk (task) WHERE owed = 1;
        CREATE INDEX gap_owed ON gap (arrival) WHERE owedEnd IS NOT NULL;
        CREATE INDEX gap_owed_by_task ON gap (task) WHERE owedEnd IS NOT NULL;

        CREATE TRIGGER task_appears_changed AFTER INSERT ON task BEGIN
            UPDATE task SET changed = new.sequence WHERE key = new.key;
        END;
        CREATE TRIGGER task_changes AFTER UPDATE OF status, run, attempt ON task
            WHEN old.status <> new.status OR old.run <> new.run OR old.attempt <> new.attempt BEGIN
            UPDATE ledger SET sequence = sequence + 1;
            UPDATE task SET changed = (SELECT sequence FROM ledger), progressed = NULL WHERE key = new.key;
        END;
        CREATE TRIGGER task_progresses AFTER UPDATE OF progressFraction, progressMessage ON task
            WHEN old.status = 'running' AND new.status = 'running' BEGIN
            UPDATE ledger SET sequence = sequence + 1;
            UPDATE task SET progressed = (SELECT sequence FROM ledger) WHERE key = new.key;
        END;

        CREATE TRIGGER task_owes AFTER UPDATE OF receivedAcknowledged, startedAcknowledged ON task
            WHEN (old.receivedAcknowledged IS 0) + (old.startedAcknowledged IS 0)
                <> (new.receivedAcknowledged IS 0) + (new.startedAcknowledged IS 0) BEGIN
            UPDATE ledger SET pendingMessages = pendingMessages
                + (new.receivedAcknowledged IS 0) + (new.startedAcknowledged IS 0)
                - (old.receivedAcknowledged IS 0) - (old.startedAcknowledged IS 0);
        END;
        CREATE TRIGGER task_appears_owing AFTER INSERT ON task WHEN new.receivedAcknowledged = 0 BEGIN
            UPDATE ledger SET pendingMessages = pendingMessages + 1;
        END;
        CREATE TRIGGER task_goes_owing AFTER DELETE ON task
            WHEN old.receivedAcknowledged = 0 OR old.startedAcknowledged = 0 BEGIN
            UPDATE ledger SET pendingMessages = pendingMessages
                - (old.receivedAcknowledged IS 0) - (old.startedAcknowledged IS 0);
        END;
        \(pendingCount(of: "chunk", column: "owed", isPending: { "\($0).owed = 1" }))
        \(pendingCount(of: "gap", column: "owedEnd", isPending: { "\($0).owedEnd IS NOT NULL" }))
        \(pendingCount(of: "outbox", column: "acknowledgedAt", isPending: { "\($0).acknowledgedAt IS NULL" }))
        """

    /// Keeps count of the rows of a table that are messages which nobody has acknowledged.
    private static func pendingCount(
        of table: String,
        column: String,
        isPending: (_ row: String) -> String
    ) -> String {
        """
        CREATE TRIGGER \(table)_appears_pending AFTER INSERT ON \(table) WHEN \(isPending("new")) BEGIN
            UPDATE ledger SET pendingMessages = pendingMessages + 1;
        END;
        CREATE TRIGGER \(table)_turns_pending AFTER UPDATE OF \(column) ON \(table)
            WHEN (\(isPending("new"))) <> (\(isPending("old"))) BEGIN
            UPDATE ledger SET pendingMessages = pendingMessages + (\(isPending("new"))) - (\(isPending("old")));
        END;
        CREATE TRIGGER \(table)_goes_pending AFTER DELETE ON \(table) WHEN \(isPending("old")) BEGIN
            UPDATE ledger SET pendingMessages = pendingMessages - 1;
        END;
        """
    }
}
