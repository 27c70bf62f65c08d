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
    static let look = Duration.milliseconds(100)
    private static let idleLookSeconds = 1.0
    /// Pages that one transaction has of the ballast and of old output, at the most.
    static let mostPagesGivenUp = 1 << 16

    struct State {
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
    let failed: AsyncStream<BulkheadError>.Continuation
    /// Tells that finals and reservations have become less, so that an attempt may fit that did not before.
    let roomGrew: AsyncStream<Void>
    let growth: AsyncStream<Void>.Continuation
    let bytesHeld = Mutex<Int64>(0)
    /// Tells of every commit.
    let feed = CommitFeed()
    let pool: DatabasePool
    /// What is held on the disk; nil where nothing is.
    let reserve: DiskReserve?
    /// Tells that the disk has become too full to take anything new.
    let shortages: AsyncStream<Void>
    private let shortage: AsyncStream<Void>.Continuation
    let files: StoreFiles
    let nextLook = Mutex(ContinuousClock.now)
    let rescued = Mutex<Rescue.Outcome?>(nil)
    let checkpointer: Mutex<Checkpointer>
    let logBound: Int
    let logPressure = Mutex(LogPressure.none)
    let state = Mutex(State())
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
}
