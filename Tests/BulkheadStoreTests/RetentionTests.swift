import BulkheadCore
import Foundation
import GRDB
import Testing

@testable import BulkheadStore

@Suite("Retention")
struct RetentionTests {
    /// Tasks with a little output, ended in this order, one second after another.
    private func fill(_ bench: StoreWorkbench, _ store: Store, _ numbers: ClosedRange<Int>) async throws {
        for number in numbers {
            try await bench.run(store, number)
            _ = try await store.append([try bench.chunk(number, at: 0, "line \(number)\n")])
            var finish = try bench.finish(number, number.isMultiple(of: 2) ? .fail : .complete)
            finish.now = bench.now + .seconds(number)
            _ = try await store.finish(finish)
        }
    }

    /// Runs a sweep to its end.
    private func sweep(_ store: Store, _ sweep: Sweep, dryRun: Bool = false) async throws -> (Int, Int) {
        var place: PruneCursor?
        var removed = 0
        var unacknowledged = 0
        repeat {
            let step = try await store.step(sweep, from: place, dryRun: dryRun)
            removed += step.removed.count
            unacknowledged += step.unacknowledged
            place = step.next
        } while place != nil
        return (removed, unacknowledged)
    }

    private func kept(_ store: Store) async throws -> [String] {
        try await store.tasks(TaskFilter()).tasks.map { String($0.id.text.suffix(2)) }.sorted()
    }

    /// Writes the log into the main file, whose size then is what it is on the disk.
    private func writeBack(_ store: Store) async throws {
        try await store.pool.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
    }

    private func fileBytes(_ bench: StoreWorkbench) throws -> Int {
        try Data(contentsOf: URL(filePath: bench.path)).count
    }

    @Test("tasks go whose end is longer ago than they are kept, and no others")
    func byAge() async throws {
        try await StoreWorkbench.run { bench, store in
            try await fill(bench, store, 1...6)
            try await bench.submit(store, try bench.request(7))
            try await bench.run(store, 8)
            let removed = try await sweep(store, Sweep(endedBefore: bench.now + .seconds(4)))
            #expect(removed == (3, 0))
            #expect(try await kept(store) == ["04", "05", "06", "07", "08"])
            #expect(try await sweep(store, Sweep(endedBefore: bench.now + .seconds(4))) == (0, 0))
            #expect(try await sweep(store, Sweep(endedBefore: bench.now + .seconds(9_999))) == (3, 0))
            #expect(try await kept(store) == ["07", "08"])
            #expect(try await store.spoolBytes() == 0)
        }
    }

    @Test("the oldest beyond the number that is kept go; what waits or runs is not counted")
    func byNumber() async throws {
        try await StoreWorkbench.run { bench, store in
            try await fill(bench, store, 1...6)
            try await bench.run(store, 7)
            #expect(try await sweep(store, Sweep(atMost: 6)) == (0, 0))
            #expect(try await sweep(store, Sweep(atMost: 4), dryRun: true) == (2, 0))
            #expect(try await sweep(store, Sweep(atMost: 4)) == (2, 0))
            #expect(try await kept(store) == ["03", "04", "05", "06", "07"])
        }
    }

    @Test("a task that is queued again is kept, and counts from its new end")
    func runAgain() async throws {
        try await StoreWorkbench.run { bench, store in
            try await fill(bench, store, 1...2)
            try await bench.submit(store, try bench.request(2))
            #expect(try await sweep(store, Sweep(endedBefore: bench.now + .seconds(9_999))) == (1, 0))
            #expect(try await kept(store) == ["02"])
            _ = try await store.startAttempt(try bench.start(2, attempt: 1))
            var finish = try bench.finish(2, attempt: 2, .complete)
            finish.now = bench.now + .seconds(50)
            _ = try await store.finish(finish)
            #expect(try await sweep(store, Sweep(endedBefore: bench.now + .seconds(50))) == (0, 0))
            #expect(try await sweep(store, Sweep(endedBefore: bench.now + .seconds(51))) == (1, 0))
        }
    }

    @Test(
        "with the outbox on, a task with a message that nobody acknowledged stays, and takes nobody's place"
    )
    func unacknowledged() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await fill(bench, store, 1...5)
            let finals = try await store.finals()
            let open = finals.filter { ["01", "03"].contains($0.task.text.suffix(2)) }.map(\.task)
            let messages = try await store.allMessages()
            _ = try await store.acknowledge(
                messages.filter { !open.contains($0.task) }.map(\.messageID),
                now: bench.now
            )
            // Beyond the latest two are 1, 2 and 3, of which only 2 may go; 4 is not beyond.
            #expect(try await sweep(store, Sweep(atMost: 2), dryRun: true) == (1, 2))
            #expect(try await sweep(store, Sweep(atMost: 2)) == (1, 2))
            #expect(try await kept(store) == ["01", "03", "04", "05"])
            #expect(try await sweep(store, Sweep(endedBefore: bench.now + .seconds(99))) == (2, 2))
            #expect(try await kept(store) == ["01", "03"])
            _ = try await store.acknowledge(messages.map(\.messageID), now: bench.now)
            #expect(try await sweep(store, Sweep(endedBefore: bench.now + .seconds(99))) == (2, 0))
        }
    }

    @Test("with the outbox off again, messages keep nothing")
    func outboxOffAgain() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        let first = try Store.open(StoreSettings(path: bench.path, outboxOn: true))
        try await fill(bench, first, 1...2)
        try await first.close()
        let second = try Store.open(StoreSettings(path: bench.path))
        #expect(try await sweep(second, Sweep(endedBefore: bench.now + .seconds(99))) == (2, 0))
        try await StoreWorkbench.audit(second)
        try await second.close()
    }

    @Test("only tasks of a type go, where one is named, and a dry run takes nothing")
    func byType() async throws {
        try await StoreWorkbench.run { bench, store in
            try await fill(bench, store, 1...3)
            try await bench.submit(store, try bench.request(4, type: "thumbnail"))
            _ = try await store.startAttempt(try bench.start(4))
            _ = try await store.finish(try bench.finish(4, .complete))
            let rule = Sweep(endedBefore: bench.now + .seconds(99), type: try TaskType("thumbnail"))
            #expect(try await sweep(store, rule, dryRun: true) == (1, 0))
            #expect(try await kept(store).count == 4)
            #expect(try await sweep(store, rule) == (1, 0))
            #expect(try await kept(store) == ["01", "02", "03"])
        }
    }

    @Test("a step is small, and what was queued again between looking and taking stays")
    func steps() async throws {
        try await StoreWorkbench.run { bench, store in
            try await fill(bench, store, 1...(Store.sweepTasks + 10))
            let rule = Sweep(endedBefore: bench.now + .seconds(9_999))
            let counted = try await store.step(rule, from: nil, dryRun: true)
            #expect(counted.removed.count == Store.sweepTasks && counted.next != nil)
            let first = try await store.step(rule, from: nil)
            #expect(first.removed == counted.removed)
            let second = try await store.step(rule, from: first.next)
            #expect(second.removed.count == 10 && second.next == nil)
        }
    }

    @Test("many that ended in the same millisecond are each looked at once")
    func ties() async throws {
        try await StoreWorkbench.run { bench, store in
            for number in 1...(Store.sweepTasks * 2 + 5) {
                try await bench.run(store, number)
                _ = try await store.finish(try bench.finish(number, .complete))
            }
            let rule = Sweep(endedBefore: bench.now + .seconds(99))
            let all = Store.sweepTasks * 2 + 5
            #expect(try await sweep(store, rule, dryRun: true) == (all, 0))
            #expect(try await sweep(store, Sweep(atMost: 3), dryRun: true) == (all - 3, 0))
            #expect(try await sweep(store, Sweep(atMost: 3)) == (all - 3, 0))
            #expect(try await sweep(store, rule) == (3, 0))
        }
    }

    @Test("the order of ends comes from its index, without sorting")
    func plan() async throws {
        try await StoreWorkbench.run { _, store in
            let plan = try await store.read { db in
                try Row.fetchAll(
                    db,
                    sql: "EXPLAIN QUERY PLAN " + SweepFinder.inOrderOfTheirEnd,
                    arguments: [0, 0, 0]
                ).map { (row: Row) -> String in row["detail"] }
            }
            #expect(plan.count == 1 && plan[0].contains("task_ended (completedAt>?)"), "\(plan)")
        }
    }

    @Test(
        "pages that have become free go back to the file system in small steps, but for those that are kept"
    )
    func pages() async throws {
        try await StoreWorkbench.run({ $0.checkpointPages = 50 }) { bench, store in
            let params = "{\"text\":\"\(String(repeating: "x", count: 40_000))\"}"
            for number in 1...100 {
                try await bench.submit(store, try bench.request(number, params: params))
                _ = try await store.startAttempt(try bench.start(number))
                _ = try await store.finish(try bench.finish(number, .complete))
            }
            try await writeBack(store)
            let full = try fileBytes(bench)
            _ = try await sweep(store, Sweep(endedBefore: bench.now + .seconds(99)))
            var steps = 1
            while try await store.giveBackPages() { steps += 1 }
            #expect(steps > 2)
            try await writeBack(store)
            let kept = FreePages.kept * Checkpointer.pageBytes
            #expect(full > 4_000_000)
            #expect(try fileBytes(bench) < kept + 400_000)
            #expect(try fileBytes(bench) > kept)
            let again = try await store.giveBackPages()
            #expect(!again)
        }
    }
}
