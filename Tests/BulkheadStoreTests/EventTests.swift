import BulkheadCore
import GRDB
import Testing

@testable import BulkheadStore

@Suite("Events and snapshot")
struct EventTests {
    private func events(
        _ store: Store,
        of task: TaskID? = nil,
        after: Int64 = 0,
        limit: Int = .max
    ) async throws -> EventPage {
        try await store.events(of: task, after: after, limit: limit, bytes: .max)
    }

    private func spelled(_ page: EventPage) -> [String] {
        page.events.map { event in
            let what =
                switch event.content {
                case .status(let task): "\(task.run).\(task.attempt) \(task.status.rawValue)"
                case .progress(let progress, let attempt): "\(attempt) \(progress.message ?? "")"
                case .output(let piece): "\(piece.attempt) \(piece.spelled)"
                }
            return "\(event.task.text.suffix(1)): \(what)"
        }
    }

    @Test("events come in the order of what happened, and a task that changed twice is told once, as it is")
    func order() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            try await bench.submit(store, try bench.request(2))
            _ = try await store.append([try bench.chunk(1, at: 2, "abc")])
            let progress = TaskProgress(fraction: nil, message: "half")
            try await store.record(progress, id: try bench.id(1), attempt: 1)
            let before = try await events(store)
            #expect(
                spelled(before) == [
                    "1: 1.1 running", "2: 1.0 queued", "1: 1 stdout@0 gap 2", "1: 1 stdout@2 abc",
                    "1: 1 half",
                ]
            )
            #expect(!before.isEnd)
            _ = try await store.startAttempt(try bench.start(2))
            _ = try await store.finish(try bench.finish(1, .fail))
            try await bench.submit(store, try bench.request(1))
            let after = try await events(store, after: before.next)
            #expect(spelled(after) == ["2: 1.1 running", "1: 2.1 queued"])
            // Who had nothing learns where each stands; a report of an attempt that is over is none any more.
            #expect(
                spelled(try await events(store)) == [
                    "1: 1 stdout@0 gap 2", "1: 1 stdout@2 abc", "2: 1.1 running", "1: 2.1 queued",
                ]
            )
            #expect(
                try await events(store, after: after.next)
                    == EventPage(events: [], next: after.next, isEnd: false)
            )
        }
    }

    @Test("one task's events run through all its attempts, end with its run, and begin anywhere")
    func oneTask() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 2)
            try await bench.run(store, 1)
            for attempt in 1...3 {
                _ = try await store.append([
                    try bench.chunk(1, attempt: attempt, at: 1, "a\(attempt)"),
                    try bench.chunk(1, attempt: attempt, .stderr, at: 0, "b\(attempt)"),
                    try bench.chunk(2, at: Int64(attempt), "x"),
                ])
                guard attempt < 3 else { continue }
                _ = try await store.finish(try bench.finish(1, attempt: attempt, .retry))
                _ = try await store.startAttempt(try bench.start(1, attempt: attempt))
            }
            let id = try bench.id(1)
            let running = try await events(store, of: id)
            let outputs = (1...3).flatMap { attempt in
                [
                    "1: \(attempt) stdout@0 gap 1", "1: \(attempt) stdout@1 a\(attempt)",
                    "1: \(attempt) stderr@0 b\(attempt)",
                ]
            }
            #expect(spelled(running) == Array(outputs[..<6]) + ["1: 1.3 running"] + Array(outputs[6...]))
            for (index, event) in running.events.enumerated() {
                let rest = try await events(store, of: id, after: event.sequence)
                #expect(rest.events == Array(running.events[(index + 1)...]))
            }
            #expect(try await events(store, of: id, after: running.next).isEnd == false)
            _ = try await store.finish(try bench.finish(1, attempt: 3, .complete))
            let end = try await events(store, of: id, after: running.next)
            #expect(spelled(end) == ["1: 1.3 completed"] && !end.isEnd)
            #expect(try await events(store, of: id, after: end.next).isEnd)
            let pages = try await events(store, of: id, limit: 2)
            #expect(pages.events.count == 2 && pages.next == pages.events[1].sequence)
            let error = await #expect(throws: BulkheadError.self) {
                _ = try await events(store, of: try bench.id(9))
            }
            #expect(error?.code == .notFound)
        }
    }

    @Test("a snapshot tells what runs and waits, what is not acknowledged, and which output is kept")
    func snapshot() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            for number in 1...3 { try await bench.run(store, number) }
            for number in 4...6 { try await bench.submit(store, try bench.request(number)) }
            _ = try await store.append([
                try bench.chunk(1, at: 0, "abcd"), try bench.chunk(1, at: 6, "gh"),
                try bench.chunk(1, .stderr, at: 5, ""), try bench.chunk(2, at: 0, "xy"),
            ])
            for number in 2...3 { _ = try await store.finish(try bench.finish(number, .fail)) }
            let whole = try await store.snapshot(from: .beginning, limit: 10)
            #expect(whole.next.isEnd)
            #expect(whole.running.map(\.task) == [try bench.id(1)])
            #expect(whole.running[0].startedAt == bench.now + .seconds(1))
            #expect(
                whole.running[0].output == [
                    SpoolSnapshot.OutputRange(
                        attempt: 1,
                        channel: .stdout,
                        first: 0,
                        end: 8,
                        gaps: [SpoolSnapshot.Gap(offset: 4, bytes: 2)],
                        missingBytes: 2
                    ),
                    SpoolSnapshot.OutputRange(
                        attempt: 1,
                        channel: .stderr,
                        first: 5,
                        end: 5,
                        gaps: [SpoolSnapshot.Gap(offset: 0, bytes: 5)],
                        missingBytes: 5
                    ),
                ]
            )
            #expect(whole.queued == (try (4...6).map { try bench.id($0) }))
            let finals = try await store.finals()
            #expect(whole.finals.map(\.messageID) == finals.map(\.messageID))
            #expect(whole.finals.map(\.output.count) == [1, 0])
            #expect(whole.spoolBytes == 8)
            #expect(whole.pendingMessages == Int64(try await store.allMessages().count))
            let ledger = try await store.read(Ledger.read)
            #expect(whole.finalBytes == ledger.finalBytes && whole.sequence == ledger.sequence)
            // Page by page the same.
            var place = SpoolSnapshot.Place.beginning
            var (queued, names, running) = ([TaskID](), [String](), [TaskID]())
            var pages = 0
            while !place.isEnd {
                let page = try await store.snapshot(from: place, limit: 1)
                queued += page.queued
                names += page.finals.map(\.messageID)
                running += page.running.map(\.task)
                place = page.next
                pages += 1
            }
            #expect(queued == whole.queued && names == whole.finals.map(\.messageID))
            #expect(running == whole.running.map(\.task) && pages == 3)
            _ = try await store.acknowledge(names, now: bench.now)
            let later = try await store.snapshot(from: .beginning, limit: 10)
            #expect(later.finals.isEmpty && later.finalBytes == 0)
        }
    }

    @Test(
        "whoever waits is told of a commit that comes after the wait began, and the end of the store ends it"
    )
    func commits() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let store = try Store.open(StoreSettings(path: bench.path))
        let commits = store.commits()
        for number in 1...3 { try await bench.submit(store, try bench.request(number)) }
        var next = commits.makeAsyncIterator()
        #expect(await next.next() != nil)
        try await store.close()
        while await next.next() != nil {}
        var late = store.commits().makeAsyncIterator()
        #expect(await late.next() == nil)
    }
}
