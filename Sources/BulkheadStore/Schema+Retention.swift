extension Schema {
    /// Retention: terminal tasks in the order in which they ended.
    static let retention = """
        CREATE INDEX task_ended ON task (completedAt) WHERE completedAt IS NOT NULL;
        """
}
