import BulkheadCore
import GRDB
import Testing

@testable import BulkheadStore

@Suite("Messages")
struct MessageTests {
    @Test("a task's messages tell what happened, in that order, and its final is the last of its run")
    func order() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.submit(store, try bench.request(1))
            _ = try await store.startAttempt(try bench.start(1))
            _ = try await store.append([
                try bench.chunk(1, at: 0, "one"), try bench.chunk(1, .stderr, at: 2, "two"),
            ])
            _ = try await store.finish(try bench.finish(1, .retry))
            _ = try await store.startAttempt(try bench.start(1, attempt: 1))
            _ = try await store.append([try bench.chunk(1, attempt: 2, at: 0, "three")])
            _ = try await store.finish(try bench.finish(1, attempt: 2, .fail))
            try await bench.submit(store, try bench.request(1))
            let told = try await store.allMessages()
            #expect(
                told.map(\.spelled) == [
                    "1.0 received", "1.1 started", "1.1 output stdout@0 one", "1.1 gap stderr@0 2",
                    "1.1 output stderr@2 two", "1.2 output stdout@0 three", "1.2 final failed",
                    "2.0 received",
                ]
            )
            #expect(told.map(\.sequence) == told.map(\.sequence).sorted())
            #expect(Set(told.map(\.messageID)).count == told.count)
            let seconds = told.map { ($0.at - bench.now).inSeconds }
            #expect(seconds == [0, 1, 1, 1, 1, 1, 2, 0])
        }
    }

    @Test("pages follow one another, and each ends where its bytes or its number is reached")
    func pages() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.run(store, 1)
            let large = String(repeating: "x", count: 3 << 20)
            for part in 0..<3 {
                _ = try await store.append([
                    try bench.chunk(1, at: Int64(part * large.count), large, limit: .max)
                ])
            }
            let all = try await store.allMessages()
            #expect(all.map(\.kind) == [.received, .started, .output, .output])
            let rest = try await store.messages(after: all[3].sequence, limit: 10)
            #expect(rest.messages.map(\.kind) == [.output] && rest.next > all[3].sequence)
            let none = try await store.messages(after: rest.next, limit: 10)
            #expect(none == OutboxPage(messages: [], next: rest.next))
            let first = try await store.messages(limit: 1)
            #expect(first.messages == [all[0]] && first.next == all[0].sequence)
        }
    }

    @Test("every kind is acknowledged by itself, in any order and twice, and nothing else with it")
    func acknowledges() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.run(store, 1)
            _ = try await store.append([try bench.chunk(1, at: 3, "abc")])
            _ = try await store.finish(try bench.finish(1, .complete))
            var rest = try await store.allMessages()
            #expect(rest.map(\.kind) == [.received, .started, .gap, .output, .final])
            for kind in [OutboxMessage.Kind.final, .gap, .received, .output, .started] {
                let index = try #require(rest.firstIndex { $0.kind == kind })
                let name = rest.remove(at: index).messageID
                for _ in 1...2 {
                    let outcome = try await store.acknowledge([name], now: bench.now)
                    #expect(outcome == AcknowledgeOutcome(acknowledged: [name], unknown: []))
                    #expect(try await store.allMessages() == rest)
                }
            }
        }
    }

    @Test(
        "a name of another run, another task, another database or another form is unknown and frees nothing"
    )
    func unknown() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.run(store, 1)
            _ = try await store.append([try bench.chunk(1, at: 3, "abc")])
            _ = try await store.finish(try bench.finish(1, .fail))
            let told = try await store.allMessages()
            var names = ["", ".", "....", "x", String(repeating: ".", count: 1_000), "\u{0}"]
            for id in told.map(\.messageID) {
                var parts = id.split(separator: ".").map(String.init)
                names += [id + ".", id + ".1", id.uppercased(), " " + id, "0" + id]
                for (index, change) in [
                    (0, "other"), (1, "other"), (2, "2"), (3, "2"), (3, "01"), (4, "end"),
                ] {
                    let before = parts[index]
                    parts[index] = index == 0 ? try bench.id(2).text : change
                    names.append(parts.joined(separator: "."))
                    parts[index] = before
                }
                guard parts.count > 5 else { continue }
                for (index, change) in [
                    (6, "2"), (7, "stdin"), (8, "3-7"), (8, "6-9"), (8, "3-3"), (8, "-1-3"),
                ] {
                    let before = parts[index]
                    parts[index] = change
                    names.append(parts.joined(separator: "."))
                    parts[index] = before
                }
            }
            let outcome = try await store.acknowledge(names, now: bench.now)
            #expect(outcome == AcknowledgeOutcome(acknowledged: [], unknown: names))
            #expect(try await store.allMessages() == told)
        }
    }

    @Test("the names and the rest are the same after the store is opened again")
    func reopens() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let settings = StoreSettings(path: bench.path, outboxOn: true)
        var store = try Store.open(settings)
        try await bench.run(store, 1)
        _ = try await store.append([try bench.chunk(1, at: 2, "abc")])
        _ = try await store.finish(try bench.finish(1, .interrupt))
        let told = try await store.allMessages()
        #expect(told.count == 5)
        try await store.close()
        store = try Store.open(settings)
        #expect(try await store.allMessages() == told)
        let some = [told[1], told[3]].map(\.messageID)
        _ = try await store.acknowledge(some, now: bench.now)
        try await store.close()
        store = try Store.open(settings)
        #expect(try await store.allMessages() == [told[0], told[2], told[4]])
        try await StoreWorkbench.audit(store)
        try await store.close()
    }

    @Test("the beginning of a run is still told, and can be acknowledged, when another one follows")
    func earlierRuns() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.run(store, 1)
            let names = try await store.allMessages().map(\.messageID)
            _ = try await store.acknowledge([names[0]], now: bench.now)
            _ = try await store.finish(try bench.finish(1, .fail))
            try await bench.submit(store, try bench.request(1))
            _ = try await store.startAttempt(try bench.start(1, attempt: 1))
            let told = try await store.allMessages()
            #expect(
                told.map(\.spelled) == ["1.1 started", "1.1 final failed", "2.0 received", "2.2 started"]
            )
            #expect(told[0].messageID == names[1])
            // What was acknowledged in an earlier run is known, and is not told again.
            let again = try await store.acknowledge([names[0], names[1]], now: bench.now)
            #expect(again == AcknowledgeOutcome(acknowledged: [names[0], names[1]], unknown: []))
            #expect(try await store.allMessages() == Array(told.dropFirst()))
        }
    }

    @Test("an id that has gone and comes again has other names, and those of before are unknown")
    func newLife() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            var names: [[String]] = []
            for _ in 1...2 {
                try await bench.run(store, 1)
                _ = try await store.append([try bench.chunk(1, at: 1, "abc")])
                _ = try await store.finish(try bench.finish(1, .complete))
                names.append(try await store.allMessages().map(\.messageID))
                guard names.count == 1 else { continue }
                #expect(try await store.remove(try bench.id(1), discardingMessages: false) == .unacknowledged)
                #expect(try await store.remove(try bench.id(1), discardingMessages: true) == .removed)
                #expect(try await store.allMessages().isEmpty)
            }
            #expect(Set(names[0]).isDisjoint(with: names[1]))
            let outcome = try await store.acknowledge(names[0], now: bench.now)
            #expect(outcome.unknown == names[0])
            #expect(try await store.allMessages().map(\.messageID) == names[1])
        }
    }

    @Test("a task stays as long as any message of it, of whatever kind, is not acknowledged")
    func keepsTask() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            for number in 1...5 {
                try await bench.run(store, number)
                _ = try await store.append([try bench.chunk(number, at: 1, "abc")])
                _ = try await store.finish(try bench.finish(number, .complete))
                let told = try await store.allMessages()
                #expect(told.count == 5)
                let kept = told[number - 1]
                _ = try await store.acknowledge(
                    told.map(\.messageID).filter { $0 != kept.messageID },
                    now: bench.now
                )
                let id = try bench.id(number)
                #expect(try await store.remove(id, discardingMessages: false) == .unacknowledged)
                _ = try await store.acknowledge([kept.messageID], now: bench.now)
                #expect(try await store.remove(id, discardingMessages: false) == .removed)
            }
        }
    }

    @Test("an attempt that is put back is no second beginning of its run")
    func putBack() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.run(store, 1)
            let told = try await store.allMessages()
            _ = try await store.putBack(try bench.id(1), attempt: 1, waitingFor: "memory")
            _ = try await store.startAttempt(try bench.start(1))
            #expect(try await store.allMessages() == told)
            _ = try await store.acknowledge(told.map(\.messageID), now: bench.now)
            _ = try await store.putBack(try bench.id(1), attempt: 1, waitingFor: "memory")
            _ = try await store.startAttempt(try bench.start(1))
            #expect(try await store.allMessages().isEmpty)
        }
    }

    @Test("what happens while the outbox is off is never told, and what was told before it still is")
    func switches() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        for (isOn, number) in [(true, 1), (false, 2), (true, 3)] {
            let store = try Store.open(StoreSettings(path: bench.path, outboxOn: isOn))
            if number > 1 {
                _ = try await store.append([try bench.chunk(number - 1, at: 1, "abc")])
                _ = try await store.finish(try bench.finish(number - 1, .fail))
            }
            try await bench.run(store, number)
            try await StoreWorkbench.audit(store)
            try await store.close()
        }
        let store = try Store.open(StoreSettings(path: bench.path, outboxOn: true))
        let told = try await store.allMessages().map { "\($0.task.text.suffix(1)): \($0.spelled)" }
        #expect(
            told == [
                "1: 1.0 received", "1: 1.1 started", "2: 1.1 gap stdout@0 1", "2: 1.1 output stdout@1 abc",
                "2: 1.1 final failed", "3: 1.0 received", "3: 1.1 started",
            ]
        )
        try await store.close()
    }
}
