import BulkheadCore
import GRDB
import Testing

@testable import BulkheadStore

@Suite("Store: attempts")
struct AttemptTests {
    let mark = ProcessMark(pid: 77, startTime: .max - 5, bootID: "boot")

    @Test("a start raises the count of attempts and leaves a row with what holds it")
    func starts() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.submit(store, try bench.request(1))
            let task = try #require(try await store.startAttempt(try bench.start(1, launcher: mark)))
            #expect((task.status, task.attempt, task.startedAt) == (.running, 1, bench.now + .seconds(1)))
            #expect(try await store.recordProcess(task.id, attempt: 1, process: mark))
            let attempt = try #require(try await store.attempts(of: task.id, limit: 16).first)
            #expect((attempt.attempt, attempt.run, attempt.enforcement) == (1, 1, ["filter", "landlock 7"]))
            #expect((attempt.launcher, attempt.process) == (mark, mark))
            #expect(attempt.handler == String(repeating: "a", count: 64))
            #expect(attempt.completedAt == nil && attempt.outcome == nil)
            let running = try await store.runningAttempts(limit: 9)
            #expect(running.map(\.task) == [task])
            #expect(running.map(\.attempt) == [attempt])
        }
    }

    @Test("the tie to a running attempt's launcher is kept until its end, with how far its output has come")
    func ties() async throws {
        try await StoreWorkbench.run { bench, store in
            for number in 1...2 { try await bench.submit(store, try bench.request(number)) }
            let tie = LauncherTie(name: "0123456789abcdef", secret: Array(0..<32))
            var start = try bench.start(1, launcher: mark)
            start.tie = tie
            start.terms = .object(["scratch": .string("/s/1"), "dynamicUser": .integer(2_000_000_001)])
            _ = try await store.startAttempt(start)
            _ = try await store.startAttempt(try bench.start(2))
            _ = try await store.append([
                try bench.chunk(1, at: 0, "hello"), try bench.chunk(1, .stderr, at: 7, "!"),
            ])
            let ties = try await store.runningAttempts(limit: 9).map(\.tie)
            let first = AttemptTie(launcher: tie, terms: start.terms, stdoutEnd: 5, stderrEnd: 8)
            let second = AttemptTie(launcher: nil, terms: nil, stdoutEnd: 0, stderrEnd: 0)
            #expect(ties == [first, second])
            _ = try await store.finish(try bench.finish(1, .complete))
            #expect(try await store.runningAttempts(limit: 9).count == 1)
            let secrets = try await store.pool.read { db in
                try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM attempt WHERE launcherSecret IS NOT NULL")
            }
            #expect(secrets == 0, "a secret is kept no longer than it is of use")
        }
    }

    @Test("the attempts that run are read in pages, which end early where tasks are large")
    func runningPages() async throws {
        try await StoreWorkbench.run {
            $0.listPageBytes = 1_000
        } _: { bench, store in
            let large = #"{"text":"\#(String(repeating: "x", count: 900))"}"#
            for number in 1...5 {
                try await bench.submit(store, try bench.request(number, params: number == 4 ? "{}" : large))
                if number != 2 { _ = try await store.startAttempt(try bench.start(number)) }
            }
            var pages: [[TaskID]] = []
            var last: Int64 = 0
            while let page = try await store.runningAttempts(after: last, limit: 3).nonEmpty {
                pages.append(page.map(\.task.id))
                last = page[page.count - 1].task.sequence
            }
            #expect(pages == [[try bench.id(1), try bench.id(3)], [try bench.id(4), try bench.id(5)]])
        }
    }

    @Test("a stale start, process, report or end changes nothing")
    func stale() async throws {
        try await StoreWorkbench.run { bench, store in
            let id = try bench.id(1)
            #expect(try await store.startAttempt(try bench.start(1)) == nil)
            try await bench.submit(store, try bench.request(1))
            #expect(try await store.startAttempt(try bench.start(1, attempt: 1)) == nil)
            #expect(try await store.finish(try bench.finish(1, attempt: 0, .complete)) == nil)
            let waiting = try await store.task(id)
            #expect(waiting?.status == .queued)
            _ = try await store.startAttempt(try bench.start(1))
            let running = try await store.task(id)
            #expect(try await store.startAttempt(try bench.start(1)) == nil)
            #expect(try await store.startAttempt(try bench.start(1, attempt: 1)) == nil)
            #expect(try await !store.recordProcess(id, attempt: 2, process: mark))
            #expect(try await store.putBack(id, attempt: 2, waitingFor: "x") == nil)
            #expect(try await store.finish(try bench.finish(1, attempt: 2, .complete)) == nil)
            try await store.record(TaskProgress(fraction: 1, message: nil), id: id, attempt: 2)
            let error = TaskError(.expired, "too late")
            #expect(try await store.endQueued(id, event: .fail, error: error, now: bench.now) == nil)
            #expect(try await store.task(id) == running)
        }
    }

    @Test("an event that is not legal in a running task never writes", arguments: TaskEvent.allCases)
    func illegalEvents(event: TaskEvent) async throws {
        let legal: Set<TaskEvent> = [.complete, .fail, .retry, .cancel, .interrupt, .rehydrate]
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            let before = try await store.task(try bench.id(1))
            let outcome = try await store.finish(try bench.finish(1, event))
            let after = try await store.task(try bench.id(1))
            #expect((outcome != nil) == legal.contains(event))
            #expect((after == before) == !legal.contains(event))
            #expect(after?.status == (TaskStatus.running.after(event) ?? .running) || event == .putBack)
        }
    }

    @Test("a terminal run is immutable", arguments: [TaskEvent.complete, .fail, .cancel, .interrupt])
    func immutable(event: TaskEvent) async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            let id = try bench.id(1)
            let ended = try #require(try await store.finish(try bench.finish(1, event))).task
            #expect(ended.status.isTerminal && ended.completedAt == bench.now + .seconds(2))
            for other in TaskEvent.allCases {
                #expect(try await store.finish(try bench.finish(1, other)) == nil)
                let error = TaskError(.cancelled, "no")
                #expect(try await store.endQueued(id, event: other, error: error, now: bench.now) == nil)
            }
            #expect(try await store.startAttempt(try bench.start(1, attempt: 1)) == nil)
            #expect(try await store.requestCancel(id) == nil)
            #expect(try await store.putBack(id, attempt: 1, waitingFor: "x") == nil)
            #expect(try await !store.recordProcess(id, attempt: 1, process: mark))
            try await store.record(TaskProgress(fraction: 1, message: "late"), id: id, attempt: 1)
            let late = try await store.append([try bench.chunk(1, at: 0, "late")])
            #expect(late.entries[0].isStale)
            #expect(try await store.task(id) == ended)
        }
    }

    @Test("a task that is put back uses the same attempt number again and leaves no trace of the first try")
    func putBack() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            let id = try bench.id(1)
            _ = try await store.append([
                try bench.chunk(1, at: 0, "abc"), try bench.chunk(1, .stderr, at: 5, "de"),
            ])
            let task = try #require(
                try await store.putBack(
                    id,
                    attempt: 1,
                    waitingFor: "no descriptors are left"
                )
            )
            #expect((task.status, task.attempt) == (.queued, 0))
            #expect(task.startedAt == nil && task.output == OutputTotals())
            #expect(try await store.spoolBytes() == 0)
            #expect(try await store.attempts(of: id, limit: 16).isEmpty)
            #expect(try await store.waitingFor(id) == "no descriptors are left")
            #expect(try await store.queueHeads(.default, limit: 9).map(\.id) == [id])
            #expect(try await store.startAttempt(try bench.start(1))?.attempt == 1)
            #expect(try await store.waitingFor(id) == nil)
            #expect(try await store.output(of: id, OutputQuery()).pieces.isEmpty)
        }
    }

    @Test("a task put back before a retry shows when its last real attempt began")
    func putBackKeepsStart() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            _ = try await store.finish(try bench.finish(1, .retry))
            var second = try bench.start(1, attempt: 1)
            second.now = bench.now + .seconds(50)
            _ = try await store.startAttempt(second)
            let task = try await store.putBack(try bench.id(1), attempt: 2, waitingFor: "x")
            #expect(task?.attempt == 1)
            #expect(task?.startedAt == bench.now + .seconds(1))
        }
    }

    @Test("attempts beyond those that are shown are forgotten once no output of them is kept")
    func forgetsOldAttempts() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.submit(store, try bench.request(1))
            for attempt in 1...20 {
                _ = try await store.startAttempt(try bench.start(1, attempt: attempt - 1))
                // The second attempt's output stays, the third one's is gone at once.
                let limit: Int64 = attempt == 3 ? 0 : 100
                if attempt == 2 || attempt == 3 {
                    _ = try await store.append([
                        try bench.chunk(1, attempt: attempt, at: 0, "abc", limit: limit)
                    ])
                }
                _ = try await store.finish(try bench.finish(1, attempt: attempt, .retry))
            }
            let kept = try await store.attempts(of: try bench.id(1), limit: 100).map(\.attempt)
            #expect(kept == [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
            #expect(try await store.attempts(of: try bench.id(1), limit: 3).map(\.attempt) == [18, 19, 20])
            #expect(try await store.task(try bench.id(1))?.output.stdoutBytes == 6)
        }
    }

    @Test("a request to cancel stays with a task until its run ends")
    func cancelRequest() async throws {
        try await StoreWorkbench.run { bench, store in
            let id = try bench.id(1)
            try await bench.submit(store, try bench.request(1))
            #expect(try await store.requestCancel(id) == nil)
            _ = try await store.startAttempt(try bench.start(1))
            #expect(try await store.requestCancel(id)?.cancelRequested == true)
            let retried = try await store.finish(try bench.finish(1, .retry))
            #expect(retried?.task.cancelRequested == true)
            let error = TaskError(.cancelled, "cancelled while it was queued")
            let ended = try await store.endQueued(id, event: .cancel, error: error, now: bench.now)
            #expect((ended?.status, ended?.error, ended?.completedAt) == (.cancelled, error, bench.now))
        }
    }
}

extension Array {
    /// The array; nil where there is nothing in it.
    fileprivate var nonEmpty: Self? { isEmpty ? nil : self }
}
