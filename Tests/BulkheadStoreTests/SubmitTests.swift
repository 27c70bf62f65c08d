import BulkheadCore
import BulkheadStore
import Testing

@Suite("Store: submit")
struct SubmitTests {
    @Test("a new id is queued and read back whole")
    func creates() async throws {
        try await StoreWorkbench.run { bench, store in
            let request = try bench.request(1, params: #"{"path":"/a","n":1.50}"#, pool: "media", priority: 7)
            {
                $0.metadata = .string("mine")
                $0.caller = "ci"
                $0.notBefore = bench.now + .seconds(60)
                $0.expiresAt = bench.now + .seconds(120)
            }
            guard case .queued(let task) = try await bench.submit(store, request) else {
                Issue.record("it was not queued")
                return
            }
            #expect(try await store.task(task.id) == task)
            #expect((task.status, task.run, task.attempt) == (.queued, 1, 0))
            #expect(
                (task.pool.name, task.type.name, task.priority, task.caller) == ("media", "checksum", 7, "ci")
            )
            #expect(task.params.text == #"{"path":"/a","n":1.50}"#)
            #expect(task.metadata == .string("mine"))
            #expect(task.submittedAt == bench.now)
            #expect(task.notBefore == bench.now + .seconds(60))
            #expect(task.expiresAt == bench.now + .seconds(120))
            #expect(try await store.task(try bench.id(2)) == nil)
        }
    }

    @Test("the same params in another spelling return the task as it is, and change nothing of it")
    func returnsExisting() async throws {
        try await StoreWorkbench.run { bench, store in
            let first = try await bench.submit(store, try bench.request(1, params: #"{"a":1,"b":[]}"#)).task
            let again = try bench.request(1, params: #"{"b":[], "a":1.0}"#, priority: 9) {
                $0.caller = "other"
            }
            #expect(try await bench.submit(store, again) == .existing(first))
            #expect(try await store.task(first.id) == first)
        }
    }

    @Test("another type or other params are refused with a conflict, in every state")
    func refuses() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            for event in [nil, TaskEvent.fail] {
                if let event { _ = try await store.finish(try bench.finish(1, event)) }
                for other in [try bench.request(1, params: #"{"a":2}"#), try bench.request(1, type: "other")]
                {
                    let error = try await #require(throws: BulkheadError.self) {
                        try await bench.submit(store, other)
                    }
                    #expect(error.code == .conflict)
                }
            }
            #expect(try await store.task(try bench.id(1))?.run == 1)
        }
    }

    @Test("a failed task is queued again with everything of the new submit, at the end of the queue")
    func runsAgain() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            try await bench.submit(store, try bench.request(2))
            var finish = try bench.finish(1, .fail)
            finish.error = TaskError(.exit, "it exited with 3", exitCode: 3)
            finish.deniedSyscalls = [DeniedSyscall(name: "ptrace", count: 2, action: "errno")]
            finish.warnings = ["odd"]
            finish.progress = TaskProgress(fraction: 0.5, message: "half")
            finish.usage = TaskUsage(wallSeconds: 1, cpuSeconds: 0.5, maxRSSBytes: 10)
            finish.retries = 2
            finish.lossesInRow = 1
            finish.interruptions = 4
            let failed = try #require(try await store.finish(finish)).task
            let later = bench.now + .seconds(10)
            let request = try bench.request(1, pool: "other", priority: 3, now: later) {
                $0.caller = "new"
                $0.metadata = .bool(true)
                $0.expiresAt = later + .seconds(9)
            }
            let task = try await bench.submit(store, request).task
            #expect((task.status, task.run, task.attempt, task.interruptions) == (.queued, 2, 1, 4))
            #expect((task.retries, task.lossesInRow, task.priority, task.caller) == (0, 0, 3, "new"))
            #expect((task.pool.name, task.metadata) == ("other", .bool(true)))
            #expect((task.submittedAt, task.expiresAt) == (later, later + .seconds(9)))
            #expect(
                task.completedAt == nil && task.startedAt == nil && task.error == nil && task.usage == nil
            )
            #expect(task.deniedSyscalls.isEmpty && task.warnings == Warnings() && task.progress == nil)
            #expect(task.sequence > failed.sequence)
            let second = try await store.task(try bench.id(2))
            #expect(task.sequence > (second?.sequence ?? .max))
        }
    }

    @Test("a completed task is not run again, a cancelled and an interrupted one are")
    func resubmitsByState() async throws {
        try await StoreWorkbench.run { bench, store in
            for (number, event) in [(1, TaskEvent.complete), (2, .cancel), (3, .interrupt)] {
                try await bench.run(store, number)
                _ = try await store.finish(try bench.finish(number, event))
            }
            #expect(try await bench.submit(store, try bench.request(1)).task.run == 1)
            #expect(try await bench.submit(store, try bench.request(2)).task.run == 2)
            #expect(try await bench.submit(store, try bench.request(3)).task.run == 2)
        }
    }

    @Test("a full queue refuses new work, and neither what is there already nor another pool")
    func queueLimit() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.submit(store, try bench.request(1, queueLimit: 1))
            let error = try await #require(throws: BulkheadError.self) {
                try await bench.submit(store, try bench.request(2, queueLimit: 1))
            }
            #expect(error.code == .queueFull)
            #expect(error.retryAfterSeconds != nil)
            #expect(try await store.task(try bench.id(2)) == nil)
            try await bench.submit(store, try bench.request(1, queueLimit: 1))
            try await bench.submit(store, try bench.request(3, pool: "other", queueLimit: 1))
            _ = try await store.startAttempt(try bench.start(1))
            try await bench.submit(store, try bench.request(2, queueLimit: 1))
        }
    }

    @Test("one bad task of a batch never costs the others, and an id that is twice in it runs once")
    func batch() async throws {
        try await StoreWorkbench.run { bench, store in
            let outcomes = try await store.submit([
                try bench.request(1), try bench.request(1, params: "[]"), try bench.request(1),
                try bench.request(2),
            ])
            let words = outcomes.map { outcome in
                switch outcome {
                case .success(.queued(let task)): "queued \(task.run)"
                case .success(.existing(let task)): "existing \(task.run)"
                case .failure(let error): error.code.rawValue
                }
            }
            #expect(words == ["queued 1", "conflict", "existing 1", "queued 1"])
        }
    }

    @Test("submits of one id from many callers at once yield one task and one run")
    func oneExecution() async throws {
        try await StoreWorkbench.run { bench, store in
            let request = try bench.request(1)
            func race() async throws -> Int {
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for _ in 0..<64 {
                        group.addTask {
                            guard case .queued = try await bench.submit(store, request) else { return false }
                            return true
                        }
                    }
                    return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
            }
            #expect(try await race() == 1)
            _ = try await store.startAttempt(try bench.start(1))
            _ = try await store.finish(try bench.finish(1, .fail))
            #expect(try await race() == 1)
            #expect(try await store.task(request.submission.id)?.run == 2)
            #expect(try await store.counts() == [.queued: 1])
        }
    }
}
