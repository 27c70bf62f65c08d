import BulkheadCore
import Foundation
import GRDB
import SeededRandom
import Testing

@testable import BulkheadStore

/// What a controller must have been told, kept in the plainest form: byte by byte and message by message.
private struct ControllerModel {
    struct Stream: Hashable {
        var key: Int64
        var attempt: Int
        var channel: OutputChannel
    }

    /// Which message of a run as a whole.
    struct Milestone: Hashable {
        var key: Int64
        var run: Int
        var kind: OutboxMessage.Kind
    }

    /// How far each stream was written.
    var ends: [Stream: Int64] = [:]
    /// Bytes that the controller has, or knows to be gone.
    var known: [Stream: Set<Int64>] = [:]
    /// Names whose acknowledgement was answered.
    var acknowledgedNames: Set<String> = []
    /// What it is owed beside output.
    var owed: Set<Milestone> = []
    /// Everything that was ever told.
    var told: [String: OutboxMessage] = [:]

    mutating func forget(_ key: Int64) {
        ends = ends.filter { $0.key.key != key }
        known = known.filter { $0.key.key != key }
        owed = owed.filter { $0.key != key }
    }

    static func place(of message: OutboxMessage, _ name: MessageName) -> (Stream, Range<Int64>)? {
        guard let place = name.place else { return nil }
        let stream = Stream(key: name.key, attempt: place.attempt, channel: place.channel)
        return (stream, place.offset..<place.end)
    }
}

/// With `BULKHEAD_MODEL_STEPS` set to a number the work is that long.
@Suite("Outbox against a plain model")
struct OutboxModelTests {
    private static let tasks = 4
    private static let steps =
        ProcessInfo.processInfo.environment["BULKHEAD_MODEL_STEPS"].flatMap { Int($0) } ?? 500

    private struct Drive {
        let bench: StoreWorkbench
        let store: Store
        var model = ControllerModel()
        var random: SeededRandom
        var tasks: [(key: Int64, run: Int, attempt: Int)] = []

        mutating func step() async throws {
            let task = Int.random(in: 0..<tasks.count, using: &random)
            switch Int.random(in: 0..<20, using: &random) {
            case 0: try await retry(task)
            case 1: try await runAgain(task)
            case 2: try await replace(task)
            case 3...7: try await tell()
            case 8...11: try await acknowledge()
            default: try await append(task)
            }
        }

        mutating func begin(_ task: Int) async throws {
            try await bench.run(store, task)
            let row = try await store.read { [bench] db in try TaskRow.fetch(db, id: try bench.id(task)) }
            let key = try #require(row).key
            let beginning = (key: key, run: 1, attempt: 1)
            if task < tasks.count { tasks[task] = beginning } else { tasks.append(beginning) }
            for kind in [OutboxMessage.Kind.received, .started] { owe(task, kind) }
        }

        private mutating func owe(_ task: Int, _ kind: OutboxMessage.Kind) {
            model.owed.insert(
                ControllerModel.Milestone(key: tasks[task].key, run: tasks[task].run, kind: kind)
            )
        }

        private mutating func append(_ task: Int) async throws {
            let channel = OutputChannel.allCases.randomElement(using: &random) ?? .stdout
            let stream = ControllerModel.Stream(
                key: tasks[task].key,
                attempt: tasks[task].attempt,
                channel: channel
            )
            let known = model.ends[stream] ?? 0
            let offset = known + (Int.random(in: 0..<6, using: &random) == 0 ? 5 : 0)
            let length = Int64.random(in: 1...30, using: &random)
            let text = String(decoding: (offset..<offset + length).map(Self.byte), as: UTF8.self)
            _ = try await store.append([
                try bench.chunk(
                    task,
                    attempt: tasks[task].attempt,
                    channel,
                    at: offset,
                    text,
                    limit: task == 0 ? 40 : 1_000
                )
            ])
            model.ends[stream] = offset + length
        }

        /// The same place always has the same byte.
        private static func byte(_ offset: Int64) -> UInt8 { UInt8(97 + offset % 26) }

        private mutating func retry(_ task: Int) async throws {
            let attempt = tasks[task].attempt
            _ = try await store.finish(try bench.finish(task, attempt: attempt, .retry))
            _ = try await store.startAttempt(try bench.start(task, attempt: attempt))
            tasks[task].attempt += 1
        }

        private mutating func runAgain(_ task: Int) async throws {
            let attempt = tasks[task].attempt
            _ = try await store.finish(try bench.finish(task, attempt: attempt, .fail))
            owe(task, .final)
            do {
                try await bench.submit(store, try bench.request(task))
            } catch let error as BulkheadError where error.code == .noReserve {
                // Finals fill the spool: nothing is taken until the controller has acknowledged them.
                let finals = try await store.allMessages().filter { $0.kind == .final }
                for final in finals { note(final) }
                try await acknowledge(finals.map(\.messageID))
                try await bench.submit(store, try bench.request(task))
            }
            tasks[task].run += 1
            owe(task, .received)
            _ = try await store.startAttempt(try bench.start(task, attempt: attempt))
            tasks[task].attempt += 1
            owe(task, .started)
        }

        private mutating func replace(_ task: Int) async throws {
            let id = try bench.id(task)
            _ = try await store.finish(try bench.finish(task, attempt: tasks[task].attempt, .complete))
            owe(task, .final)
            #expect(try await store.remove(id, discardingMessages: false) == .unacknowledged)
            #expect(try await store.remove(id, discardingMessages: true) == .removed)
            model.forget(tasks[task].key)
            try await begin(task)
        }

        /// Reads a page, from the beginning or from somewhere, and sees that nothing in it is told wrongly.
        private mutating func tell() async throws {
            // A dictionary's own order is another one in each process.
            let sequences = model.told.values.map(\.sequence).sorted()
            let after = Bool.random(using: &random) ? 0 : sequences.randomElement(using: &random)
            let limit = Int.random(in: 1...20, using: &random)
            let page = try await store.messages(after: after ?? 0, limit: limit)
            #expect(page.messages.allSatisfy { $0.sequence > after ?? 0 } && page.messages.count <= limit)
            for message in page.messages { note(message) }
        }

        private mutating func note(_ message: OutboxMessage) {
            #expect(
                !model.acknowledgedNames.contains(message.messageID),
                "\(message.messageID) is told again"
            )
            #expect(
                model.told[message.messageID] ?? message == message,
                "\(message.messageID) tells two things"
            )
            model.told[message.messageID] = message
            guard case .output(_, let offset, let bytes) = message.content else { return }
            #expect(bytes == (offset..<offset + Int64(bytes.count)).map(Self.byte))
        }

        private mutating func acknowledge() async throws {
            let names = model.told.keys.sorted()
            guard !names.isEmpty else { return }
            let count = Int.random(in: 1...8, using: &random)
            try await acknowledge(
                (0..<count).map { _ in names[Int.random(in: 0..<names.count, using: &random)] }
            )
        }

        private mutating func acknowledge(_ some: [String]) async throws {
            let outcome = try await store.acknowledge(some, now: bench.now)
            #expect(outcome.acknowledged.count + outcome.unknown.count == some.count)
            let lives = Set(tasks.map(\.key))
            for id in outcome.unknown {
                let name = try #require(MessageName(id))
                // Gone with its task, or with an attempt that is no longer shown.
                let latest = tasks.first { $0.key == name.key }?.attempt ?? .max
                #expect(
                    name.place.map { $0.attempt <= latest - Limits.attemptsShown } ?? !lives.contains(
                        name.key
                    )
                )
            }
            for id in outcome.acknowledged {
                let name = try #require(MessageName(id))
                #expect(lives.contains(name.key))
                model.acknowledgedNames.insert(id)
                guard let message = model.told[id] else { continue }
                if let (stream, bytes) = ControllerModel.place(of: message, name) {
                    model.known[stream, default: []].formUnion(bytes)
                } else {
                    model.owed.remove(
                        ControllerModel.Milestone(key: name.key, run: name.run, kind: name.kind)
                    )
                }
            }
        }

        /// Sees that what is told now, with what the controller knows, is all that there was, and nothing twice.
        mutating func check() async throws {
            let all = try await store.allMessages()
            #expect(all.map(\.sequence) == Array(Set(all.map(\.sequence))).sorted())
            #expect(try await store.read(Ledger.read).pendingMessages == Int64(all.count))
            var covered = model.known
            var owed: Set<ControllerModel.Milestone> = []
            var ended: Set<ControllerModel.Milestone> = []
            for message in all {
                note(message)
                let name = try #require(MessageName(message.messageID))
                let final = ControllerModel.Milestone(key: name.key, run: name.run, kind: .final)
                #expect(!ended.contains(final), "\(message.messageID) comes behind its final")
                if message.kind == .final { ended.insert(final) }
                guard let (stream, bytes) = ControllerModel.place(of: message, name) else {
                    owed.insert(ControllerModel.Milestone(key: name.key, run: name.run, kind: name.kind))
                    continue
                }
                if message.kind == .output {
                    #expect(
                        covered[stream, default: []].isDisjoint(with: bytes),
                        "\(message.messageID) is told twice"
                    )
                }
                covered[stream, default: []].formUnion(bytes)
            }
            #expect(owed == model.owed)
            for (stream, end) in model.ends {
                #expect(covered[stream] == Set(0..<end), "\(stream) lacks something")
            }
        }
    }

    @Test(
        "seeded random work loses nothing, says nothing twice, and owes what the model owes",
        arguments: [UInt64](1...4)
    )
    func random(seed: UInt64) async throws {
        try await StoreWorkbench.run(spoolCap: 300 + 4 * 128, outboxOn: true) { bench, store in
            var drive = Drive(bench: bench, store: store, random: SeededRandom(seed: seed))
            for task in 0..<Self.tasks { try await drive.begin(task) }
            for step in 1...Self.steps {
                try await drive.step()
                if step % 20 == 0 { try await drive.check() }
                if step % 250 == 0 { try await StoreWorkbench.audit(store) }
            }
        }
    }
}
