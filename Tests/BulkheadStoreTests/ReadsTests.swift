import BulkheadCore
import Testing

@testable import BulkheadStore

@Suite("Store: reads")
struct ReadsTests {
    @Test("pages of a list follow one another from the newest to the oldest, without holes or repeats")
    func pages() async throws {
        try await StoreWorkbench.run { bench, store in
            _ = try await store.submit(try (1...25).map { try bench.request($0) })
            var filter = TaskFilter()
            filter.limit = 10
            var seen: [TaskID] = []
            var sizes: [Int] = []
            repeat {
                let page = try await store.tasks(filter)
                seen += page.tasks.map(\.id)
                sizes.append(page.tasks.count)
                filter.before = page.next
            } while filter.before != nil
            #expect(seen == (try (1...25).reversed().map { try bench.id($0) }))
            #expect(sizes == [10, 10, 5])
        }
    }

    @Test("a list that ends with its page has no next one")
    func lastPage() async throws {
        try await StoreWorkbench.run { bench, store in
            _ = try await store.submit(try (1...10).map { try bench.request($0) })
            var filter = TaskFilter()
            filter.limit = 10
            #expect(try await store.tasks(filter).next == nil)
            filter.limit = 9
            #expect(try await store.tasks(filter).next != nil)
        }
    }

    @Test("a page of large tasks ends early and goes on where it ended")
    func largeTasks() async throws {
        try await StoreWorkbench.run({ $0.listPageBytes = 16_500 }) { bench, store in
            let params = #"{"a":""# + String(repeating: "x", count: 1_000) + #""}"#
            for number in 1...20 { try await bench.submit(store, try bench.request(number, params: params)) }
            var filter = TaskFilter()
            let first = try await store.tasks(filter)
            #expect(first.tasks.count == 16)
            filter.before = first.next
            let second = try await store.tasks(filter)
            #expect(second.tasks.map(\.id) == (try (1...4).reversed().map { try bench.id($0) }))
            #expect(second.next == nil)
        }
    }

    @Test("a list is of what is asked for, by status, type, pool and caller, alone and together")
    func filters() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.submit(store, try bench.request(1, type: "one") { $0.caller = "a" })
            try await bench.submit(store, try bench.request(2, type: "two", pool: "p") { $0.caller = "a" })
            try await bench.submit(store, try bench.request(3, type: "one", pool: "p") { $0.caller = "b" })
            try await bench.submit(store, try bench.request(4, type: "one", pool: "p"))
            _ = try await store.startAttempt(try bench.start(4))
            func list(_ change: (inout TaskFilter) throws -> Void) async throws -> [TaskID] {
                var filter = TaskFilter()
                try change(&filter)
                return try await store.tasks(filter).tasks.map(\.id)
            }
            func ids(_ numbers: Int...) throws -> [TaskID] { try numbers.map { try bench.id($0) } }
            #expect(try await list { $0.status = .queued } == ids(3, 2, 1))
            #expect(try await list { $0.type = try TaskType("one") } == ids(4, 3, 1))
            #expect(try await list { $0.pool = try PoolName("p") } == ids(4, 3, 2))
            #expect(try await list { $0.caller = "a" } == ids(2, 1))
            #expect(
                try await list {
                    $0.status = .running; $0.pool = try PoolName("p")
                } == ids(4)
            )
            #expect(
                try await list {
                    $0.caller = "b"; $0.type = try TaskType("two")
                }.isEmpty
            )
        }
    }

    @Test("an id is found by its beginning, in either case")
    func beginnings() async throws {
        try await StoreWorkbench.run { bench, store in
            for text in ["abcdef01-0000-4000-8000-000000000000", "abcdef02-0000-4000-8000-000000000000"] {
                try await bench.submit(store, try bench.request(1) { $0.id = (try? TaskID(text)) ?? $0.id })
            }
            #expect(try await store.tasks(beginning: "ABCDEF", limit: 2).count == 2)
            #expect(try await store.tasks(beginning: "abcdef", limit: 1).count == 1)
            let one = try await store.tasks(beginning: "abcdef02", limit: 2)
            #expect(one.map(\.text) == ["abcdef02-0000-4000-8000-000000000000"])
            #expect(try await store.tasks(beginning: "abcdef03", limit: 2).isEmpty)
        }
    }

    @Test("counts follow every way that a task can go")
    func counts() async throws {
        try await StoreWorkbench.run { bench, store in
            #expect(try await store.counts().isEmpty)
            for number in 1...6 { try await bench.run(store, number) }
            for (number, event) in [
                (1, TaskEvent.complete), (2, .fail), (3, .cancel), (4, .interrupt), (5, .retry),
            ] {
                _ = try await store.finish(try bench.finish(number, event))
            }
            #expect(
                try await store.counts() == [
                    .completed: 1, .failed: 1, .cancelled: 1, .interrupted: 1, .queued: 1, .running: 1,
                ]
            )
            try await bench.submit(store, try bench.request(2, pool: "other"))
            #expect(try await store.remove(try bench.id(1), discardingMessages: false) == .removed)
            #expect(try await store.counts() == [.cancelled: 1, .interrupted: 1, .queued: 2, .running: 1])
            #expect(try await store.queuedCounts() == [.default: 1, try PoolName("other"): 1])
        }
    }

    @Test("a task goes only when it is terminal, and takes its attempts and output with it")
    func removes() async throws {
        try await StoreWorkbench.run { bench, store in
            let id = try bench.id(1)
            #expect(try await store.remove(id, discardingMessages: false) == .notFound)
            try await bench.submit(store, try bench.request(1))
            #expect(try await store.remove(id, discardingMessages: false) == .notTerminal)
            _ = try await store.startAttempt(try bench.start(1))
            #expect(try await store.remove(id, discardingMessages: true) == .notTerminal)
            _ = try await store.append([try bench.chunk(1, at: 3, "abc")])
            _ = try await store.finish(try bench.finish(1, .complete))
            #expect(try await store.remove(id, discardingMessages: false) == .removed)
            #expect(try await store.task(id) == nil)
            #expect(try await store.spoolBytes() == 0)
            let left = try await store.read { db in
                try ["task", "input", "attempt", "chunk", "gap"].map { table in
                    try db.first("SELECT COUNT(*) FROM \(table)") { try $0.count() }
                }
            }
            #expect(left == [0, 0, 0, 0, 0])
            #expect(try await bench.submit(store, try bench.request(1)).task.run == 1)
        }
    }
}
