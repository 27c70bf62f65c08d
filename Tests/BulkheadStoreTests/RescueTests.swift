import BulkheadCore
import Foundation
import GRDB
import Testing

@testable import BulkheadStore

@Suite("Rescue: files that are taken away while the store is open", .timeLimit(.minutes(5)))
struct RescueTests {
    private static let tasks = 40

    /// A store at work, whose main file lacks most of it.
    private func opened(_ bench: StoreWorkbench) async throws -> Store {
        var settings = StoreSettings(path: bench.path, outboxOn: true)
        settings.checkpointPages = .max
        settings.busyTimeout = .milliseconds(50)
        let store = try Store.open(settings)
        for number in 1...Self.tasks { try await bench.run(store, number) }
        _ = try await store.append([try bench.chunk(1, at: 0, String(repeating: "x", count: 100_000))])
        return store
    }

    /// The error with which a store ends by itself.
    private func end(of store: Store) async throws -> BulkheadError {
        var failures = store.failure.makeAsyncIterator()
        return try #require(await failures.next())
    }

    /// Sees that everything is in a database.
    private func expectAll(_ bench: StoreWorkbench, in path: String) async throws {
        let store = try Store.open(StoreSettings(path: path, outboxOn: true))
        #expect(store.historyLoss == nil)
        #expect(try await store.counts() == [.running: Self.tasks])
        #expect(try await store.spoolBytes() == 100_000)
        try await StoreWorkbench.audit(store)
        try await bench.submit(store, try bench.request(Self.tasks + 1))
        try await store.close()
    }

    private func remove(_ path: String) throws { try FileManager.default.removeItem(atPath: path) }

    @Test(
        "whichever file goes, the store takes no more, says which, and the next start has everything",
        arguments: [[""], ["-wal"], ["-shm"], ["-wal", "-shm"], ["", "-wal", "-shm"]]
    )
    func removed(_ suffixes: [String]) async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let store = try await opened(bench)
        for suffix in suffixes { try remove(bench.path + suffix) }
        let error = try await end(of: store)
        #expect(error.code == .storage && error.retryAfterSeconds == nil)
        for suffix in suffixes { #expect(error.message.contains("\(bench.path)\(suffix) was removed")) }
        #expect(error.message.hasSuffix("all that was committed has been saved in \(bench.path)"))
        await #expect(throws: error) { try await bench.submit(store, try bench.request(99)) }
        try await store.close()
        try await expectAll(bench, in: bench.path)
    }

    @Test("work goes on to be acknowledged until the change is seen, and nothing acknowledged is lost")
    func underLoad() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let store = try Store.open(StoreSettings(path: bench.path))
        for number in 1...10 { try await bench.submit(store, try bench.request(number)) }
        try remove(bench.path + "-wal")
        var acknowledged = 10
        while (try? await bench.submit(store, try bench.request(acknowledged + 1))) != nil {
            acknowledged += 1
        }
        #expect(store.writer.end?.message.contains("-wal was removed") == true)
        try await store.close()
        let next = try Store.open(StoreSettings(path: bench.path))
        let queued = try await next.counts()[.queued] ?? 0
        #expect(queued >= acknowledged && queued <= acknowledged + 1)
        try await next.close()
    }

    @Test("a connection that finds nothing in the log that it has made costs nothing either")
    func newConnection() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let store = try await opened(bench)
        try remove(bench.path + "-wal")
        // As many at once as need connections that are not there yet.
        await withTaskGroup { group in
            for _ in 0..<32 { group.addTask { _ = try? await store.counts() } }
        }
        let error = try await end(of: store)
        #expect(error.message.contains("-wal was removed"), "\(error)")
        try await store.close()
        try await expectAll(bench, in: bench.path)
    }

    @Test("a reader of another program in the way of the log costs nothing of it")
    func reader() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let store = try await opened(bench)
        var configuration = Configuration()
        configuration.readonly = true
        configuration.allowsUnsafeTransactions = true
        let other = try DatabaseQueue(path: bench.path, configuration: configuration)
        try await other.writeWithoutTransaction { db in
            try db.execute(sql: "BEGIN")
            _ = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM task")
        }
        for number in 1...Self.tasks {
            _ = try await store.finish(try bench.finish(number, .complete))
        }
        try remove(bench.path + "-wal")
        let error = try await end(of: store)
        #expect(error.message.hasSuffix("all that was committed has been saved in \(bench.path)"))
        try other.close()
        try await store.close()
        let next = try Store.open(StoreSettings(path: bench.path, outboxOn: true))
        #expect(try await next.counts() == [.completed: Self.tasks])
        try await StoreWorkbench.audit(next)
        try await next.close()
    }

    @Test("another file in the place of the main one stays, and all that was committed lies beside it")
    func replaced() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let store = try await opened(bench)
        let other = Data("somebody else's".utf8)
        try other.write(to: URL(filePath: bench.path), options: .atomic)
        let error = try await end(of: store)
        let files = try FileManager.default.contentsOfDirectory(atPath: bench.folder.path)
        let copy = try #require(files.first { $0.hasPrefix("bulkhead.sqlite.saved-") })
        #expect(error.message.contains("\(bench.path) was replaced"))
        #expect(error.message.hasSuffix("has been saved in \(bench.folder.appending(path: copy).path)"))
        #expect(error.advice?.contains("move that file to") == true)
        #expect(try Data(contentsOf: URL(filePath: bench.path)) == other)
        try await store.close()
        try await expectAll(bench, in: bench.folder.appending(path: copy).path)
    }

    @Test("a change that comes just before the end is seen by the end")
    func closing() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let store = try await opened(bench)
        try remove(bench.path)
        await #expect(throws: BulkheadError.self) { try await store.close() }
        try await expectAll(bench, in: bench.path)
    }

    @Test("where nothing can be saved that is said, and the next start says it too")
    func lost() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let store = try await opened(bench)
        try FileManager.default.removeItem(at: bench.folder)
        let error = try await end(of: store)
        #expect(error.message.hasSuffix("and it could not be saved: its content is lost"), "\(error)")
        #expect(error.cause != nil && error.advice?.contains("backup") == true)
        try? await store.close()
    }

    @Test("files that are in their places are left alone")
    func untouched() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let store = try await opened(bench)
        let files = StoreFiles(path: bench.path)
        #expect(files.changes().isEmpty)
        _ = try await store.pool.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        #expect(files.changes().isEmpty)
        try await bench.submit(store, try bench.request(77))
        #expect(files.changes().isEmpty && store.writer.end == nil)
        try await store.close()
    }
}
