import BulkheadCore
import Foundation
import GRDB
import Synchronization
import Testing

@testable import BulkheadStore

/// The tasks whose end the store has acknowledged.
private final class Acknowledged: Sendable {
    private let state = Mutex(Set<TaskID>())

    var ids: Set<TaskID> { state.withLock { $0 } }

    func insert(_ id: TaskID) { state.withLock { _ = $0.insert(id) } }
}

@Suite("What a crash leaves")
struct CrashImageTests {
    /// Copies database and log as a crash at this moment would leave them; the log may be cut short.
    private func image(of bench: StoreWorkbench, cutLogTo bytes: Int? = nil) throws -> StoreWorkbench {
        let copy = try StoreWorkbench()
        try Data(contentsOf: URL(filePath: bench.path)).write(to: URL(filePath: copy.path))
        let log = try Data(contentsOf: URL(filePath: bench.path + "-wal"))
        try log.prefix(bytes ?? log.count).write(to: URL(filePath: copy.path + "-wal"))
        return copy
    }

    /// Opens an image, sees that it is sound, and reads what is in it.
    private func inspect<Value>(
        _ image: StoreWorkbench,
        _ body: (Store) async throws -> Value
    ) async throws -> Value {
        defer { image.remove() }
        let store = try Store.open(StoreSettings(path: image.path, spoolCap: 2_000, outboxOn: true))
        try await StoreWorkbench.audit(store)
        let value = try await body(store)
        try await store.close()
        return value
    }

    /// Tasks that go through their whole life, with output that rotates.
    private func work(_ bench: StoreWorkbench, _ store: Store, _ number: Int) async throws {
        try await bench.run(store, number)
        let text = String(repeating: "x", count: 300)
        _ = try await store.append([
            try bench.chunk(number, at: 0, text), try bench.chunk(number, at: 400, text),
        ])
        _ = try await store.finish(try bench.finish(number, .complete))
    }

    @Test("at any moment, what was acknowledged is in the file and its log, and both are sound")
    func acknowledgedSurvives() async throws {
        try await StoreWorkbench.run(spoolCap: 20_000, outboxOn: true, { $0.checkpointPages = .max }) {
            bench,
            store in
            let acknowledged = Acknowledged()
            try await withThrowingTaskGroup { group in
                for lane in 0..<4 {
                    group.addTask {
                        for number in 0..<15 {
                            try await work(bench, store, lane * 100 + number)
                            acknowledged.insert(try bench.id(lane * 100 + number))
                        }
                    }
                }
                for moment in 1...12 {
                    while acknowledged.ids.count < moment * 4 { await Task.yield() }
                    let before = acknowledged.ids
                    let kept = try await inspect(try image(of: bench)) { store in
                        var filter = TaskFilter()
                        filter.status = .completed
                        return Set(try await store.tasks(filter).tasks.map(\.id))
                    }
                    #expect(before.isSubset(of: kept), "moment \(moment)")
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("a log cut anywhere leaves a prefix of what happened, in whole transactions")
    func cutLog() async throws {
        try await StoreWorkbench.run(spoolCap: 2_000, outboxOn: true, { $0.checkpointPages = .max }) {
            bench,
            store in
            var lengths: [Int] = []
            for number in 0..<8 {
                try await work(bench, store, number)
                lengths.append(try Data(contentsOf: URL(filePath: bench.path + "-wal")).count)
            }
            let end = lengths[7]
            var cuts = Set(stride(from: lengths[0], to: end, by: 9_973))
            // Around the last frames, where a cut is likeliest to tear one: a header of 24 bytes and a page.
            cuts.formUnion([0, 31, 32, end - 4_120, end - 4_119, end - 4_096, end - 24, end - 1, end])
            for cut in cuts.sorted() {
                let completed = try await inspect(try image(of: bench, cutLogTo: cut)) {
                    (store: Store) async throws in
                    #expect(try await store.finals().count == store.counts()[.completed] ?? 0)
                    return try await store.counts()[.completed] ?? 0
                }
                #expect(completed == lengths.count { $0 <= cut }, "cut at \(cut) of \(end)")
            }
        }
    }
}
