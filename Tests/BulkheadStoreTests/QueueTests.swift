import BulkheadCore
import GRDB
import Testing

@testable import BulkheadStore

@Suite("Store: queue")
struct QueueTests {
    @Test("heads come by priority, then age, of one pool and ready ones only")
    func heads() async throws {
        try await StoreWorkbench.run { bench, store in
            for (number, priority) in [(1, 0), (2, 5), (3, 0), (4, 5)] {
                try await bench.submit(store, try bench.request(number, priority: priority))
            }
            try await bench.submit(store, try bench.request(5, pool: "other", priority: 9))
            try await bench.submit(
                store,
                try bench.request(6, priority: 9) { $0.notBefore = bench.now + .seconds(1) }
            )
            let heads = try await store.queueHeads(.default, limit: 9)
            #expect(heads.map(\.id) == [try bench.id(2), try bench.id(4), try bench.id(1), try bench.id(3)])
            #expect(heads.map(\.priority) == [5, 5, 0, 0])
            let rest = try await store.queueHeads(
                .default,
                limit: 2,
                excluding: [try bench.id(2), try bench.id(4)]
            )
            #expect(rest.map(\.id) == [try bench.id(1), try bench.id(3)])
            #expect(Set(try await store.poolsWithReadyTasks()) == [.default, try PoolName("other")])
            _ = try await store.startAttempt(try bench.start(5))
            #expect(try await store.poolsWithReadyTasks() == [.default])
            #expect(try await store.queuedCounts() == [.default: 5])
        }
    }

    @Test("a place in the queue counts what goes before, and only a ready task has one")
    func position() async throws {
        try await StoreWorkbench.run { bench, store in
            for (number, priority) in [(1, 0), (2, 5), (3, 0)] {
                try await bench.submit(store, try bench.request(number, priority: priority))
            }
            try await bench.submit(store, try bench.request(4) { $0.notBefore = bench.now + .seconds(9) })
            var places: [Int?] = []
            for number in 1...4 {
                let task = try #require(try await store.task(try bench.id(number)))
                places.append(try await store.queuePosition(of: task))
            }
            #expect(places == [1, 0, 2, nil])
            let second = try #require(try await store.startAttempt(try bench.start(2)))
            #expect(try await store.queuePosition(of: second) == nil)
            let third = try #require(try await store.task(try bench.id(3)))
            #expect(try await store.queuePosition(of: third) == 1)
        }
    }

    @Test("a place far back is not counted out")
    func positionIsBounded() async throws {
        try await StoreWorkbench.run { bench, store in
            let count = Store.queuePositionBound + 2
            try await bench.submit(store, try bench.request(1))
            try await store.writer.commit { db in
                try db.run(
                    """
                    WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                    INSERT INTO task (key, sequence, id, type, pool, status, ready, priority, submittedAt)
                    SELECT i, i, printf('00000000-0000-4000-8000-%012d', i), type, pool, status, 1, 0, 0
                    FROM n, task WHERE task.key = 1
                    """,
                    [count]
                )
                try db.run("INSERT INTO input SELECT key, '{}', NULL FROM task WHERE key > 1")
            }
            func place(_ number: Int) async throws -> Int? {
                try await store.queuePosition(of: try #require(try await store.task(try bench.id(number))))
            }
            #expect(try await place(count - 1) == Store.queuePositionBound)
            #expect(try await place(count) == nil)
        }
    }

    @Test("what expires while it waits fails with the reason, what runs does not")
    func expires() async throws {
        try await StoreWorkbench.run { bench, store in
            let moment = bench.now + .seconds(10)
            for number in 1...3 {
                try await bench.submit(
                    store,
                    try bench.request(number) { $0.expiresAt = moment + .seconds(number) }
                )
            }
            _ = try await store.startAttempt(try bench.start(1))
            #expect(try await store.nextWake() == NextWake(date: moment + .seconds(2)))
            #expect(try await store.expireDue(now: moment + .seconds(1)).isEmpty)
            let expired = try await store.expireDue(now: moment + .seconds(2))
            #expect(expired.map(\.id) == [try bench.id(2)])
            #expect(expired.map(\.error?.reason) == [.expired])
            #expect(expired.map(\.completedAt) == [moment + .seconds(2)])
            #expect(try await store.counts() == [.running: 1, .failed: 1, .queued: 1])
            #expect(try await store.expireDue(now: moment + .seconds(2)).isEmpty)
        }
    }

    @Test("a sweep takes bounded steps and says that there is more")
    func sweepsInSteps() async throws {
        try await StoreWorkbench.run { bench, store in
            let count = Store.sweepStep + 1
            _ = try await store.submit(
                try (1...count).map { number in
                    try bench.request(number) {
                        $0.notBefore = bench.now + .seconds(1)
                        $0.expiresAt = bench.now + .seconds(2)
                    }
                }
            )
            #expect(try await store.wakeDue(date: bench.now + .seconds(1), steady: bench.now))
            #expect(try await store.queueHeads(.default, limit: 1_000).count == Store.sweepStep)
            #expect(try await store.wakeDue(date: bench.now + .seconds(1), steady: bench.now))
            #expect(try await !store.wakeDue(date: bench.now + .seconds(1), steady: bench.now))
            #expect(try await store.expireDue(now: bench.now + .seconds(2)).count == Store.sweepStep)
            #expect(try await store.expireDue(now: bench.now + .seconds(2)).count == 1)
            #expect(try await store.counts() == [.failed: count])
        }
    }

    @Test("no statement of the queue, of the spool or of a list goes through a whole table or sorts")
    func plans() async throws {
        let lists: [(inout TaskFilter) throws -> Void] = [
            { _ in }, { $0.status = .failed }, { $0.type = try TaskType("checksum") }, { $0.pool = .default },
            { $0.caller = "ci" }, { $0.before = 5 },
            {
                $0.status = .queued; $0.caller = "ci"; $0.before = 5
            },
        ]
        var statements = [
            Store.heads, Store.nextDates, Store.nextWait, Store.wakeByDate, Store.wakeByWait, Store.ahead,
            Store.expired, Store.readyPools, Spool.oldest,
            Spool.oldestOfTask, Spool.gapsAround, OutputReader.both, OutputReader.one,
            OutboxReader.received, OutboxReader.started, OutboxReader.output, OutboxReader.gaps,
            OutboxReader.kept, Outbox.pendingOfTask, Outbox.gapAround,
        ]
        for change in lists {
            var filter = TaskFilter()
            try change(&filter)
            statements.append(Store.list(filter, limit: 10).sql)
        }
        try await StoreWorkbench.run { _, store in
            for statement in statements {
                let steps = try await store.read { [statement] db in
                    let marks = [Int64?](repeating: nil, count: statement.count { $0 == "?" })
                    return try db.rows("EXPLAIN QUERY PLAN " + statement, StatementArguments(marks)) {
                        columns in
                        _ = try (columns.integer(), columns.integer(), columns.integer())
                        return try columns.text()
                    }
                }
                #expect(!steps.isEmpty)
                for step in steps {
                    #expect(!step.contains("TEMP B-TREE"), "\(statement): \(step)")
                    let walks =
                        step.hasPrefix("SCAN") && !step.contains("INDEX") && !step.contains("CONSTANT")
                    // Walking a table in the order of its key, or the few rows of pools, is what is meant there.
                    let isMeant =
                        statement == Spool.oldest || step == "SCAN tally" || step.hasPrefix("SCAN (")
                    #expect(!walks || isMeant, "\(statement): \(step)")
                }
            }
        }
    }
}
