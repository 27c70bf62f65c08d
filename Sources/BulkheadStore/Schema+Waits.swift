extension Schema {
    /// The wait before a retry, apart from the caller's `notBefore`: its end on the clock that never jumps, and its
    /// length, which bounds what is left of it under whatever clock the next supervisor starts.
    ///
    /// Of a wait that an earlier version wrote into `notBefore` the length is not known: a policy's default
    /// `maximum-delay` is taken, so that it may end early and never late.
    static let retryWaits = """
        ALTER TABLE task ADD COLUMN waitUntil INTEGER;
        ALTER TABLE task ADD COLUMN waitLength INTEGER;
        DROP INDEX task_asleep;
        UPDATE task SET waitUntil = notBefore, waitLength = 300000, notBefore = NULL
            WHERE status = 'queued' AND ready = 0 AND retries > 0;
        CREATE INDEX task_asleep ON task (notBefore)
            WHERE status = 'queued' AND ready = 0 AND waitUntil IS NULL;
        CREATE INDEX task_waiting ON task (waitUntil) WHERE status = 'queued' AND waitUntil IS NOT NULL;
        """
}
