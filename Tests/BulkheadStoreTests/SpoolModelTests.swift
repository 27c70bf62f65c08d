import BulkheadCore
import SeededRandom
import Testing

@testable import BulkheadStore

/// The spool in the plainest form: what is kept, in the order of arrival, and how far each stream has come.
private struct SpoolModel {
    struct Stream: Hashable {
        var task: Int
        var attempt: Int
        var channel: OutputChannel
    }

    struct Kept {
        var stream: Stream
        var offset: Int64
        var bytes: [UInt8]
        var isAcknowledged = false
    }

    /// Bytes that output may have, with what finals and reservations leave of the cap.
    var room: Int64
    var kept: [Kept] = []
    var ends: [Stream: Int64] = [:]

    var bytes: Int64 { kept.reduce(0) { $0 + Int64($1.bytes.count) } }

    func bytes(of task: Int) -> Int64 {
        kept.reduce(0) { $0 + ($1.stream.task == task ? Int64($1.bytes.count) : 0) }
    }

    mutating func append(_ stream: Stream, at offset: Int64, _ bytes: [UInt8], limit: Int64) {
        let known = ends[stream] ?? 0
        let end = offset + Int64(bytes.count)
        guard end > known else { return }
        let new = bytes.suffix(Int(min(end - max(known, offset), limit, room)))
        ends[stream] = end
        if !new.isEmpty {
            kept.append(Kept(stream: stream, offset: end - Int64(new.count), bytes: Array(new)))
        }
        while self.bytes(of: stream.task) > limit { drop { $0.stream.task == stream.task } }
        makeRoom()
    }

    mutating func makeRoom() { while bytes > room { drop { _ in true } } }

    /// The oldest of what a controller has goes first, then the oldest.
    private mutating func drop(_ isMeant: (Kept) -> Bool) {
        let index = kept.firstIndex { isMeant($0) && $0.isAcknowledged } ?? kept.firstIndex(where: isMeant)
        if let index { kept.remove(at: index) }
    }

    mutating func forget(_ isGone: (Stream) -> Bool) {
        kept.removeAll { isGone($0.stream) }
        ends = ends.filter { !isGone($0.key) }
    }

    /// One stream, spelled as its pieces are: whatever is not kept is a gap, as large as it can be.
    func spelled(_ stream: Stream) -> [String] {
        var place: Int64 = 0
        var pieces: [OutputPiece] = []
        func add(_ content: OutputPiece.Content, at offset: Int64) {
            pieces.append(
                OutputPiece(
                    sequence: 0,
                    channel: stream.channel,
                    attempt: 0,
                    offset: offset,
                    content: content
                )
            )
        }
        for chunk in kept where chunk.stream == stream {
            if chunk.offset > place { add(.gap(chunk.offset - place), at: place) }
            add(.bytes(chunk.bytes), at: chunk.offset)
            place = chunk.offset + Int64(chunk.bytes.count)
        }
        let end = ends[stream] ?? 0
        if end > place { add(.gap(end - place), at: place) }
        return pieces.map(\.spelled)
    }
}

@Suite("Spool against a plain model")
struct SpoolModelTests {
    private static let tasks = 5
    private static let cap: Int64 = 2_000
    private static let reservation: Int64 = 30

    private struct Drive: ModelDrive {
        var bench: StoreWorkbench
        var store: Store
        var model: SpoolModel
        var random: SeededRandom
        var attempts = [Int](repeating: 1, count: SpoolModelTests.tasks)
        var steps = 0
        let limits: [Int64] = [40, 60, 1_000, 1_000, 0]

        mutating func step() async throws {
            let task = Int.random(in: 0..<SpoolModelTests.tasks, using: &random)
            switch Int.random(in: 0..<40, using: &random) {
            case 0: try await retry(task)
            case 1: try await putBack(task)
            case 2: try await replace(task)
            case 3: try await runAgain(task)
            case 4...8: try await acknowledge()
            default: try await append(task)
            }
            #expect(try await store.spoolBytes() == model.bytes)
            steps += 1
            // Each step of a short run, and so many of a long one that it comes to its end.
            guard steps.isMultiple(of: ModelRun.isLong ? 20 : 1) else { return }
            for (stream, end) in model.ends where stream.task == task && end > 0 { try await compare(stream) }
        }

        func check() async throws {
            for (stream, end) in model.ends where end > 0 { try await compare(stream) }
            let room = try await store.room()
            #expect(room.reserved == SpoolModelTests.reservation * Int64(SpoolModelTests.tasks))
            #expect(room.forOutput == model.room)
        }

        /// What the finals that nobody has acknowledged leave, beside the reservation of each task, which all run.
        private mutating func measureRoom() async throws {
            let finals = try await store.room().finals
            let reserved = SpoolModelTests.reservation * Int64(SpoolModelTests.tasks)
            model.room = max(SpoolModelTests.cap - finals - reserved, 0)
            model.makeRoom()
        }

        /// Acknowledges output and finals, of which some may be gone by now.
        private mutating func acknowledge() async throws {
            let messages = try await store.allMessages().filter { $0.kind == .output || $0.kind == .final }
            let some = (0..<3).compactMap { _ in messages.randomElement(using: &random) }
            for message in some {
                #expect(try await store.acknowledge([message.messageID], now: bench.now).unknown.isEmpty)
                guard case .output(let channel, let offset, _) = message.content else { continue }
                let index = model.kept.firstIndex {
                    $0.stream.channel == channel && $0.stream.attempt == message.attempt
                        && $0.offset == offset
                        && (try? bench.id($0.stream.task)) == message.task
                }
                model.kept[try #require(index)].isAcknowledged = true
            }
            try await measureRoom()
        }

        private mutating func append(_ task: Int) async throws {
            var chunks: [OutputChunk] = []
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let channel = OutputChannel.allCases.randomElement(using: &random) ?? .stdout
                let stream = SpoolModel.Stream(task: task, attempt: attempts[task], channel: channel)
                let known = model.ends[stream] ?? 0
                let jump = [0, 0, 0, 0, 0, 0, -7, -1, 1, 9].randomElement(using: &random) ?? 0
                let offset = max(known + Int64(jump), 0)
                let length = Int.random(in: 0...30, using: &random)
                // The same place always has the same byte, as with a piece that is delivered twice.
                let bytes = (0..<length).map { UInt8(97 + (offset + Int64($0)) % 26) }
                let text = String(decoding: bytes, as: UTF8.self)
                chunks.append(
                    try bench.chunk(
                        task,
                        attempt: attempts[task],
                        channel,
                        at: offset,
                        text,
                        limit: limits[task]
                    )
                )
                // One by one, so that the model needs no notion of an append of many pieces.
                let outcome = try await store.append([chunks[chunks.count - 1]])
                model.append(stream, at: offset, bytes, limit: limits[task])
                #expect(outcome.entries[0].end == model.ends[stream] ?? 0)
            }
            // All of it once more, as after a crash before the acknowledgement.
            _ = try await store.append(chunks)
        }

        private mutating func retry(_ task: Int) async throws {
            _ = try await store.finish(try bench.finish(task, attempt: attempts[task], .retry))
            _ = try await store.startAttempt(try bench.start(task, attempt: attempts[task]))
            attempts[task] += 1
        }

        private mutating func putBack(_ task: Int) async throws {
            let attempt = attempts[task]
            _ = try await store.putBack(try bench.id(task), attempt: attempt, waitingFor: "x")
            model.forget { $0.task == task && $0.attempt == attempt }
            _ = try await store.startAttempt(try bench.start(task, attempt: attempt - 1))
            try await measureRoom()
        }

        private mutating func replace(_ task: Int) async throws {
            try await end(task, .complete)
            #expect(try await store.remove(try bench.id(task), discardingMessages: true) == .removed)
            model.forget { $0.task == task }
            attempts[task] = 1
            try await bench.run(store, task)
            try await measureRoom()
        }

        private mutating func runAgain(_ task: Int) async throws {
            try await end(task, .fail)
            try await bench.submit(store, try bench.request(task))
            _ = try await store.startAttempt(try bench.start(task, attempt: attempts[task]))
            attempts[task] += 1
            try await measureRoom()
        }

        /// The final takes its room at once, at the cost of output, and the reservation is given back before.
        private mutating func end(_ task: Int, _ event: TaskEvent) async throws {
            // Finals without end would leave no room for another start.
            let finals = try await store.finals()
            if finals.count > 1 { _ = try await store.acknowledge(finals.map(\.messageID), now: bench.now) }
            _ = try await store.finish(try bench.finish(task, attempt: attempts[task], event))
            model.room = try await store.room().forOutput
            model.makeRoom()
        }

        private func compare(_ stream: SpoolModel.Stream) async throws {
            // Attempts that are not shown any more may be forgotten once nothing of them is kept.
            guard stream.attempt > attempts[stream.task] - Limits.attemptsShown else { return }
            var query = OutputQuery()
            query.channel = stream.channel
            query.attempt = stream.attempt
            let page = try await store.output(of: try bench.id(stream.task), query)
            #expect(page.pieces.map(\.spelled) == model.spelled(stream))
            query.channel = nil
            let both = try await store.output(of: try bench.id(stream.task), query).pieces
            #expect(both.filter { $0.channel == stream.channel } == page.pieces)
            #expect(both.map(\.sequence) == both.map(\.sequence).sorted())
        }
    }

    @Test("seeded random work leaves exactly what the model says", arguments: [UInt64](1...3))
    func random(seed: UInt64) async throws {
        let bench = try StoreWorkbench()
        var settings = StoreSettings(path: bench.path, spoolCap: Self.cap, outboxOn: true)
        settings.reservation = Self.reservation
        settings.terminalReserve = 0
        let store = try Store.open(settings)
        for task in 0..<Self.tasks { try await bench.run(store, task) }
        let drive = Drive(
            bench: bench,
            store: store,
            model: SpoolModel(room: Self.cap - Self.reservation * Int64(Self.tasks)),
            random: SeededRandom(seed: seed)
        )
        try await ModelRun.run(drive, steps: ModelRun.steps(1_200), checkingEvery: 50)
    }
}
