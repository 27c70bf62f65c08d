import BulkheadCore
import Foundation
import GRDB
import Testing

@testable import BulkheadStore

@Suite("Spool")
struct SpoolTests {
    private func spelled(
        _ store: Store,
        _ id: TaskID,
        _ query: OutputQuery = OutputQuery()
    ) async throws -> [String] {
        try await store.output(of: id, query).pieces.map(\.spelled)
    }

    @Test("both streams come back in the order of arrival, each with its own offsets")
    func order() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            let outcome = try await store.append([
                try bench.chunk(1, at: 0, "ab"), try bench.chunk(1, .stderr, at: 0, "E"),
                try bench.chunk(1, at: 2, "cd"),
            ])
            #expect(outcome.entries.map(\.end) == [4, 1, 4])
            #expect(outcome.entries.map(\.attemptBytes) == [5, 5, 5])
            #expect(outcome.spoolBytes == 5)
            let page = try await store.output(of: try bench.id(1), OutputQuery())
            #expect(page.pieces.map(\.spelled) == ["stdout@0 ab", "stderr@0 E", "stdout@2 cd"])
            #expect(page.attempt == 1 && !page.isEnd)
            _ = try await store.finish(try bench.finish(1, .complete))
            #expect(try await store.output(of: try bench.id(1), OutputQuery()).isEnd)
        }
    }

    @Test("bytes that are no text come back as they were")
    func binary() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            let bytes = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            var chunk = try bench.chunk(1, at: 0, "")
            chunk.bytes = bytes
            _ = try await store.append([chunk])
            let page = try await store.output(of: try bench.id(1), OutputQuery())
            #expect(page.pieces.map(\.content) == [.bytes(bytes)])
        }
    }

    @Test("what a stream has already is not stored twice")
    func idempotent() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            _ = try await store.append([try bench.chunk(1, at: 0, "abcd")])
            let outcome = try await store.append([
                try bench.chunk(1, at: 0, "abcd"), try bench.chunk(1, at: 1, "bc"),
                try bench.chunk(1, at: 2, "cdef"),
                try bench.chunk(1, at: 6, ""),
            ])
            #expect(outcome.entries.map(\.end) == [6, 6, 6, 6])
            #expect(try await spelled(store, try bench.id(1)) == ["stdout@0 abcd", "stdout@4 ef"])
            #expect(try await store.task(try bench.id(1))?.output.stdoutBytes == 6)
        }
    }

    @Test("a jump in the offset becomes a gap of exactly that size, also at the end")
    func jumps() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            _ = try await store.append([
                try bench.chunk(1, at: 5, "ab"), try bench.chunk(1, at: 10, ""),
                try bench.chunk(1, at: 12, ""),
            ])
            #expect(
                try await spelled(store, try bench.id(1)) == [
                    "stdout@0 gap 5", "stdout@5 ab", "stdout@7 gap 5",
                ]
            )
            let totals = try #require(try await store.task(try bench.id(1))).output
            #expect((totals.stdoutBytes, totals.droppedBytes) == (12, 10))
        }
    }

    @Test("an offset that cannot be is an error, and nothing of the call is stored")
    func impossibleOffsets() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            for offset in [-1, Int64.max] {
                let error = try await #require(throws: BulkheadError.self) {
                    _ = try await store.append([
                        try bench.chunk(1, at: 0, "a"), try bench.chunk(1, at: offset, "b"),
                    ])
                }
                #expect(error.code == .internal)
            }
            #expect(try await store.spoolBytes() == 0)
        }
    }

    @Test("the oldest output of all goes first when the cap is reached, and adjacent gaps are one")
    func rotates() async throws {
        try await StoreWorkbench.run(spoolCap: 10) { bench, store in
            try await bench.run(store, 1)
            try await bench.run(store, 2)
            _ = try await store.append([try bench.chunk(1, at: 0, "aaaa"), try bench.chunk(2, at: 0, "bbbb")])
            _ = try await store.append([try bench.chunk(1, at: 4, "cccc")])
            #expect(try await spelled(store, try bench.id(1)) == ["stdout@0 gap 4", "stdout@4 cccc"])
            let outcome = try await store.append([try bench.chunk(1, at: 8, "ddddddd")])
            #expect(outcome.spoolBytes == 7)
            #expect(outcome.entries[0].totals.droppedBytes == 8)
            #expect(try await spelled(store, try bench.id(1)) == ["stdout@0 gap 8", "stdout@8 ddddddd"])
            #expect(try await spelled(store, try bench.id(2)) == ["stdout@0 gap 4"])
            #expect(try await store.task(try bench.id(2))?.status == .running)
        }
    }

    @Test("a task over its own limit pays with its own output, the others keep theirs")
    func taskPaysFirst() async throws {
        try await StoreWorkbench.run(spoolCap: 10) { bench, store in
            try await bench.run(store, 1)
            try await bench.run(store, 2)
            _ = try await store.append([try bench.chunk(1, at: 0, "old")])
            for offset in stride(from: Int64(0), to: 40, by: 2) {
                _ = try await store.append([try bench.chunk(2, at: offset, "xy", limit: 6)])
            }
            #expect(try await spelled(store, try bench.id(1)) == ["stdout@0 old"])
            let flood = ["stdout@0 gap 34", "stdout@34 xy", "stdout@36 xy", "stdout@38 xy"]
            #expect(try await spelled(store, try bench.id(2)) == flood)
        }
    }

    @Test("a piece larger than the limit keeps its newest bytes")
    func largePiece() async throws {
        try await StoreWorkbench.run(spoolCap: 100) { bench, store in
            try await bench.run(store, 1)
            _ = try await store.append([try bench.chunk(1, at: 0, "0123456789", limit: 4)])
            #expect(try await spelled(store, try bench.id(1)) == ["stdout@0 gap 6", "stdout@6 6789"])
            _ = try await store.append([try bench.chunk(1, at: 10, "ab", limit: 0)])
            #expect(try await spelled(store, try bench.id(1)) == ["stdout@0 gap 12"])
        }
    }

    @Test("one stream is read from any offset on, pieces and gaps cut where they begin before it")
    func offsets() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            _ = try await store.append([
                try bench.chunk(1, at: 2, "abc"), try bench.chunk(1, .stderr, at: 0, "E"),
                try bench.chunk(1, at: 5, "def"),
            ])
            let expected: [Int64: [String]] = [
                0: ["stdout@0 gap 2", "stdout@2 abc", "stdout@5 def"],
                1: ["stdout@1 gap 1", "stdout@2 abc", "stdout@5 def"],
                2: ["stdout@2 abc", "stdout@5 def"], 4: ["stdout@4 c", "stdout@5 def"], 7: ["stdout@7 f"],
                8: [],
                99: [],
            ]
            for (offset, pieces) in expected {
                var query = OutputQuery()
                query.channel = .stdout
                query.offset = offset
                #expect(try await spelled(store, try bench.id(1), query) == pieces)
            }
        }
    }

    @Test("a page ends near its limit, and the next one goes on behind its last piece")
    func pages() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            for index in 0..<10 {
                _ = try await store.append([try bench.chunk(1, at: Int64(index * 4), "abcd")])
            }
            _ = try await store.finish(try bench.finish(1, .complete))
            var query = OutputQuery()
            query.limit = 7
            var ends: [Bool] = []
            var offsets: [Int64] = []
            repeat {
                let page = try await store.output(of: try bench.id(1), query)
                #expect(page.pieces.count == 2)
                offsets += page.pieces.map(\.offset)
                query.after = page.pieces.last?.sequence
                ends.append(page.isEnd)
            } while ends.last == false && ends.count < 10
            #expect(offsets == (0..<10).map { $0 * 4 })
            #expect(ends == [false, false, false, false, true])
        }
    }

    @Test("output is read of the attempt that is asked for, by default of the latest")
    func attempts() async throws {
        try await StoreWorkbench.run { bench, store in
            let id = try bench.id(1)
            await #expect(throws: BulkheadError.self) { _ = try await store.output(of: id, OutputQuery()) }
            try await bench.submit(store, try bench.request(1))
            #expect(
                try await store.output(of: id, OutputQuery())
                    == OutputPage(attempt: 0, pieces: [], isEnd: false)
            )
            _ = try await store.startAttempt(try bench.start(1))
            _ = try await store.append([try bench.chunk(1, at: 0, "one")])
            _ = try await store.finish(try bench.finish(1, .fail))
            try await bench.submit(store, try bench.request(1))
            _ = try await store.startAttempt(try bench.start(1, attempt: 1))
            _ = try await store.append([try bench.chunk(1, attempt: 2, at: 0, "two")])
            #expect(try await spelled(store, id) == ["stdout@0 two"])
            var query = OutputQuery()
            query.attempt = 1
            let first = try await store.output(of: id, query)
            #expect(first.pieces.map(\.spelled) == ["stdout@0 one"])
            #expect(first.isEnd)
            query.attempt = 3
            let error = try await #require(throws: BulkheadError.self) {
                _ = try await store.output(of: id, query)
            }
            #expect(error.code == .notFound)
        }
    }

    @Test("what a controller has goes first, whoever's it is and however new")
    func acknowledgedFirst() async throws {
        try await StoreWorkbench.run(spoolCap: 12) { bench, store in
            for number in 1...2 { try await bench.run(store, number) }
            _ = try await store.append([
                try bench.chunk(1, at: 0, "old!"), try bench.chunk(2, at: 0, "have"),
                try bench.chunk(2, at: 4, "new!"),
            ])
            try await store.writer.commit { db in
                let arrival = try Int64.fetchOne(
                    db,
                    sql: "SELECT arrival FROM chunk WHERE data = ?",
                    arguments: [Data("have".utf8)]
                )
                #expect(try Spool.acknowledgeChunk(db, arrival: arrival ?? 0))
                #expect(try !Spool.acknowledgeChunk(db, arrival: 999))
            }
            _ = try await store.append([try bench.chunk(1, at: 4, "more")])
            #expect(try await spelled(store, try bench.id(1)) == ["stdout@0 old!", "stdout@4 more"])
            #expect(try await spelled(store, try bench.id(2)) == ["stdout@0 gap 4", "stdout@4 new!"])
            // Over its own limit a task gives what a controller has of it before what is older.
            try await store.writer.commit { db in
                try db.execute(
                    sql: "UPDATE chunk SET acknowledged = 1 WHERE data = ?",
                    arguments: [Data("more".utf8)]
                )
            }
            _ = try await store.append([try bench.chunk(1, at: 8, "last", limit: 8)])
            #expect(
                try await spelled(store, try bench.id(1))
                    == ["stdout@0 old!", "stdout@4 gap 4", "stdout@8 last"]
            )
        }
    }

    @Test("tiny pieces are bounded in number too, and what goes for that is said as exactly")
    func chunkBound() async throws {
        #expect(StoreSettings(path: "").chunkBound == 1 << 20)
        try await StoreWorkbench.run(spoolCap: 6_400, { $0.freeChunks = 10 }) { bench, store in
            try await bench.run(store, 1)
            for start in stride(from: 0, to: 140, by: 20) {
                _ = try await store.append(
                    try (start..<(start + 20)).map { try bench.chunk(1, at: Int64($0), "x") }
                )
            }
            let totals = try #require(try await store.task(try bench.id(1))).output
            #expect((totals.stdoutBytes, totals.droppedBytes) == (140, 40))
            var query = OutputQuery()
            query.limit = 1
            #expect(try await spelled(store, try bench.id(1), query) == ["stdout@0 gap 40", "stdout@40 x"])
        }
    }
}
