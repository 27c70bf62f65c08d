import BulkheadCore
import Dispatch
import Foundation
import GRDB
import Synchronization

/// The one writer: a list of waiting mutations and one thread that commits them in groups.
///
/// Whatever waits when the thread is free goes into one transaction, so that many callers share one sync of
/// the disk. A mutation depends on the database alone and may run twice: where one of a group throws, the
/// group is rolled back and each of its mutations runs alone.
final class CommitWriter: Sendable {
    /// Mutations that one transaction takes.
    static let groupMutations = 1_024
    /// Bytes of payload after which a transaction takes no further mutation.
    static let groupBytes = 8 << 20
    /// Time between two looks whether the files still have their names: while there is work, and while there is none.
    private static let look = Duration.milliseconds(100)
    private static let idleLookSeconds = 1.0

    /// Tells a mutation's caller that it is durable.
    private typealias Success = @Sendable () -> Void

    private struct Mutation: Sendable {
        var bytes: Int
        var run: @Sendable (Database) throws -> Success
        var fail: @Sendable (BulkheadError) -> Void
    }

    private struct State {
        var waiting: [Mutation] = []
        var threadSleeps = false
        var isClosing = false
        var end: BulkheadError?
        var closers: [CheckedContinuation<Void, Never>] = []
        var hasEnded = false
        var isWrittenBack = false
        var isBeingRescued = false
        var measures = CommitMeasures()
    }

    private enum Outcome {
        case committed([Success], totalChanges: Int, bytesHeld: Int64)
        case thrown(any Error)
        case fault(StorageFault, any Error)
    }

    /// Tells once, at most, that the store can no longer be trusted; ends when the writer has closed.
    let failure: AsyncStream<BulkheadError>
    private let failed: AsyncStream<BulkheadError>.Continuation
    /// Tells that finals and reservations have become less, so that an attempt may fit that did not before.
    let roomGrew: AsyncStream<Void>
    private let growth: AsyncStream<Void>.Continuation
    private let bytesHeld = Mutex<Int64>(0)
    /// Tells of every commit.
    let feed = CommitFeed()
    private let pool: DatabasePool
    private let files: StoreFiles
    private let nextLook = Mutex(ContinuousClock.now)
    private let rescued = Mutex<Rescue.Outcome?>(nil)
    private let checkpointer: Mutex<Checkpointer>
    private let logBound: Int
    private let logPressure = Mutex(LogPressure.none)
    private let state = Mutex(State())
    private let work = DispatchSemaphore(value: 0)

    /// Starts the thread.
    init(pool: DatabasePool, path: String, checkpointPages: Int, logBound: Int) {
        self.pool = pool
        files = StoreFiles(path: path)
        self.logBound = logBound
        checkpointer = Mutex(Checkpointer(pages: checkpointPages))
        (failure, failed) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
        (roomGrew, growth) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        let thread = Thread { [self] in commitUntilClosed() }
        thread.name = "bulkhead-commit"
        thread.start()
    }

    /// Commits a mutation and returns when it is durable, whether the caller is cancelled or not.
    /// - Parameters:
    ///   - bytes: About how much it writes, for the bound of a group.
    ///   - body: The mutation; it may run twice, and depends on the database alone.
    /// - Returns: What the run that was committed returned.
    /// - Throws: What the mutation threw, or ``BulkheadError`` with the code `storage`.
    func commit<Value: Sendable>(
        bytes: Int = 0,
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(BulkheadError) -> Value {
        let result: Result<Value, BulkheadError> = await withCheckedContinuation { continuation in
            enqueue(
                Mutation(
                    bytes: bytes,
                    run: { db in
                        let value = try body(db)
                        return { continuation.resume(returning: .success(value)) }
                    },
                    fail: { continuation.resume(returning: .failure($0)) }
                )
            )
        }
        return try result.get()
    }

    /// How far the log has grown beyond what can be written back.
    var pressure: LogPressure { logPressure.withLock(\.self) }

    /// Mutations that wait for the thread.
    var waiting: Int { state.withLock { $0.waiting.count } }

    /// What commits took since the start.
    var measures: CommitMeasures { state.withLock(\.measures) }

    /// The error that ended the writer, if one did.
    var end: BulkheadError? { state.withLock(\.end) }

    /// Takes no further mutation, and returns when those that wait are committed.
    func close() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard !state.hasEnded else { return true }
                state.closers.append(continuation)
                return false
            }
            guard !isOver else { return continuation.resume() }
            closeSoon()
        }
    }

    /// Takes no further mutation; the thread ends when those that wait are committed.
    func closeSoon() {
        let wakes = state.withLock { state in
            state.isClosing = true
            defer { state.threadSleeps = false }
            return state.threadSleeps
        }
        if wakes { work.signal() }
    }

    /// Writes the whole log back into the main file, once no mutation can come any more.
    ///
    /// SQLite does so itself only where the last connection that is closed may write, and here that one is
    /// a reader. What a lock keeps from being written back stays in the log, where the next start finds it.
    /// - Throws: `DatabaseError` where the disk can no longer be trusted, ``BulkheadError`` where a file is gone.
    func writeBack() throws {
        let isOver = state.withLock { state in
            defer { state.isWrittenBack = true }
            return state.isWrittenBack || state.end != nil
        }
        guard !isOver else { return }
        nextLook.withLock { $0 = .now }
        _ = confirmFiles()
        if let end { throw end }
        do {
            try pool.writeWithoutTransaction { db in _ = try db.checkpoint(.truncate) }
        } catch  where StorageFault(error) == .passing {
            return
        }
    }

    private func enqueue(_ mutation: Mutation) {
        var wakes = false
        let refusal: BulkheadError? = state.withLock { state in
            if let end = state.end { return end }
            guard !state.isClosing else {
                return ReadGate.closed
            }
            state.waiting.append(mutation)
            wakes = state.threadSleeps
            state.threadSleeps = false
            return nil
        }
        if let refusal { return mutation.fail(refusal) }
        if wakes { work.signal() }
    }

    private func commitUntilClosed() {
        while let group = nextGroup() { commit(group) }
        failed.finish()
        growth.finish()
        feed.close()
        let closers = state.withLock { state in
            state.hasEnded = true
            return state.closers
        }
        for closer in closers { closer.resume() }
    }

    /// Waits for mutations; nil once the writer closes and none is left.
    private func nextGroup() -> [Mutation]? {
        while true {
            let (group, isOver): ([Mutation], Bool) = state.withLock { state in
                guard state.waiting.isEmpty else { return (Self.takeGroup(&state.waiting), false) }
                state.threadSleeps = !state.isClosing
                return ([], state.isClosing)
            }
            if !group.isEmpty { return group }
            if isOver { return nil }
            if work.wait(timeout: .now() + Self.idleLookSeconds) == .timedOut { _ = confirmFiles() }
        }
    }

    private static func takeGroup(_ waiting: inout [Mutation]) -> [Mutation] {
        var bytes = 0
        var count = 0
        while count < min(waiting.count, groupMutations), bytes < groupBytes {
            bytes += waiting[count].bytes
            count += 1
        }
        defer { waiting.removeFirst(count) }
        return Array(waiting.prefix(count))
    }

    private func commit(_ group: [Mutation]) {
        if let end {
            for mutation in group { mutation.fail(end) }
            return
        }
        let start = ContinuousClock.now
        let outcome = transact(group)
        let took = start.duration(to: .now)
        switch outcome {
        case .committed(let successes, let totalChanges, let held):
            // What was committed after another thread had begun to save may not be among what was saved.
            guard !state.withLock(\.isBeingRescued), confirmFiles() else {
                let error = rescueIfNeeded()?.error ?? end ?? ReadGate.closed
                for mutation in group { mutation.fail(error) }
                return
            }
            state.withLock { $0.measures.note(mutations: group.count, took: took) }
            for success in successes { success() }
            tellGrowth(held)
            feed.tell()
            guard end == nil else { return }
            checkpointIfDue(totalChanges: totalChanges, bytes: group.reduce(0) { $0 + $1.bytes })
        case .fault(let fault, let error):
            state.withLock { $0.measures.failures += 1 }
            if fault == .lasting { stop(error, "the database could not be written") }
            let error = BulkheadError(storing: error, "the database could not be written")
            for mutation in group { mutation.fail(error) }
        case .thrown(let error) where group.count == 1:
            group[0].fail(BulkheadError(storing: error, "a change of the database was not possible"))
        case .thrown:
            for mutation in group { commit([mutation]) }
        }
    }

    private func transact(_ group: [Mutation]) -> Outcome {
        do {
            var successes: [Success] = []
            successes.reserveCapacity(group.count)
            var held: Int64 = 0
            let totalChanges = try pool.writeWithoutTransaction { db in
                try db.inTransaction(.immediate) {
                    for mutation in group { successes.append(try mutation.run(db)) }
                    held = try Ledger.read(db).bytesHeld
                    return .commit
                }
                return db.totalChangesCount
            }
            return .committed(successes, totalChanges: totalChanges, bytesHeld: held)
        } catch {
            return StorageFault(error).map { .fault($0, error) } ?? .thrown(error)
        }
    }

    private func tellGrowth(_ held: Int64) {
        let isLess = bytesHeld.withLock { last in
            defer { last = held }
            return held < last
        }
        if isLess { growth.yield() }
    }

    private func checkpointIfDue(totalChanges: Int, bytes: Int) {
        let isDue = checkpointer.withLock { $0.noteGroup(totalChanges: totalChanges, bytes: bytes) }
        // A log that was too long is looked at after every group, so that work goes on as soon as it can.
        guard isDue || pressure != .none else { return }
        do {
            let log = try pool.writeWithoutTransaction { db in try db.checkpoint(.passive) }
            logPressure.withLock { pressure in
                pressure = LogPressure(
                    frames: log.walFrameCount,
                    writtenBack: log.checkpointedFrameCount,
                    bound: logBound
                )
            }
        } catch {
            // The log keeps everything, so a checkpoint that met a lock or a full disk comes again later.
            guard StorageFault(error) == .lasting else { return }
            stop(error, "the database's log could not be written back")
        }
    }

    /// Ends the writer where an error that was met elsewhere says that the store cannot be trusted.
    func note(_ error: any Error, _ doing: String) {
        if StorageFault(error) == .lasting { stop(error, doing) }
    }

    private func stop(_ cause: any Error, _ doing: String) {
        // A connection that is opened when the log has lost its name makes a new one, and finds nothing in it.
        if let outcome = rescueIfNeeded() { return stop(with: outcome.error) }
        let error = BulkheadError(storing: cause, doing)
        if let damage = Damage(cause) {
            // Where this cannot be written either, the next start finds the damage by itself or not at all.
            _ = try? Quarantine(path: files.path).begin(damage.reason, now: .ofWallClock)
        }
        stop(with: error)
    }

    /// Looks now and then whether the files still have their names, and saves what is in them where they do not;
    /// then the writer ends.
    /// - Returns: Whether what has been committed is safe.
    private func confirmFiles() -> Bool {
        let isDue = nextLook.withLock { next in
            guard ContinuousClock.now >= next else { return false }
            next = .now + Self.look
            return true
        }
        guard isDue, end == nil, let outcome = rescueIfNeeded() else { return true }
        stop(with: outcome.error)
        return outcome.isWhole
    }

    /// Saves what is in files that have lost their names, once; whoever meets it meanwhile waits for the same outcome.
    /// - Returns: What came of it; nil where each file is in its place.
    private func rescueIfNeeded() -> Rescue.Outcome? {
        rescued.withLock { rescued in
            if rescued == nil {
                let changes = files.changes()
                guard !changes.isEmpty else { return nil }
                state.withLock { $0.isBeingRescued = true }
                rescued = Rescue(files: files, changes: changes, pool: pool, now: .ofWallClock).run()
            }
            return rescued
        }
    }

    private func stop(with error: BulkheadError) {
        let isFirst = state.withLock { state in
            defer { state.end = state.end ?? error }
            return state.end == nil
        }
        if isFirst { failed.yield(error) }
    }
}

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
