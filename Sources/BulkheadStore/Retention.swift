public import BulkheadCore
import GRDB

/// Which terminal tasks go.
public struct Sweep: Sendable, Equatable {
    /// Those that ended before this moment, by the wall clock; nil is none.
    public var endedBefore: Timestamp?
    /// The oldest beyond this many of the terminal tasks that there are; nil is none.
    public var atMost: Int?
    /// Only tasks of this type.
    public var type: TaskType?

    /// Makes a rule.
    public init(endedBefore: Timestamp? = nil, atMost: Int? = nil, type: TaskType? = nil) {
        self.endedBefore = endedBefore
        self.atMost = atMost
        self.type = type
    }
}

/// What one step of a sweep came to.
public struct SweepStep: Sendable, Equatable {
    /// The tasks that went, or would have gone.
    public var removed: [TaskID]
    /// Tasks that would have gone, but for a message that nobody has acknowledged.
    public var unacknowledged: Int
    /// Where the next step goes on; nil where the sweep is over.
    public var next: PruneCursor?
}

extension Store {
    /// Rows of the index that one step looks at.
    static let sweepLooks = 4_096
    /// Tasks that one step takes away.
    static let sweepTasks = 64
    /// Bytes of output after which a step takes no further task.
    static let sweepBytes: Int64 = 4 << 20

    /// Takes away a small number of terminal tasks, with all that is kept of them.
    ///
    /// What goes is found in a short read; only what is found is a mutation, so that a submit waits behind no
    /// more than one of these.
    /// - Parameters:
    ///   - sweep: Which tasks go.
    ///   - place: Where the step before has come to; nil at the beginning.
    ///   - dryRun: Whether they are only counted.
    /// - Returns: What went, and where to go on.
    /// - Throws: ``BulkheadError`` where the database could not be read or written.
    public func step(
        _ sweep: Sweep,
        from place: PruneCursor?,
        dryRun: Bool = false
    ) async throws(BulkheadError) -> SweepStep {
        let outboxOn = settings.outboxOn
        let found = try await read { db in
            try SweepFinder(sweep: sweep, outboxOn: outboxOn, dryRun: dryRun).find(from: place, db)
        }
        var step = SweepStep(removed: [], unacknowledged: found.unacknowledged, next: found.next)
        guard !dryRun, !found.tasks.isEmpty else {
            step.removed = found.tasks.map(\.id)
            return step
        }
        step.removed = try await writer.commit { db in
            try found.tasks.filter { task in
                try Self.takeAway(task, unlessUnacknowledged: outboxOn, db)
            }.map(\.id)
        }
        return step
    }

    /// Pages that one step gives back to the file system.
    static let vacuumPages = 256

    /// Gives a small number of the main file's free pages back to the file system.
    /// - Returns: Whether more may be left.
    /// - Throws: ``BulkheadError`` where the database could not be written.
    public func giveBackPages() async throws(BulkheadError) -> Bool {
        guard writer.reserve?.shortage == nil else { return false }
        let surplus = try await read { try FreePages.surplus($0) }
        guard surplus > 0 else { return false }
        // Each page that goes moves another one into the gap, and both the gap's old content and the map of
        // pages are written: all that goes through the log.
        let bytes = 2 * min(surplus, Self.vacuumPages) * Checkpointer.pageBytes
        return try await writer.commit(bytes: bytes) { db in
            let surplus = try FreePages.surplus(db)
            guard surplus > 0 else { return false }
            try db.execute(sql: "PRAGMA incremental_vacuum(\(min(surplus, Self.vacuumPages)))")
            return surplus > Self.vacuumPages
        }
    }

    /// Takes a task away that is as it was found.
    private static func takeAway(
        _ task: SweepFinder.Found,
        unlessUnacknowledged: Bool,
        _ db: Database
    ) throws -> Bool {
        let isSame = try db.first(
            "SELECT 1 FROM task WHERE key = ? AND completedAt = ?",
            [task.key, task.completedAt]
        ) { try $0.count() }
        guard isSame != nil else { return false }
        if unlessUnacknowledged, try Outbox.hasPending(db, task: task.key) { return false }
        try takeAway(task.key, db)
        return true
    }

    /// Takes a task away, with its attempts, its output and its messages.
    static func takeAway(_ key: Int64, _ db: Database) throws {
        try Spool.discard(db, task: key)
        try Outbox.discard(db, task: key)
        // Attempts and input go with the task, by their foreign keys.
        try db.run("DELETE FROM task WHERE key = ?", [key])
    }
}

/// The pages of the main file in which nothing lies.
enum FreePages {
    /// Free pages that stay in the file, so that a little work does not let it grow and shrink all the time.
    static let kept = 256

    /// Free pages that may be given back.
    static func surplus(_ db: Database) throws -> Int {
        max(try Ballast.pages(db).free - kept, 0)
    }
}

/// Finds the tasks of one step.
struct SweepFinder {
    /// A task that goes.
    struct Found: Sendable {
        var key: Int64
        var id: TaskID
        var completedAt: Int64
    }

    /// What one look came to.
    struct Findings: Sendable {
        var tasks: [Found] = []
        var unacknowledged = 0
        var next: PruneCursor?
    }

    private struct Candidate {
        var task: Found
        var type: String
        var retainedBytes: Int64
    }

    let sweep: Sweep
    let outboxOn: Bool
    let dryRun: Bool

    func find(from place: PruneCursor?, _ db: Database) throws -> Findings {
        var findings = Findings()
        var place = place ?? PruneCursor(completedAt: .min, key: .min, passed: 0)
        var beyond = try excess(db) - place.passed
        var bytes: Int64 = 0
        var looks = 0
        let cursor = try Row.fetchCursor(
            try db.cachedStatement(sql: Self.inOrderOfTheirEnd),
            arguments: [place.completedAt, place.completedAt, place.key]
        )
        while looks < Store.sweepLooks, findings.tasks.count < Store.sweepTasks, bytes < Store.sweepBytes {
            guard let row = try cursor.next() else { return findings }
            let candidate = try Self.candidate(row)
            let isOld = sweep.endedBefore.map { candidate.task.completedAt < $0.milliseconds } ?? false
            // The rows come in the order of their end: where one stays for its age, so do all behind it.
            guard isOld || beyond > 0 else { return findings }
            looks += 1
            beyond -= 1
            place.completedAt = candidate.task.completedAt
            place.key = candidate.task.key
            if try goes(candidate, &findings, db) {
                findings.tasks.append(candidate.task)
                bytes += candidate.retainedBytes
                // Those of a dry run are still there when the next step counts.
                if dryRun { place.passed += 1 }
            } else {
                place.passed += 1
            }
        }
        findings.next = place
        return findings
    }

    private func goes(_ candidate: Candidate, _ findings: inout Findings, _ db: Database) throws -> Bool {
        if let type = sweep.type, type.name != candidate.type { return false }
        guard outboxOn, try Outbox.hasPending(db, task: candidate.task.key) else { return true }
        findings.unacknowledged += 1
        return false
    }

    /// Terminal tasks beyond those that may be kept.
    private func excess(_ db: Database) throws -> Int {
        guard let atMost = sweep.atMost else { return 0 }
        let terminal = try db.first(
            "SELECT COALESCE(SUM(tasks), 0) FROM tally WHERE status NOT IN ('queued', 'running')"
        ) { try $0.count() }
        return (terminal ?? 0) - atMost
    }

    private static func candidate(_ row: Row) throws -> Candidate {
        var columns = Columns(row)
        let key = try columns.integer()
        guard let id = try? TaskID(try columns.text()) else { throw DatabaseError.damaged("the table task") }
        return Candidate(
            task: Found(key: key, id: id, completedAt: try columns.integer()),
            type: try columns.text(),
            retainedBytes: try columns.integer()
        )
    }

    static let inOrderOfTheirEnd = """
        SELECT key, id, completedAt, type, retainedBytes FROM task INDEXED BY task_ended
        WHERE completedAt IS NOT NULL AND completedAt >= ? AND (completedAt > ? OR key > ?)
        ORDER BY completedAt, key
        """
}
