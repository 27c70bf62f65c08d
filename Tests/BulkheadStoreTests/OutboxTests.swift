import BulkheadCore
import GRDB
import Testing

@testable import BulkheadStore

@Suite("Outbox")
struct OutboxTests {
    @Test("the final message of a run says all that its end says")
    func final() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.run(store, 1)
            _ = try await store.append([try bench.chunk(1, at: 1, "abc")])
            #expect(try await store.finals().isEmpty)
            var finish = try bench.finish(1, .fail)
            finish.result = try JSONParser.parse(#"{"a":[1,2.0]}"#)
            finish.error = TaskError(.exit, "it exited with 3", exitCode: 3)
            finish.usage = TaskUsage(wallSeconds: 1, cpuSeconds: 0.5, maxRSSBytes: 9)
            finish.deniedSyscalls = [DeniedSyscall(name: "ptrace", count: 1, action: "errno")]
            _ = try await store.finish(finish)
            let message = try #require(try await store.finals().first)
            #expect((message.kind, message.task, message.type.name) == (.final, try bench.id(1), "checksum"))
            #expect((message.run, message.attempt, message.at) == (1, 1, finish.now))
            let body = """
                {"status":"failed","result":{"a":[1,2.0]},"error":{"reason":"exit","message":"it exited with 3",\
                "exitCode":3},"deniedSyscalls":[{"name":"ptrace","count":1,"action":"errno"}],\
                "output":{"stdoutBytes":4,"stderrBytes":0,"droppedBytes":1},\
                "usage":{"wallSeconds":1.0,"cpuSeconds":0.5,"maxRSSBytes":9}}
                """
            #expect(JSONValue.object(message.body).text == body)
        }
    }

    @Test("with the outbox off nothing is kept for a controller")
    func off() async throws {
        try await StoreWorkbench.run { bench, store in
            try await bench.run(store, 1)
            _ = try await store.finish(try bench.finish(1, .complete))
            #expect(try await store.allMessages().isEmpty)
            #expect(try await store.remove(try bench.id(1), discardingMessages: false) == .removed)
        }
    }

    @Test("every way in which a run ends leaves one final, and a retry none")
    func everyEnd() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            for (number, event) in [(1, TaskEvent.complete), (2, .interrupt), (3, .retry)] {
                try await bench.run(store, number)
                _ = try await store.finish(try bench.finish(number, event))
            }
            try await bench.submit(store, try bench.request(4) { $0.expiresAt = bench.now })
            _ = try await store.expireDue(now: bench.now)
            let error = TaskError(.cancelled, "no")
            _ = try await store.endQueued(try bench.id(3), event: .cancel, error: error, now: bench.now)
            let messages = try await store.finals()
            #expect(messages.map(\.task) == (try [1, 2, 4, 3].map { try bench.id($0) }))
            let statuses = messages.map { $0.body["status"]?.string }
            #expect(statuses == ["completed", "interrupted", "failed", "cancelled"])
            let page = try await store.messages(after: messages[2].sequence - 1, limit: 1)
            #expect(page == OutboxPage(messages: [messages[2]], next: messages[2].sequence))
        }
    }

    @Test("a message's name is made of what it tells, and another run or another life of an id has another")
    func names() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            var names: [String] = []
            for attempt in 0...1 {
                try await bench.submit(store, try bench.request(1))
                _ = try await store.startAttempt(try bench.start(1, attempt: attempt))
                let row = try #require(
                    try await store.read { db in try TaskRow.fetch(db, id: try bench.id(1)) }
                )
                // The name is known before the message is, so telling it twice gives the same one.
                names.append(try await store.read { db in try Outbox.messageID(of: row, .final, db) })
                _ = try await store.finish(try bench.finish(1, attempt: attempt + 1, .interrupt))
            }
            #expect(try await store.finals().map(\.messageID) == names)
            #expect(try await store.remove(try bench.id(1), discardingMessages: true) == .removed)
            try await bench.run(store, 1)
            _ = try await store.finish(try bench.finish(1, .interrupt))
            names += try await store.finals().map(\.messageID)
            #expect(names.count == 3)
            #expect(Set(names).count == 3)
        }
    }

    @Test("acknowledging takes any order, any number of times, and names what it does not know")
    func acknowledges() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            for number in 1...3 {
                try await bench.run(store, number)
                _ = try await store.finish(try bench.finish(number, .complete))
            }
            let names = try await store.finals().map(\.messageID)
            let first = try await store.acknowledge([names[2], "nonsense", names[0]], now: bench.now)
            #expect(first == AcknowledgeOutcome(acknowledged: [names[2], names[0]], unknown: ["nonsense"]))
            #expect(try await store.finals().map(\.messageID) == [names[1]])
            let again = try await store.acknowledge([names[0]], now: bench.now)
            #expect(again == AcknowledgeOutcome(acknowledged: [names[0]], unknown: []))
            #expect(try await store.read(Ledger.read).finalBytes > 0)
            _ = try await store.acknowledge(names, now: bench.now)
            #expect(try await store.read(Ledger.read).finalBytes == 0)
        }
    }

    @Test("a task with a message that nobody acknowledged stays, unless its messages may go")
    func keepsTask() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            for number in 1...2 {
                try await bench.run(store, number)
                _ = try await store.finish(try bench.finish(number, .complete))
            }
            #expect(try await store.remove(try bench.id(1), discardingMessages: false) == .unacknowledged)
            #expect(try await store.remove(try bench.id(1), discardingMessages: true) == .removed)
            let names = try await store.allMessages().map(\.messageID)
            _ = try await store.acknowledge(names, now: bench.now)
            #expect(try await store.remove(try bench.id(2), discardingMessages: false) == .removed)
            #expect(try await store.read(Ledger.read).finalBytes == 0)
        }
    }

    @Test("finals take room from output, and give it back when they are acknowledged")
    func finalsTakeRoom() async throws {
        try await StoreWorkbench.run(spoolCap: 1_000, outboxOn: true) { bench, store in
            try await bench.run(store, 1)
            try await bench.run(store, 2)
            var finish = try bench.finish(1, .complete)
            finish.result = .string(String(repeating: "r", count: 600))
            _ = try await store.finish(finish)
            let finals = try await store.read(Ledger.read).finalBytes
            let text = String(repeating: "x", count: 1_000)
            let full = try await store.append([try bench.chunk(2, at: 0, text)])
            #expect(full.spoolBytes == 1_000 - finals)
            _ = try await store.acknowledge(
                try await store.finals().map(\.messageID),
                now: bench.now
            )
            let free = try await store.append([
                try bench.chunk(2, at: 1_000, String(repeating: "y", count: 900))
            ])
            #expect(free.spoolBytes == 900)
        }
    }

    @Test("the end of a run and its message are kept together or not at all")
    func oneTransaction() async throws {
        struct Refusal: Error {}
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.run(store, 1)
            let error = await #expect(throws: BulkheadError.self) {
                _ = try await store.writer.commit { db in
                    try db.run("UPDATE task SET status = 'failed', completedAt = 5")
                    try Outbox.appendFinal(db, of: try TaskRow.fetch(db, key: 1))
                    throw Refusal()
                }
            }
            #expect(error?.code == .internal)
            #expect(try await store.task(try bench.id(1))?.status == .running)
            #expect(try await store.finals().isEmpty)
            #expect(try await store.read(Ledger.read).finalBytes == 0)
        }
    }

    @Test("a final that cannot be written leaves the task running")
    func noFinalNoEnd() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.run(store, 1)
            let name = try await store.read { db in
                try Outbox.messageID(of: try TaskRow.fetch(db, key: 1), .final, db)
            }
            try await store.writer.commit { db in
                try db.run(
                    "INSERT INTO outbox VALUES (99, ?, 1, 'final', 1, 1, 0, '{}', 0, NULL)",
                    [name]
                )
            }
            await #expect(throws: BulkheadError.self) {
                _ = try await store.finish(try bench.finish(1, .complete))
            }
            #expect(try await store.task(try bench.id(1))?.status == .running)
        }
    }
}
