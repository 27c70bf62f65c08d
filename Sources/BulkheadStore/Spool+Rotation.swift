import BulkheadCore
import GRDB

/// Making room: which output goes first, and the gaps that it leaves.
extension Spool {
    /// Rows that are looked at in one step when room is made.
    private static let rotationStep = 64

    /// Whose output goes.
    enum Victim {
        case task(Int64)
        case anyone

        /// The statements that find the oldest of it: first of what a controller has, then of the rest.
        var statements: [String] {
            switch self {
            case .task: [Spool.oldestAcknowledgedOfTask, Spool.oldestOfTask]
            case .anyone: [Spool.oldestAcknowledged, Spool.oldest]
            }
        }

        var arguments: StatementArguments {
            switch self {
            case .task(let key): [key]
            case .anyone: []
            }
        }
    }

    private static let extents = "SELECT \(Extent.ofChunk) FROM chunk"

    static let oldest = "\(extents) ORDER BY arrival LIMIT \(rotationStep)"
    static let oldestAcknowledged = """
        \(extents) INDEXED BY chunk_acknowledged WHERE acknowledged = 1 ORDER BY arrival \
        LIMIT \(rotationStep)
        """
    // A task's attempts follow one another, so this is the order of arrival.
    static let oldestOfTask = """
        \(extents) INDEXED BY chunk_by_attempt WHERE task = ? ORDER BY attempt, arrival \
        LIMIT \(rotationStep)
        """
    static let oldestAcknowledgedOfTask = """
        \(extents) INDEXED BY chunk_acknowledged_by_task WHERE task = ? AND acknowledged = 1 \
        ORDER BY attempt, arrival LIMIT \(rotationStep)
        """

    /// Drops output of anyone until what is kept fits beside finals and reservations.
    static func makeRoom(_ db: Database, _ settings: StoreSettings) throws {
        let ledger = try Ledger.read(db)
        try drop(
            .anyone,
            bytes: ledger.spoolBytes - settings.room(ledger).forOutput,
            chunks: ledger.chunks - settings.chunkBound,
            db
        )
    }

    /// Bytes of output, and chunks, that one step of ``makeSomeRoom(_:_:)`` drops.
    private static let roomStep: (bytes: Int64, chunks: Int64) = (4 << 20, 4_096)

    /// Makes room as ``makeRoom(_:_:)`` does, a bounded part of it.
    /// - Returns: Whether more is to be dropped.
    static func makeSomeRoom(_ db: Database, _ settings: StoreSettings) throws -> Bool {
        let ledger = try Ledger.read(db)
        let bytes = ledger.spoolBytes - settings.room(ledger).forOutput
        let chunks = ledger.chunks - settings.chunkBound
        guard bytes > 0 || chunks > 0 else { return false }
        try drop(.anyone, bytes: min(bytes, roomStep.bytes), chunks: min(chunks, roomStep.chunks), db)
        return true
    }

    /// Drops the oldest output until the main file has pages in which nothing lies; none where all is not enough.
    /// - Returns: Whether it has so many.
    static func free(_ pages: Int, _ db: Database) throws -> Bool {
        let most = try Ledger.read(db).spoolBytes / Int64(Ballast.pageContent)
        guard try Ballast.pages(db).free + Int(clamping: most) >= pages else { return false }
        while true {
            let lack = pages - (try Ballast.pages(db).free)
            guard lack > 0 else { return true }
            guard try Ledger.read(db).chunks > 0 else { return false }
            try drop(.anyone, bytes: Int64(lack * Checkpointer.pageBytes), db)
        }
    }

    /// Drops chunks until enough is gone, acknowledged ones first, then the oldest; gaps take their place.
    static func drop(_ victim: Victim, bytes: Int64, chunks: Int64 = 0, _ db: Database) throws {
        var bytes = bytes
        var chunks = chunks
        for statement in victim.statements {
            while bytes > 0 || chunks > 0 {
                let candidates = try db.rows(statement, victim.arguments, { try Extent(&$0) })
                guard !candidates.isEmpty else { break }
                var dropped: [Extent] = []
                for extent in candidates where bytes > 0 || chunks > 0 {
                    try db.run("DELETE FROM chunk WHERE arrival = ?", [extent.arrival])
                    bytes -= extent.length
                    chunks -= 1
                    dropped.append(extent)
                }
                try leaveGaps(dropped, db)
            }
        }
    }

    private static func leaveGaps(_ dropped: [Extent], _ db: Database) throws {
        var gaps: [Extent.Stream: Extent] = [:]
        var bytesOfTask: [Int64: Int64] = [:]
        for extent in dropped {
            bytesOfTask[extent.stream.task, default: 0] += extent.length
            if let gap = gaps[extent.stream] {
                if let both = gap.joined(with: extent) {
                    gaps[extent.stream] = both
                    continue
                }
                try insertGap(gap, db)
            }
            gaps[extent.stream] = extent
        }
        for gap in gaps.values { try insertGap(gap, db) }
        for (task, bytes) in bytesOfTask {
            try db.run(
                """
                UPDATE task SET droppedBytes = droppedBytes + ?, retainedBytes = retainedBytes - ?
                WHERE key = ?
                """,
                [bytes, bytes, task]
            )
        }
        try Ledger.countChunks(
            db,
            bytes: -dropped.reduce(0) { $0 + $1.length },
            chunks: -Int64(dropped.count)
        )
    }
}
