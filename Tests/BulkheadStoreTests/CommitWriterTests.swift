import BulkheadCore
import Dispatch
import Foundation
import GRDB
import Synchronization
import Testing

@testable import BulkheadStore

/// Counts the transactions that a connection commits.
private final class CommitCount: TransactionObserver {
    let commits = Mutex(0)

    func observes(eventsOfKind eventKind: DatabaseEventKind) -> Bool { false }
    func databaseDidChange(with event: DatabaseEvent) {}
    func databaseDidCommit(_ db: Database) { commits.withLock { $0 += 1 } }
    func databaseDidRollback(_ db: Database) {}
}

@Suite("CommitWriter")
struct CommitWriterTests {
    private struct Refusal: Error {}

    /// Holds the writer's thread inside a mutation, hands in others, and lets go once all of them wait.
    private func behindGate<Value: Sendable>(
        _ store: Store,
        bytes: Int = 0,
        _ bodies: [@Sendable (Database) throws -> Value]
    ) async throws -> [Result<Value, BulkheadError>] {
        let gate = DispatchSemaphore(value: 0)
        let entered = AsyncStream<Void>.makeStream()
        async let held: Void = store.writer.commit { _ in
            entered.continuation.yield()
            gate.wait()
        }
        for await _ in entered.stream { break }
        let results = await withTaskGroup(of: (Int, Result<Value, BulkheadError>).self) { group in
            for (index, body) in bodies.enumerated() {
                group.addTask {
                    do throws(BulkheadError) {
                        return (index, .success(try await store.writer.commit(bytes: bytes, body)))
                    } catch {
                        return (index, .failure(error))
                    }
                }
            }
            while store.writer.waiting < bodies.count { await Task.yield() }
            gate.signal()
            return await group.reduce(into: [Int: Result<Value, BulkheadError>]()) { $0[$1.0] = $1.1 }
        }
        try await held
        return bodies.indices.compactMap { results[$0] }
    }

    private func insert(_ number: Int) -> @Sendable (Database) throws -> Int {
        { db in
            try db.run("INSERT INTO pool VALUES (?, 0, 0, NULL, 0)", ["p\(number)"])
            return number
        }
    }

    private func poolCount(_ store: Store) async throws -> Int {
        try await store.poolHealth().count
    }

    private func count(_ store: Store) -> CommitCount {
        let count = CommitCount()
        store.pool.writeWithoutTransaction { $0.add(transactionObserver: count) }
        return count
    }

    @Test("mutations that wait together share one transaction, and each gets its own answer")
    func groups() async throws {
        try await StoreWorkbench.run { _, store in
            let count = count(store)
            let results = try await behindGate(store, (0..<200).map { insert($0) })
            #expect(try results.map { try $0.get() } == Array(0..<200))
            #expect(try await poolCount(store) == 200)
            // The gate's own, and one for all the others.
            #expect(count.commits.withLock { $0 } == 2)
        }
    }

    @Test("a group is bounded in number")
    func boundedInNumber() async throws {
        try await StoreWorkbench.run { _, store in
            let count = count(store)
            _ = try await behindGate(store, (0..<(CommitWriter.groupMutations + 1)).map { insert($0) })
            #expect(count.commits.withLock { $0 } == 3)
        }
    }

    @Test("a group is bounded in bytes")
    func boundedInBytes() async throws {
        try await StoreWorkbench.run { _, store in
            let count = count(store)
            _ = try await behindGate(store, bytes: CommitWriter.groupBytes / 2, (0..<6).map { insert($0) })
            #expect(count.commits.withLock { $0 } == 4)
        }
    }

    @Test("a mutation that throws takes nothing of the others with it, and leaves nothing itself")
    func isolates() async throws {
        try await StoreWorkbench.run { _, store in
            var bodies = (0..<20).map { insert($0) }
            bodies[7] = { db in
                try db.run("INSERT INTO pool VALUES ('half', 0, 0, NULL, 0)")
                throw BulkheadError(.conflict, "no")
            }
            // A broken constraint is the mutation's own fault too.
            bodies[9] = insert(3)
            let results = try await behindGate(store, bodies)
            for (index, result) in results.enumerated() where index != 7 && index != 9 {
                #expect(try result.get() == index)
            }
            #expect(results[7] == .failure(BulkheadError(.conflict, "no")))
            let constraint = #expect(throws: BulkheadError.self) { _ = try results[9].get() }
            #expect(constraint?.code == .internal)
            #expect(try await poolCount(store) == 18)
        }
    }

    @Test("a lock fails the whole group, runs nothing of it again, and later commits succeed")
    func passingFault() async throws {
        try await StoreWorkbench.run { _, store in
            let runs = Mutex(0)
            var bodies = (0..<10).map { number in
                { @Sendable (db: Database) throws -> Int in
                    runs.withLock { $0 += 1 }
                    return try insert(number)(db)
                }
            }
            bodies.append { _ in throw DatabaseError(resultCode: .SQLITE_BUSY) }
            let results = try await behindGate(store, bodies)
            for result in results {
                let error = #expect(throws: BulkheadError.self) { _ = try result.get() }
                #expect(error?.code == .storage)
                #expect(error?.retryAfterSeconds != nil)
            }
            // The order in which the callers came is theirs: whoever came behind the fault never ran.
            #expect(runs.withLock { $0 } <= 10)
            #expect(try await poolCount(store) == 0)
            #expect(try await store.writer.commit(insert(1)) == 1)
        }
    }

    @Test("on a full disk each of a group is tried alone, and only what has no room is refused")
    func fullDisk() async throws {
        try await StoreWorkbench.run { _, store in
            var bodies = (0..<10).map { insert($0) }
            bodies.append { _ in throw DatabaseError(resultCode: .SQLITE_FULL) }
            let results = try await behindGate(store, bodies)
            for (number, result) in results.dropLast().enumerated() { #expect(try result.get() == number) }
            let error = #expect(throws: BulkheadError.self) { _ = try results.last?.get() }
            #expect(error?.code == .noReserve)
            #expect(error?.retryAfterSeconds != nil)
            #expect(try await poolCount(store) == 10)
        }
    }

    @Test(
        "after a fault that cannot be trusted away the writer takes nothing more, and says so once",
        arguments: [ResultCode.SQLITE_IOERR_FSYNC, .SQLITE_CORRUPT, .SQLITE_READONLY_DBMOVED]
    )
    func lastingFault(code: ResultCode) async throws {
        try await StoreWorkbench.run { bench, store in
            let runs = Mutex(0)
            var bodies: [@Sendable (Database) throws -> Int] = [
                { _ in throw DatabaseError(resultCode: code) }
            ]
            bodies += (0..<5).map { number in
                { db in
                    runs.withLock { $0 += 1 }
                    return try insert(number)(db)
                }
            }
            let results = try await behindGate(store, bodies)
            for result in results { #expect(throws: BulkheadError.self) { _ = try result.get() } }
            let before = runs.withLock { $0 }
            let refused = await #expect(throws: BulkheadError.self) {
                _ = try await store.writer.commit(insert(9))
            }
            #expect(refused?.code == .storage)
            await #expect(throws: BulkheadError.self) { try await bench.submit(store, try bench.request(1)) }
            await #expect(throws: BulkheadError.self) { try await store.check() }
            #expect(runs.withLock { $0 } == before)
            #expect(try await poolCount(store) == 0)
            await store.writer.close()
            var told: [BulkheadError] = []
            for await failure in store.failure { told.append(failure) }
            #expect(told == [refused])
        }
    }

    @Test("a caller that is cancelled does not cancel its mutation")
    func cancelled() async throws {
        try await StoreWorkbench.run { _, store in
            let gate = DispatchSemaphore(value: 0)
            let entered = AsyncStream<Void>.makeStream()
            async let held: Void = store.writer.commit { _ in
                entered.continuation.yield()
                gate.wait()
            }
            for await _ in entered.stream { break }
            let caller = Task { try await store.writer.commit(insert(1)) }
            while store.writer.waiting < 1 { await Task.yield() }
            caller.cancel()
            gate.signal()
            #expect(try await caller.value == 1)
            try await held
            #expect(try await poolCount(store) == 1)
        }
    }

    @Test("a closed store has committed what waited, refuses the rest, and closes twice without harm")
    func closes() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let store = try Store.open(StoreSettings(path: bench.path))
        let results = try await behindGate(store, (0..<50).map { insert($0) })
        #expect(results.count == 50)
        try await store.close()
        try await store.close()
        let refused = await #expect(throws: BulkheadError.self) {
            _ = try await store.writer.commit(insert(99))
        }
        #expect(refused?.code == .unavailable)
        await #expect(throws: BulkheadError.self) { try await store.check() }
        let again = try Store.open(StoreSettings(path: bench.path))
        #expect(try await poolCount(again) == 50)
        try await again.close()
    }
}

@Suite("ReadGate")
struct ReadGateTests {
    @Test("reads that race with the end get an answer or are refused as unavailable, never another error")
    func readsDuringClose() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let store = try Store.open(StoreSettings(path: bench.path))
        let refusals = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var refused = 0
                    while refused < 20 {
                        do throws(BulkheadError) {
                            _ = try await store.spoolBytes()
                        } catch {
                            guard error.code == .unavailable else { throw error }
                            refused += 1
                        }
                    }
                    return refused
                }
            }
            try await store.close()
            return try await group.reduce(0, +)
        }
        #expect(refusals == 160)
    }
}

@Suite("Checkpointer")
struct CheckpointerTests {
    @Test("a checkpoint is due when groups, rows and payload together have grown the log far enough")
    func due() {
        var checkpointer = Checkpointer(pages: 100)
        var isDue = checkpointer.noteGroup(totalChanges: 40, bytes: 0)
        #expect(!isDue)
        isDue = checkpointer.noteGroup(totalChanges: 80, bytes: 39 * 4_096)
        #expect(!isDue)
        isDue = checkpointer.noteGroup(totalChanges: 80, bytes: 0)
        #expect(isDue)
        isDue = checkpointer.noteGroup(totalChanges: 80, bytes: 0)
        #expect(!isDue)
    }

    @Test("the log is written back while work goes on, so it stays small")
    func boundsLog() async throws {
        try await StoreWorkbench.run({ $0.checkpointPages = 50 }) { bench, store in
            for number in 0..<300 { try await bench.submit(store, try bench.request(number)) }
            let attributes = try FileManager.default.attributesOfItem(atPath: bench.path + "-wal")
            let bytes = try #require(attributes[.size] as? Int)
            // 300 submits leave far more than this behind them where nothing is written back.
            #expect(bytes < 300 * 4_096)
        }
    }
}
