import BulkheadCore
import BulkheadStore
import Testing

@Suite("Store: finish")
struct FinishTests {
    @Test("a completed task keeps result, progress, usage and warnings, and its attempt says how it ended")
    func completes() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            let id = try bench.id(1)
            try await store.record(TaskProgress(fraction: 0.25, message: "a quarter"), id: id, attempt: 1)
            #expect(try await store.task(id)?.progress == TaskProgress(fraction: 0.25, message: "a quarter"))
            var finish = try bench.finish(1, .complete)
            finish.result = try JSONParser.parse(#"{"sum":"x","n":[1,2.50]}"#)
            finish.usage = TaskUsage(wallSeconds: 1.25, cpuSeconds: 0.000_01, maxRSSBytes: 1 << 40)
            finish.warnings = ["first", "second"]
            let task = try #require(try await store.finish(finish)).task
            #expect(try await store.task(id) == task)
            #expect((task.status, task.result, task.usage) == (.completed, finish.result, finish.usage))
            #expect(task.warnings.kept == ["first", "second"])
            #expect(task.progress?.fraction == 0.25)
            #expect((task.completedAt, task.error) == (finish.now, nil))
            let attempt = try #require(try await store.attempts(of: id, limit: 1).first)
            #expect((attempt.outcome, attempt.completedAt, attempt.error) == ("completed", finish.now, nil))
        }
    }

    @Test("a loss of what somebody has asked to cancel is a cancel, and any other end holds")
    func cancelledLoss() async throws {
        try await StoreWorkbench.run { bench, store in
            for (number, event) in [TaskEvent.interrupt, .rehydrate, .complete].enumerated() {
                try await bench.run(store, number)
                #expect(try await store.requestCancel(try bench.id(number)) != nil)
                var finish = try bench.finish(number, event)
                finish.interruptions = 7
                if event != .complete { finish.errorIfCancelled = TaskError(.cancelled, "asked for") }
                let task = try #require(try await store.finish(finish)).task
                let attempt = try #require(try await store.attempts(of: task.id, limit: 1).first)
                if event == .complete {
                    #expect(
                        (task.status, attempt.outcome, task.interruptions) == (.completed, "completed", 7)
                    )
                } else {
                    #expect(
                        (task.status, attempt.outcome, task.interruptions) == (.cancelled, "cancelled", 0)
                    )
                    #expect(task.error == finish.errorIfCancelled)
                }
            }
        }
    }

    @Test("a retry waits until its moment, keeps its place, and drops the result of the attempt before")
    func retries() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            let before = try await store.task(try bench.id(1))
            var finish = try bench.finish(1, .retry)
            finish.error = TaskError(
                .signal,
                "SIGSEGV ended it",
                signal: "SIGSEGV",
                hint: "look there",
                retryable: true
            )
            finish.result = .bool(true)
            let steady = Timestamp(milliseconds: 77_000)
            finish.wait = RetryWait(.seconds(5), from: steady)
            finish.retries = 1
            let task = try #require(try await store.finish(finish)).task
            #expect((task.status, task.retries, task.run, task.attempt) == (.queued, 1, 1, 1))
            #expect((task.result, task.error, task.completedAt) == (nil, finish.error, nil))
            #expect(task.sequence == before?.sequence)
            #expect(try await store.attempts(of: task.id, limit: 1).first?.error == finish.error)
            #expect(try await store.queueHeads(.default, limit: 1).isEmpty)
            #expect(task.waitUntil == steady + .seconds(5) && task.notBefore == nil)
            #expect(try await store.nextWake() == NextWake(wait: task.waitUntil))
            // A wall clock that jumps a year wakes nothing.
            let nextYear = finish.now + .seconds(365 * 86_400)
            #expect(try await !store.wakeDue(date: nextYear, steady: steady + .seconds(4)))
            #expect(try await store.wakeDue(date: finish.now, steady: steady + .seconds(5)))
            #expect(try await !store.wakeDue(date: finish.now, steady: steady + .seconds(5)))
            #expect(try await store.queueHeads(.default, limit: 1).map(\.id) == [task.id])
            #expect(try await store.nextWake() == NextWake())
            #expect(try await store.task(task.id)?.waitUntil == nil)
        }
    }

    @Test(
        "a wait that a restart finds is never longer than when it began, whatever the clock says",
        arguments: [(before: -1, left: 300), (before: 0, left: 300), (before: 1, left: 0)]
    )
    func waitsAreClamped(before years: Int, left seconds: Int) async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            var finish = try bench.finish(1, .retry)
            finish.wait = RetryWait(.seconds(300), from: bench.now)
            _ = try await store.finish(finish)
            let restart = bench.now + .seconds(years * 365 * 86_400)
            try await store.clampWaits(now: restart)
            let end = try #require(try await store.task(try bench.id(1))?.waitUntil)
            #expect(max(end - restart, .zero) == .seconds(seconds))
            #expect(try await store.wakeDue(date: restart, steady: restart + .seconds(seconds)))
        }
    }

    @Test("a caller's notBefore outlives a retry, a rehydration and a launch that failed")
    func callersDate() async throws {
        try await StoreWorkbench.run { bench, store in
            let date = bench.now + .seconds(9)
            try await bench.submit(store, try bench.request(1) { $0.notBefore = date })
            #expect(try await store.wakeDue(date: date, steady: bench.now))
            _ = try await store.startAttempt(try bench.start(1))
            let queued = try await store.putBack(try bench.id(1), attempt: 1, waitingFor: "a launcher")
            #expect(queued?.notBefore == date)
            _ = try await store.startAttempt(try bench.start(1))
            var finish = try bench.finish(1, .retry)
            finish.wait = RetryWait(.seconds(5), from: bench.now)
            #expect(try await store.finish(finish)?.task.notBefore == date)
            // It has come once: the clock that is set back does not make it wait for it again.
            #expect(try await !store.wakeDue(date: bench.now, steady: bench.now))
            #expect(try await store.wakeDue(date: bench.now, steady: bench.now + .seconds(5)))
        }
    }

    @Test("a rehydrated task is ready at once, its run and retries as they were")
    func rehydrates() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            var finish = try bench.finish(1, .rehydrate)
            finish.interruptions = 1
            finish.lossesInRow = 1
            let task = try #require(try await store.finish(finish)).task
            #expect((task.run, task.interruptions, task.lossesInRow, task.retries) == (1, 1, 1, 0))
            #expect(try await store.queueHeads(.default, limit: 1).map(\.id) == [task.id])
            #expect(try await store.startAttempt(try bench.start(1, attempt: 1))?.attempt == 2)
        }
    }

    @Test("denied calls are added up over the run, by name and action")
    func deniedCalls() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            var finish = try bench.finish(1, .retry)
            finish.deniedSyscalls = [
                DeniedSyscall(name: "ptrace", count: 2, action: "errno"),
                DeniedSyscall(name: "mount", count: 1, action: "errno"),
            ]
            _ = try await store.finish(finish)
            _ = try await store.startAttempt(try bench.start(1, attempt: 1))
            finish = try bench.finish(1, attempt: 2, .fail)
            finish.deniedSyscalls = [
                DeniedSyscall(name: "ptrace", count: 5, action: "errno"),
                DeniedSyscall(name: "ptrace", count: 1, action: "kill"),
            ]
            #expect(
                try await store.finish(finish)?.task.deniedSyscalls == [
                    DeniedSyscall(name: "ptrace", count: 7, action: "errno"),
                    DeniedSyscall(name: "mount", count: 1, action: "errno"),
                    DeniedSyscall(name: "ptrace", count: 1, action: "kill"),
                ]
            )
        }
    }

    @Test("no more names of denied calls are kept than the limit, and a warning counts the rest")
    func deniedNamesAreBounded() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            var finish = try bench.finish(1, .fail)
            finish.deniedSyscalls = (0..<(Limits.deniedNames + 3)).map {
                DeniedSyscall(name: "call\($0)", count: 1, action: "errno")
            }
            let task = try #require(try await store.finish(finish)).task
            #expect(task.deniedSyscalls.count == Limits.deniedNames)
            #expect(task.warnings.kept == ["3 more names of denied system calls were not kept"])
        }
    }

    @Test("failures count for the pool in the transaction that ends the attempt, and a success clears them")
    func poolHealth() async throws {
        let rule = PoolBackoff(
            after: 2,
            within: .seconds(60),
            schedule: BackoffSchedule(delay: .seconds(4), maximum: .seconds(60), jitter: .none)
        )
        try await StoreWorkbench.run { bench, store in
            func end(
                _ number: Int,
                _ event: TaskEvent,
                _ effect: OutcomeRule.PoolEffect
            ) async throws -> PoolRecord {
                try await bench.run(store, number)
                var finish = try bench.finish(number, event)
                finish.verdict = PoolVerdict(
                    effect: effect,
                    ran: .seconds(1),
                    rule: rule,
                    random: 0,
                    now: finish.now
                )
                return try #require(try await store.finish(finish)).pool
            }
            #expect(try await end(1, .complete, .success) == PoolRecord(health: PoolHealth(), revision: 0))
            let first = try await end(2, .fail, .failure)
            #expect((first.health.failures, first.health.backoffUntil, first.revision) == (1, nil, 1))
            let cancelled = try await end(3, .cancel, .none)
            #expect(cancelled == first)
            let second = try await end(4, .fail, .failure)
            #expect((second.health.failures, second.revision) == (2, 2))
            #expect(second.health.backoffUntil == bench.now + .seconds(6))
            #expect(try await store.poolHealth() == [.default: second])
            let cleared = try await end(5, .complete, .success)
            #expect(cleared == PoolRecord(health: PoolHealth(), revision: 3))
            #expect(try await store.finish(try bench.finish(5, .complete)) == nil)
            #expect(try await store.poolHealth() == [.default: cleared])
        }
    }

    @Test("a pool's health that is saved is read back, and its revision tells each change")
    func savesHealth() async throws {
        try await StoreWorkbench.run { bench, store in
            var health = PoolHealth()
            health.failures = 4
            health.backoffs = 2
            health.backoffUntil = bench.now
            let pool = try PoolName("media")
            #expect(try await store.save(health, of: pool) == PoolRecord(health: health, revision: 1))
            #expect(try await store.save(health, of: pool).revision == 1)
            health.backoffUntil = nil
            #expect(try await store.save(health, of: pool).revision == 2)
            #expect(try await store.poolHealth() == [pool: PoolRecord(health: health, revision: 2)])
        }
    }
}
