import BulkheadCore
import GRDB
import Testing

@testable import BulkheadStore

@Suite("Reservations")
struct ReservationTests {
    /// A spool of 1,000 bytes, of which each running attempt reserves 200 and submits leave 300.
    private static func small(_ settings: inout StoreSettings) {
        settings.reservation = 200
        settings.terminalReserve = 300
    }

    private func reserved(_ store: Store) async throws -> Int64 { try await store.room().reserved }

    private func final(_ store: Store) async throws -> OutboxMessage? {
        try await store.messages(limit: 100).messages.first { $0.kind == .final }
    }

    @Test("a beginning reserves, and every way in which an attempt can end gives back")
    func balance() async throws {
        try await StoreWorkbench.run(spoolCap: 1_000, Self.small) { bench, store in
            for event in [TaskEvent.complete, .fail, .cancel, .interrupt, .retry, .rehydrate] {
                try await bench.run(store, 1)
                #expect(try await reserved(store) == 200)
                _ = try await store.finish(try bench.finish(1, event))
                #expect(try await reserved(store) == 0, "\(event)")
                if event == .retry || event == .rehydrate {
                    let error = TaskError(.cancelled, "enough")
                    _ = try await store.endQueued(
                        try bench.id(1),
                        event: .cancel,
                        error: error,
                        now: bench.now
                    )
                }
                #expect(try await store.remove(try bench.id(1), discardingMessages: false) == .removed)
            }
            try await bench.run(store, 2)
            _ = try await store.putBack(try bench.id(2), attempt: 1, waitingFor: "a launcher")
            #expect(try await reserved(store) == 0)
            try await StoreWorkbench.audit(store)
        }
    }

    @Test("an attempt whose final has no room does not begin, says why, and begins once there is room")
    func start() async throws {
        try await StoreWorkbench.run(spoolCap: 1_000, outboxOn: true, Self.small) { bench, store in
            for number in 1...6 { try await bench.submit(store, try bench.request(number)) }
            for number in 1...5 { _ = try await store.startAttempt(try bench.start(number)) }
            let error = await #expect(throws: BulkheadError.self) {
                _ = try await store.startAttempt(try bench.start(6))
            }
            #expect(error?.code == .noReserve)
            #expect(
                error?.message.contains("room for its result in the spool (200B of 0B; of its 1000B, 0B")
                    == true
            )
            #expect(try await store.task(try bench.id(6))?.status == .queued)
            #expect(try await store.room().startsThatFit == 0)
            var grew = store.roomGrew.makeAsyncIterator()
            _ = try await store.finish(try bench.finish(1, .complete))
            await grew.next()
            // The final of the first holds a little of what its reservation held.
            #expect(try await store.room().startsThatFit == 0)
            let message = try #require(try await final(store))
            _ = try await store.acknowledge([message.messageID], now: bench.now)
            await grew.next()
            #expect(try await store.startAttempt(try bench.start(6))?.status == .running)
        }
    }

    @Test("submits are refused while less than the reserve is left, tasks that are there are still answered")
    func submits() async throws {
        try await StoreWorkbench.run(spoolCap: 1_000, outboxOn: true, Self.small) { bench, store in
            for number in 1...4 { try await bench.submit(store, try bench.request(number)) }
            for number in 1...3 { _ = try await store.startAttempt(try bench.start(number)) }
            try await bench.submit(store, try bench.request(5))
            _ = try await store.startAttempt(try bench.start(4))
            let error = await #expect(throws: BulkheadError.self) {
                try await bench.submit(store, try bench.request(6))
            }
            #expect(error?.code == .noReserve && error?.retryAfterSeconds != nil)
            #expect(
                error?.message
                    == "the spool has 200B left for results, less than the terminal reserve of 300B"
            )
            #expect(
                error?.cause == """
                    of its 1000B, 0B are held by results that no controller has acknowledged, 800B by tasks that run
                    """
            )
            guard case .existing = try await bench.submit(store, try bench.request(5)) else {
                Issue.record("a task that is there is not answered")
                return
            }
            var finish = try bench.finish(1, .fail)
            finish.result = .string(String(repeating: "r", count: 60))
            _ = try await store.finish(finish)
            // A new run is a new final.
            await #expect(throws: BulkheadError.self) { try await bench.submit(store, try bench.request(1)) }
            let message = try #require(try await final(store))
            _ = try await store.acknowledge([message.messageID], now: bench.now)
            try await bench.submit(store, try bench.request(1))
        }
    }

    @Test("queued tasks need no reservation, however many there are")
    func queued() async throws {
        try await StoreWorkbench.run(spoolCap: 1_000, outboxOn: true, Self.small) { bench, store in
            let outcomes = try await store.submit(try (1...1_000).map { try bench.request($0) })
            #expect(outcomes.allSatisfy { (try? $0.get()) != nil })
        }
    }

    @Test("output makes room for reservations, and for finals nobody has acknowledged")
    func outputMakesRoom() async throws {
        try await StoreWorkbench.run(spoolCap: 1_000, outboxOn: true, Self.small) { bench, store in
            try await bench.run(store, 1)
            for offset in stride(from: 0, to: 1_000, by: 100) {
                let text = String(repeating: "x", count: 100)
                _ = try await store.append([try bench.chunk(1, at: Int64(offset), text)])
            }
            #expect(try await store.spoolBytes() == 800)
            for number in 2...5 { try await bench.submit(store, try bench.request(number)) }
            _ = try await store.startAttempt(try bench.start(2))
            #expect(try await store.spoolBytes() == 600)
            _ = try await store.startAttempt(try bench.start(3))
            #expect(try await store.spoolBytes() == 400)
            // A final is smaller than what was reserved for it, so nothing more goes when it is written.
            _ = try await store.finish(try bench.finish(2, .complete))
            let room = try await store.room()
            #expect(room.finals > 0 && room.finals < 200 && room.reserved == 400)
            #expect(try await store.spoolBytes() == 400)
            #expect(try await store.task(try bench.id(1))?.output.droppedBytes == 600)
        }
    }

    @Test("a task that ends in its queue finds room for its final, or stays there")
    func queuedEnd() async throws {
        try await StoreWorkbench.run(spoolCap: 1_000, outboxOn: true, Self.small) { bench, store in
            for number in 1...5 { try await bench.submit(store, try bench.request(number)) }
            try await bench.submit(store, try bench.request(6) { $0.expiresAt = bench.now + .seconds(1) })
            for number in 1...5 { _ = try await store.startAttempt(try bench.start(number)) }
            let cancelled = TaskError(.cancelled, "cancelled while it was queued")
            let error = await #expect(throws: BulkheadError.self) {
                _ = try await store.endQueued(
                    try bench.id(6),
                    event: .cancel,
                    error: cancelled,
                    now: bench.now
                )
            }
            #expect(error?.code == .noReserve && error?.retryAfterSeconds != nil)
            #expect(try await store.expireDue(now: bench.now + .seconds(2)) == [])
            #expect(try await store.task(try bench.id(6))?.status == .queued)
            _ = try await store.putBack(try bench.id(1), attempt: 1, waitingFor: "")
            _ = try await store.putBack(try bench.id(2), attempt: 1, waitingFor: "")
            #expect(try await store.expireDue(now: bench.now + .seconds(2)).map(\.id) == [try bench.id(6)])
        }
    }

    @Test("running attempts keep their reservations over a restart, and a wrong count is put right and said")
    func restart() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        var settings = StoreSettings(path: bench.path, spoolCap: 1_000)
        Self.small(&settings)
        let first = try Store.open(settings)
        #expect(first.correction == nil)
        for number in 1...2 { try await bench.run(first, number) }
        _ = try await first.append([try bench.chunk(1, at: 0, String(repeating: "x", count: 600))])
        try await first.close()
        // A larger limit of results means larger reservations, and less output.
        settings.reservation = 300
        let second = try Store.open(settings)
        #expect(second.correction == nil)
        #expect(try await reserved(second) == 600)
        #expect(try await second.spoolBytes() == 0)
        try await second.writer.commit { db in try db.execute(sql: "UPDATE ledger SET reservedBytes = 77") }
        try await second.close()
        let third = try Store.open(settings)
        #expect(third.correction?.contains("77 bytes and are 600") == true)
        try await StoreWorkbench.audit(third)
        _ = try await third.finish(try bench.finish(1, .interrupt))
        #expect(try await reserved(third) == 300)
        try await third.close()
    }

    @Test("the largest final that there can be is below its bound")
    func bound() async throws {
        try await StoreWorkbench.run(outboxOn: true) { bench, store in
            try await bench.run(store, 1)
            var finish = try bench.finish(1, .fail)
            let worst = String(repeating: "\u{1}\"\u{7f}😀", count: 8_000)
            finish.error = TaskError(
                .syscallDenied,
                worst,
                exitCode: Int(Int32.min),
                signal: "SIGRTMIN+31",
                hint: worst,
                retryable: false
            )
            finish.deniedSyscalls = (0..<80).map {
                DeniedSyscall(
                    name: "rather_long_name_of_a_system_call_\($0)",
                    count: .max,
                    action: "errno"
                )
            }
            finish.usage = TaskUsage(
                wallSeconds: .pi * 1e-300,
                cpuSeconds: -.pi * 1e-300,
                maxRSSBytes: .min
            )
            finish.result = .string(String(repeating: "a", count: Limits.resultBytes - 2))
            _ = try await store.finish(finish)
            let room = try await store.room()
            #expect(room.finals <= room.final)
            // Not by a wide margin: what may be in it is in it.
            #expect(room.finals > room.final - (4 << 10))
            let task = try #require(try await store.task(try bench.id(1)))
            #expect(task.deniedSyscalls.count == Limits.deniedNames)
            #expect(task.error?.message.hasSuffix("…") == true)
        }
    }
}
