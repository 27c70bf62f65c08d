import BulkheadCore
import Foundation
import GRDB

/// One append: pieces in, chunks and gaps out, and room made for them before the commit.
struct SpoolIntake {
    /// What the disk has for it.
    enum Disk: Sendable {
        /// More than the cap.
        case roomy
        /// Only the pages of older output, and of these first those that the reserve lacks.
        case full(missingPages: Int)
        /// Nothing: all is said as gaps.
        case closed
    }

    /// An attempt that runs, and what this append adds to it.
    private struct Writer {
        var task: Int64
        var attempt: Int
        var limit: Int64
        var totals: OutputTotals
        var retained: Int64
        var ends: [OutputChannel: Int64]
    }

    private struct Source: Hashable {
        var id: TaskID
        var attempt: Int
    }

    private let settings: StoreSettings
    private let disk: Disk
    /// Whether a controller is to be told of it.
    private let isOwed: Bool
    private var room: Int64 = 0
    /// nil for an attempt that does not run.
    private var writers: [Source: Writer?] = [:]
    private var addedBytes: Int64 = 0
    private var addedChunks: Int64 = 0

    init(_ settings: StoreSettings, _ disk: Disk = .roomy) {
        self.settings = settings
        self.disk = disk
        isOwed = settings.outboxOn
    }

    mutating func append(_ chunks: [OutputChunk], _ db: Database) throws -> AppendOutcome {
        room = try hasPages(for: chunks, db) ? settings.room(db).forOutput : 0
        for chunk in chunks { try store(chunk, db) }
        for case let writer? in writers.values { try save(writer, db) }
        try Ledger.countChunks(db, bytes: addedBytes, chunks: addedChunks)
        try makeRoom(db)
        return AppendOutcome(
            entries: try chunks.map { try entry(for: $0, db) },
            spoolBytes: try Ledger.read(db).spoolBytes
        )
    }

    private mutating func store(_ chunk: OutputChunk, _ db: Database) throws {
        let source = Source(id: chunk.id, attempt: chunk.attempt)
        if writers[source] == nil { writers[source] = .some(try Self.writer(source, db)) }
        guard var writer = writers[source] ?? nil else { return }
        defer { writers[source] = writer }
        writer.limit = chunk.taskLimit
        let known = writer.ends[chunk.channel] ?? 0
        let end = chunk.offset + Int64(chunk.bytes.count)
        guard end > known else { return }
        // What would not fit even alone is cut at its front, so that the newest bytes are those kept.
        let fits = max(min(chunk.taskLimit, room), 0)
        let start = max(chunk.offset, known, end - fits)
        let stream = Extent.Stream(task: writer.task, attempt: chunk.attempt, channel: chunk.channel)
        if start > known {
            let gap = Extent(
                arrival: try Ledger.next(db),
                stream: stream,
                offset: known,
                length: start - known,
                at: chunk.at,
                owed: isOwed ? known..<start : nil
            )
            try Spool.insertGap(gap, db)
            writer.totals.droppedBytes += gap.length
        }
        if end > start {
            try insert(chunk.bytes.suffix(Int(end - start)), at: start, of: stream, chunk.at, db)
            writer.retained += end - start
        }
        writer.ends[chunk.channel] = end
        switch chunk.channel {
        case .stdout: writer.totals.stdoutBytes += end - known
        case .stderr: writer.totals.stderrBytes += end - known
        }
    }

    /// Whether there are pages for all of it, at the cost of older output where the disk is full.
    ///
    /// Older output goes before anything is read of the tasks, whose rows say how much of it is kept.
    private func hasPages(for chunks: [OutputChunk], _ db: Database) throws -> Bool {
        switch disk {
        case .roomy: return true
        case .closed: return false
        case .full(let missing):
            let own = chunks.reduce(Ballast.pagesOfAccount) { $0 + $1.bytes.count / Ballast.pageContent + 1 }
            return try Spool.free(own + missing, db)
        }
    }

    private mutating func insert(
        _ bytes: ArraySlice<UInt8>,
        at offset: Int64,
        of stream: Extent.Stream,
        _ moment: Timestamp,
        _ db: Database
    ) throws {
        try db.run(
            """
            INSERT INTO chunk (arrival, task, attempt, channel, offset, length, data, at, owed)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                try Ledger.next(db), stream.task, stream.attempt, stream.channel.column, offset,
                bytes.count, Data(bytes), moment.milliseconds, isOwed,
            ]
        )
        addedBytes += Int64(bytes.count)
        addedChunks += 1
    }

    private static func writer(_ source: Source, _ db: Database) throws -> Writer? {
        try db.first(
            """
            SELECT t.key, t.stdoutBytes, t.stderrBytes, t.droppedBytes, t.retainedBytes, a.stdoutEnd,
                a.stderrEnd
            FROM task t JOIN attempt a ON a.task = t.key AND a.attempt = t.attempt
            WHERE t.id = ? AND t.status = 'running' AND t.attempt = ?
            """,
            [source.id.text, source.attempt]
        ) { columns in
            let task = try columns.integer()
            var totals = OutputTotals()
            totals.stdoutBytes = try columns.integer()
            totals.stderrBytes = try columns.integer()
            totals.droppedBytes = try columns.integer()
            return Writer(
                task: task,
                attempt: source.attempt,
                limit: 0,
                totals: totals,
                retained: try columns.integer(),
                ends: [.stdout: try columns.integer(), .stderr: try columns.integer()]
            )
        }
    }

    private func save(_ writer: Writer, _ db: Database) throws {
        try db.run(
            "UPDATE attempt SET stdoutEnd = ?, stderrEnd = ? WHERE task = ? AND attempt = ?",
            [writer.ends[.stdout], writer.ends[.stderr], writer.task, writer.attempt]
        )
        try db.run(
            """
            UPDATE task SET stdoutBytes = ?, stderrBytes = ?, droppedBytes = ?, retainedBytes = ?
            WHERE key = ?
            """,
            [
                writer.totals.stdoutBytes, writer.totals.stderrBytes, writer.totals.droppedBytes,
                writer.retained, writer.task,
            ]
        )
    }

    private func makeRoom(_ db: Database) throws {
        for case let writer? in writers.values where writer.retained > writer.limit {
            try Spool.drop(.task(writer.task), bytes: writer.retained - writer.limit, db)
        }
        try Spool.makeRoom(db, settings)
    }

    /// Read anew, since making room may have cost a task of this append some of its output.
    private func entry(for chunk: OutputChunk, _ db: Database) throws -> AppendOutcome.Entry {
        let source = Source(id: chunk.id, attempt: chunk.attempt)
        guard let before = writers[source] ?? nil, let writer = try Self.writer(source, db) else {
            return AppendOutcome.Entry(isStale: true, end: 0, attemptBytes: 0, totals: OutputTotals())
        }
        return AppendOutcome.Entry(
            isStale: false,
            end: writer.ends[chunk.channel] ?? 0,
            attemptBytes: before.ends.values.reduce(0, +),
            totals: writer.totals
        )
    }
}
