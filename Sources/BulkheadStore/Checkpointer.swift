/// When the log is written back into the main file.
///
/// SQLite's own automatic checkpoints keep an error of a sync to themselves, and trying such a sync again
/// can succeed although the pages are lost; so the writer asks for each checkpoint itself. SQLite tells how
/// long the log is by nothing but a checkpoint, so its growth is estimated, rather from above: a lone submit
/// dirties about twelve pages, a thousand in one group about one each.
struct Checkpointer {
    /// Bytes of a page, SQLite's default.
    static let pageBytes = 4_096
    /// Pages that every group dirties: counters, and the ends of tables and indexes.
    private static let pagesPerGroup = 10
    /// Changed rows for each further page.
    private static let changesPerPage = 2

    /// Pages by which the log may grow, about.
    let pages: Int
    private var totalChanges = 0
    private var growth = 0

    init(pages: Int) { self.pages = pages }

    /// Notes a group that was committed.
    /// - Parameters:
    ///   - totalChanges: SQLite's count of changed rows over the connection's life.
    ///   - bytes: The group's payload.
    /// - Returns: Whether the log has grown far enough; then it is taken to be written back.
    mutating func noteGroup(totalChanges: Int, bytes: Int) -> Bool {
        let changes = max(totalChanges - self.totalChanges, 0)
        self.totalChanges = totalChanges
        growth += Self.pagesPerGroup + changes / Self.changesPerPage + bytes / Self.pageBytes
        guard growth >= pages else { return false }
        growth = 0
        return true
    }
}
