public import BulkheadCore
import GRDB
import Synchronization

/// How a store is set up.
public struct StoreSettings: Sendable, Equatable {
    /// The database's file.
    public var path: String
    /// Bytes of output that may be kept, over all tasks.
    public var spoolCap: Int64
    /// Bytes of the cap below which no submit is taken.
    public var terminalReserve: Int64 = 1 << 20
    /// Bytes that a result may have.
    public var resultLimit = Limits.resultBytes
    /// Whether finals are kept until a controller acknowledges them.
    public var outboxOn: Bool
    /// How long a transaction waits for another program's lock.
    public var busyTimeout: Duration = .seconds(5)
    /// Pages by which the log grows, about, before it is written back into the main file.
    var checkpointPages = 1_000
    /// Bytes of log, held by a reader of another program, at which no submit is taken; at twice that no output.
    var logBound = 64 << 20
    /// Bytes of log that stay with the file once it has been longer.
    static let logKept = 16 << 20
    /// Bytes of log that are held on the disk from the start, for the commits of a time when it is full.
    var logReserve: Int64 = 8 << 20
    /// Whether room is held on the disk at all.
    var holdsReserve = true
    /// Bytes of params, metadata and results after which a page of a list ends early.
    var listPageBytes = 16 << 20
    /// Chunks that may be kept whatever their size.
    var freeChunks: Int64 = 65_536
    /// Bytes that each running attempt reserves; nil is the largest final.
    var reservation: Int64?

    /// Bytes that a chunk has on average, at least, once there are more than ``freeChunks``.
    private static let averageChunkBytes: Int64 = 64

    /// Chunks that may be kept, so that the rows of tiny ones never take much more of the disk than the cap.
    var chunkBound: Int64 { max(freeChunks, spoolCap / Self.averageChunkBytes) }

    /// Makes settings.
    public init(path: String, spoolCap: Int64 = 64 << 20, outboxOn: Bool = false) {
        self.path = path
        self.spoolCap = spoolCap
        self.outboxOn = outboxOn
    }
}

/// All that outlives the supervisor: tasks, attempts, output, messages and the pools' health.
///
/// Every mutation is durable when it returns, and every transition is a compare-and-set: a stale event
/// changes nothing and is answered with nil or false. Errors are ``BulkheadError``; one with the code
/// `storage` and a `retryAfterSeconds` is worth another try, since nothing of the mutation was kept.
public final class Store: Sendable {
    let settings: StoreSettings
    let pool: DatabasePool
    let writer: CommitWriter
    private let reads = ReadGate()
    private let counted = Mutex(StoreCounters())

    /// A count that was found wrong at the start and put right, in plain words.
    public let correction: String?
    /// The latest loss of the whole history, where this database is the successor of a damaged one.
    public let historyLoss: HistoryLoss?

    private init(
        settings: StoreSettings,
        pool: DatabasePool,
        reserve: DiskReserve?,
        correction: String?,
        historyLoss: HistoryLoss?
    ) {
        self.settings = settings
        self.pool = pool
        self.correction = correction
        self.historyLoss = historyLoss
        writer = CommitWriter(
            pool: pool,
            reserve: reserve,
            path: settings.path,
            checkpointPages: settings.checkpointPages,
            logBound: settings.logBound
        )
    }

    deinit { writer.closeSoon() }

    /// What was counted since the start.
    var counters: StoreCounters { counted.withLock(\.self) }

    /// Counts what was committed.
    func count(_ change: @Sendable (inout StoreCounters) -> Void) { counted.withLock { change(&$0) } }

    /// Opens the database, or makes it; one that is damaged is moved aside whole, and a new one begins.
    /// - Parameters:
    ///   - settings: Where it lies, and its bounds.
    ///   - now: The moment, for the name of a damaged file; nil takes the wall clock.
    /// - Returns: The store.
    /// - Throws: ``BulkheadError`` with the code `storage` and what the user can do.
    public static func open(
        _ settings: StoreSettings,
        now: Timestamp? = nil
    ) throws(BulkheadError) -> Store {
        let opened = try DatabaseFile.open(settings, now: now ?? .ofWallClock)
        do {
            let correction = try opened.pool.write { try Reservations.confirm($0, settings) }
            while try opened.pool.write({ try Spool.makeSomeRoom($0, settings) }) {}
            return Store(
                settings: settings,
                pool: opened.pool,
                reserve: try settings.holdsReserve ? DiskReserve(settings, opened.pool) : nil,
                correction: correction,
                historyLoss: opened.loss
            )
        } catch {
            throw BulkheadError(storing: error, "the database \(settings.path) cannot be written")
        }
    }

    /// Commits what waits, writes the log back and closes the file; every later call is refused.
    /// - Throws: ``BulkheadError`` where the file could not be closed in order; nothing committed is lost.
    public func close() async throws(BulkheadError) {
        await writer.close()
        await reads.close()
        do {
            let isWhole = try writer.writeBack()
            try pool.close()
            if isWhole { try writer.reserve?.wipeLog() }
            try writer.reserve?.close()
        } catch {
            throw BulkheadError(storing: error, "the database could not be closed")
        }
    }

    /// Tells once, at most, that the disk or the file can no longer be trusted, and ends with the store.
    ///
    /// From then on every mutation is refused with this error, and the supervisor must end: the next start
    /// recovers from the log. For one listener.
    public var failure: AsyncStream<BulkheadError> { writer.failure }

    /// Tells that there may be room in the spool that was not there before, and ends with the store.
    ///
    /// For one listener.
    public var roomGrew: AsyncStream<Void> { writer.roomGrew }

    /// Tells of commits from now on, several that come together as one; ends with the store.
    public func commits() -> AsyncStream<Void> { writer.feed.commits() }

    /// Sees that the store answers.
    /// - Throws: ``BulkheadError`` where it does not, or where it takes no more mutations.
    public func check() async throws(BulkheadError) {
        if let end = writer.end { throw end }
        _ = try await read { db in try Ledger.read(db) }
    }

    /// Reads from one short snapshot; the caller's cancellation does not cut it short.
    func read<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(BulkheadError) -> Value {
        try reads.enter()
        defer { reads.leave() }
        let result: Result<Value, any Error> = await withCheckedContinuation { continuation in
            pool.asyncRead { database in
                continuation.resume(returning: Result { try body(try database.get()) })
            }
        }
        do {
            return try result.get()
        } catch {
            writer.note(error, "the database could not be read")
            throw BulkheadError(storing: error, "the database could not be read")
        }
    }
}

extension Store {
    /// The version of the SQLite library.
    public static var libraryVersion: String {
        let version = try? DatabaseQueue().read { try String.fetchOne($0, sql: "SELECT sqlite_version()") }
        return version ?? "unknown"
    }
}
