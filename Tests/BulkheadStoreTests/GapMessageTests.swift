import BulkheadCore
import GRDB
import Testing

@testable import BulkheadStore

@Suite("Messages of gaps")
struct GapMessageTests {
    /// The output and gaps of the only task that a controller has not acknowledged.
    private func told(_ store: Store) async throws -> [OutboxMessage] {
        try await store.allMessages().filter { $0.kind == .output || $0.kind == .gap }
    }

    @Test("output that goes before it is acknowledged leaves a gap in its place, told to whoever reads on")
    func inPlace() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.run(store, 1)
            for offset in 0..<4 {
                _ = try await store.append([try bench.chunk(1, at: Int64(offset * 3), "abc", limit: 9)])
            }
            let messages = try await told(store)
            #expect(
                messages.map(\.spelled) == [
                    "1.1 gap stdout@0 3", "1.1 output stdout@3 abc", "1.1 output stdout@6 abc",
                    "1.1 output stdout@9 abc",
                ]
            )
            // Whoever has had the second piece learns of nothing but what lies behind it.
            _ = try await store.append([try bench.chunk(1, at: 12, "abcabc", limit: 9)])
            let behind = try await store.messages(after: messages[1].sequence, limit: 10).messages
            #expect(
                behind.map(\.spelled) == [
                    "1.1 gap stdout@0 9", "1.1 output stdout@9 abc", "1.1 output stdout@12 abcabc",
                ]
            )
        }
    }

    @Test("acknowledging a gap covers exactly the stretch that it told; what it has grown by is told anew")
    func grows() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.run(store, 1)
            _ = try await store.append([try bench.chunk(1, at: 0, "abc", limit: 3)])
            _ = try await store.append([try bench.chunk(1, at: 3, "def", limit: 3)])
            let small = try await told(store)[0]
            #expect(small.spelled == "1.1 gap stdout@0 3")
            _ = try await store.append([try bench.chunk(1, at: 6, "ghi", limit: 3)])
            let large = try await told(store)[0]
            #expect(large.spelled == "1.1 gap stdout@0 6" && large.messageID != small.messageID)
            #expect(try await store.acknowledge([small.messageID], now: bench.now).unknown.isEmpty)
            let rest = try await told(store)[0]
            #expect(rest.spelled == "1.1 gap stdout@3 3")
            #expect(![small.messageID, large.messageID].contains(rest.messageID))
            #expect(try await store.acknowledge([rest.messageID], now: bench.now).unknown.isEmpty)
            #expect(try await told(store).map(\.spelled) == ["1.1 output stdout@6 ghi"])
            // All three tell of what is gone and known to be gone.
            let names = [small, large, rest].map(\.messageID)
            #expect(try await store.acknowledge(names, now: bench.now).acknowledged == names)
        }
    }

    @Test(
        "output that was told and goes before it is acknowledged can be acknowledged still, and is no gap then"
    )
    func lateAcknowledgement() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.run(store, 1)
            _ = try await store.append([try bench.chunk(1, at: 0, "abc", limit: 3)])
            let had = try await told(store)[0]
            for offset in [3, 6] {
                _ = try await store.append([try bench.chunk(1, at: Int64(offset), "def", limit: 3)])
            }
            #expect(try await told(store)[0].spelled == "1.1 gap stdout@0 6")
            #expect(try await store.acknowledge([had.messageID], now: bench.now).unknown.isEmpty)
            #expect(
                try await told(store).map(\.spelled) == ["1.1 gap stdout@3 3", "1.1 output stdout@6 def"]
            )
            // A reader of the output sees one gap all the same.
            let page = try await store.output(of: try bench.id(1), OutputQuery())
            #expect(page.pieces.map(\.spelled) == ["stdout@0 gap 6", "stdout@6 def"])
        }
    }

    @Test("output that was acknowledged leaves no gap to be told")
    func acknowledgedOutput() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.run(store, 1)
            _ = try await store.append([try bench.chunk(1, at: 0, "abc", limit: 3)])
            let name = try await told(store)[0].messageID
            _ = try await store.acknowledge([name], now: bench.now)
            _ = try await store.append([try bench.chunk(1, at: 3, "def", limit: 3)])
            #expect(try await told(store).map(\.spelled) == ["1.1 output stdout@3 def"])
            #expect(try await store.acknowledge([name], now: bench.now).acknowledged == [name])
        }
    }

    @Test(
        "what a gap owes shrinks from its ends, and stays whole for an acknowledgement in its middle",
        arguments: [
            (0..<10, Range<Int64>?.none), (0..<4, 4..<10), (6..<10, 0..<6), (3..<6, 0..<10),
            (10..<12, 0..<10),
            (-3..<0, 0..<10),
        ] as [(Range<Int64>, Range<Int64>?)]
    )
    func shrinks(acknowledged: Range<Int64>, rest: Range<Int64>?) {
        let stream = Extent.Stream(task: 1, attempt: 1, channel: .stdout)
        let gap = Extent(arrival: 1, stream: stream, offset: 0, length: 10, owed: 0..<10)
        #expect(gap.owed(after: acknowledged) == rest)
    }

    @Test("an attempt that is no longer shown stays known as long as a gap of it is owed")
    func oldAttempts() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.submit(store, try bench.request(1))
            for attempt in 1...Limits.attemptsShown + 3 {
                _ = try await store.startAttempt(try bench.start(1, attempt: attempt - 1))
                if attempt == 1 { _ = try await store.append([try bench.chunk(1, at: 5, "")]) }
                _ = try await store.finish(try bench.finish(1, attempt: attempt, .retry))
            }
            let gap = try await told(store)
            #expect(gap.map(\.spelled) == ["1.1 gap stdout@0 5"])
            #expect(
                try await store.attempts(of: try bench.id(1), limit: 100).count == Limits.attemptsShown + 1
            )
            _ = try await store.acknowledge(gap.map(\.messageID), now: bench.now)
            _ = try await store.startAttempt(try bench.start(1, attempt: Limits.attemptsShown + 3))
            #expect(try await store.attempts(of: try bench.id(1), limit: 100).count == Limits.attemptsShown)
        }
    }
}
