import BulkheadCore
import Dispatch
import Foundation
import GRDB
import Synchronization

/// The one writer: a list of waiting mutations and one thread that commits them in groups.
///
/// Whatever waits when the thread is free goes into one transaction, so that many callers share one sync of
/// the disk. A mutation depends on the database alone and may run several times: where one of a group throws, or
/// the disk is full, the group is rolled back and each of its mutations runs alone. While the disk is full those
/// that take something in go alone, so that they cost those nothing that may use the ``DiskReserve``.
final class CommitWriter: Sendable {
    /// Mutations that one transaction takes.
    static let groupMutations = 1_024
    /// Bytes of payload after which a transaction takes no further mutation.
    static let groupBytes = 8 << 20
    /// Time between two looks whether the files still have their names: while there is work, and while there is none.
    private static let look = Duration.milliseconds(100)
    private static let idleLookSeconds = 1.0
    /// Pages that one transaction has of the ballast and of old output, at the most.
    private static let mostPagesGivenUp = 1 << 16

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

    /// Tells once, at most, that the store can no longer be trusted; ends when the writer has closed.
    let failure: AsyncStream<BulkheadError>
    private let failed: AsyncStream<BulkheadError>.Continuation
    /// Tells that finals and reservations have become less, so that an attempt may fit that did not before.
    let roomGrew: AsyncStream<Void>
    private let growth: AsyncStream<Void>.Continuation
    private let bytesHeld = Mutex<Int64>(0)
    /// Tells of every commit.
    let feed = CommitFeed()
    let pool: DatabasePool
    /// What is held on the disk; nil where nothing is.
    let reserve: DiskReserve?
    /// Tells that the disk has become too full to take anything new.
    let shortages: AsyncStream<Void>
    private let shortage: AsyncStream<Void>.Continuation
    private let files: StoreFiles
    private let nextLook = Mutex(ContinuousClock.now)
    private let rescued = Mutex<Rescue.Outcome?>(nil)
    let checkpointer: Mutex<Checkpointer>
    let logBound: Int
    let logPressure = Mutex(LogPressure.none)
    private let state = Mutex(State())
    private let work = DispatchSemaphore(value: 0)

    /// Starts the thread.
    init(pool: DatabasePool, reserve: DiskReserve?, path: String, checkpointPages: Int, logBound: Int) {
        self.pool = pool
        self.reserve = reserve
        files = StoreFiles(path: path)
        self.logBound = logBound
        checkpointer = Mutex(Checkpointer(pages: checkpointPages))
        (failure, failed) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
        (roomGrew, growth) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (shortages, shortage) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        if reserve?.shortage != nil { shortage.yield() }
        let thread = Thread { [self] in commitUntilClosed() }
        thread.name = "bulkhead-commit"
        thread.start()
    }

    /// Commits a mutation and returns when it is durable, whether the caller is cancelled or not.
    /// - Parameters:
    ///   - bytes: About how much it writes, for the bound of a group.
    ///   - purpose: What it may have of a full disk.
    ///   - body: The mutation; it may run several times, and depends on the database alone.
    /// - Returns: What the run that was committed returned.
    /// - Throws: What the mutation threw, or ``BulkheadError`` with the code `storage`, or `noReserve` on a full disk.
    func commit<Value: Sendable>(
        bytes: Int = 0,
        for purpose: CommitPurpose = .relief,
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(BulkheadError) -> Value {
        let result: Result<Value, BulkheadError> = await withCheckedContinuation { continuation in
            enqueue(
                Mutation(
                    purpose: purpose,
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

    /// Whether the log is to be written back at the end; says so once.
    /// - Throws: ``BulkheadError`` where a file is gone.
    func isToBeWrittenBack() throws(BulkheadError) -> Bool {
        let isOver = state.withLock { state in
            defer { state.isWrittenBack = true }
            return state.isWrittenBack || state.end != nil
        }
        guard !isOver else { return false }
        nextLook.withLock { $0 = .now }
        _ = confirmFiles()
        if let end { throw end }
        return true
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
        shortage.finish()
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
        defer { if reserve?.shortage != nil { shortage.yield() } }
        guard let reserve, reserve.shortage != nil else { return commit(group, mayRunAgain: true) }
        for part in GroupSize(onFullDisk: reserve.logBytes).parts(of: group) {
            commit(part, mayRunAgain: true)
        }
    }

    private func commit(_ group: [Mutation], mayRunAgain: Bool) {
        if let end {
            for mutation in group { mutation.fail(end) }
            return
        }
        let start = ContinuousClock.now
        let outcome = transact(group)
        let took = start.duration(to: .now)
        switch outcome {
        case .committed(let successes, let totalChanges, let held, let hasRoomAgain):
            // What was committed after another thread had begun to save may not be among what was saved.
            guard !state.withLock(\.isBeingRescued), confirmFiles() else {
                let error = rescueIfNeeded()?.error ?? end ?? ReadGate.closed
                for mutation in group { mutation.fail(error) }
                return
            }
            state.withLock { $0.measures.note(mutations: group.count, took: took) }
            for success in successes { success() }
            tellGrowth(held)
            if hasRoomAgain { growth.yield() }
            feed.tell()
            guard end == nil else { return }
            writeBackIfDue(totalChanges: totalChanges, bytes: group.reduce(0) { $0 + $1.bytes })
        case .fault(.passing, let error as DatabaseError)
        where error.resultCode == .SQLITE_FULL && mayRunAgain:
            // What has no room costs the others nothing; from its front, the log has some.
            reserve?.noteFull()
            writeBackLog()
            for mutation in group { commit([mutation], mayRunAgain: false) }
        case .fault(let fault, let error): fail(group, fault, error)
        case .thrown(let error) where group.count == 1:
            group[0].fail(BulkheadError(storing: error, "a change of the database was not possible"))
        case .thrown:
            for mutation in group { commit([mutation], mayRunAgain: mayRunAgain) }
        }
    }

    private func fail(_ group: [Mutation], _ fault: StorageFault, _ error: any Error) {
        state.withLock { $0.measures.failures += 1 }
        if fault == .lasting { stop(error, "the database could not be written") }
        let isFull = (error as? DatabaseError)?.resultCode == .SQLITE_FULL
        var error = BulkheadError(storing: error, "the database could not be written")
        if isFull { error.code = .noReserve }
        for mutation in group { mutation.fail(error) }
    }

    private func transact(_ group: [Mutation]) -> Outcome {
        do {
            return try transact(group, givingUp: 0)
        } catch let lack as DiskReserve.Lack {
            return .thrown(lack.error)
        } catch {
            guard let fault = StorageFault(error) else { return .thrown(error) }
            let isWrite = (error as? DatabaseError)?.extendedResultCode == .SQLITE_IOERR_WRITE
            if isWrite, let refusal = reserve?.refusalOfWrites() { return .fault(.passing, refusal) }
            return .fault(fault, error)
        }
    }

    /// Runs a group in one transaction, and again with more of the ballast where it lacks pages.
    private func transact(_ group: [Mutation], givingUp pages: Int) throws -> Outcome {
        let purpose: CommitPurpose = group.contains { $0.purpose == .growth } ? .growth : .relief
        var successes: [Success] = []
        successes.reserveCapacity(group.count)
        var held: Int64 = 0
        var room: DiskReserve.Room?
        let totalChanges: Int
        do {
            totalChanges = try pool.writeWithoutTransaction { db in
                try db.inTransaction(.immediate) {
                    if pages > 0 { try Ballast.free(pages, db) }
                    for mutation in group { successes.append(try mutation.run(db)) }
                    held = try Ledger.read(db).bytesHeld
                    room = try reserve?.secure(db, for: purpose)
                    return .commit
                }
                return db.totalChangesCount
            }
        } catch let lack as DiskReserve.Lack where pages < Self.mostPagesGivenUp {
            return try transact(group, givingUp: 2 * pages + lack.pages)
        }
        return .committed(
            successes,
            totalChanges: totalChanges,
            bytesHeld: held,
            hasRoomAgain: room.flatMap { reserve?.note($0) } ?? false
        )
    }

    private func tellGrowth(_ held: Int64) {
        let isLess = bytesHeld.withLock { last in
            defer { last = held }
            return held < last
        }
        if isLess { growth.yield() }
    }

    /// Ends the writer where an error that was met elsewhere says that the store cannot be trusted.
    func note(_ error: any Error, _ doing: String) {
        if StorageFault(error) == .lasting { stop(error, doing) }
    }

    func stop(_ cause: any Error, _ doing: String) {
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
