import BulkheadCore
import Foundation
import GRDB
import SmallDisk
import Synchronization
import Testing

@testable import BulkheadStore

@Suite("DiskReserve", .serialized)
struct DiskReserveTests {
    private static let needsRoot: Comment = "needs root, to mount a small file system"
    private static let result = JSONValue.string(String(repeating: "r", count: 65_000))

    private static func settings(_ bench: StoreWorkbench, cap: Int64 = 64 << 20) -> StoreSettings {
        StoreSettings(path: bench.path, spoolCap: cap, outboxOn: true)
    }

    private static func finish(_ bench: StoreWorkbench, _ number: Int) throws -> AttemptFinish {
        var finish = try bench.finish(number, .complete)
        finish.result = result
        return finish
    }

    /// Fills with a store at work, as long as the body goes on.
    private static func onDisk(
        of bytes: Int,
        cap: Int64 = 64 << 20,
        _ body: (StoreWorkbench, SmallDisk, Store) async throws -> Void
    ) async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        try await SmallDisk.mounted(at: bench.folder.path, bytes: bytes) { disk in
            let store = try Store.open(settings(bench, cap: cap))
            try await body(bench, disk, store)
            try await StoreWorkbench.audit(store)
            try await expectCount(store)
            try await store.close()
        }
    }

    /// Sees that the rows of the ballast that are known of are those that there are.
    private static func expectCount(_ store: Store) async throws {
        let rows = try await store.read { db in try Ballast.rows(db) }
        #expect(store.writer.reserve?.state.withLock(\.room.rows) == rows)
    }

    /// Fills the disk, and the pages that the main file happens to have beyond the reserve.
    /// - Returns: The number of a submit that is refused.
    private static func fill(_ disk: SmallDisk, _ bench: StoreWorkbench, _ store: Store) async throws -> Int {
        let params = #"{"a":""# + String(repeating: "a", count: 50_000) + #""}"#
        for number in 1_000..<2_000 {
            try disk.fill()
            guard case .success = try await store.submit([try bench.request(number, params: params)])[0]
            else { return number }
        }
        throw BulkheadError(.internal, "the disk does not become full")
    }

    private static func expectRefusal(
        _ bench: StoreWorkbench,
        _ store: Store,
        _ number: Int,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let error = await #expect(throws: BulkheadError.self, sourceLocation: sourceLocation) {
            try await bench.submit(store, try bench.request(number))
        }
        #expect(error?.code == .noReserve, sourceLocation: sourceLocation)
        #expect(error?.cause == "No space left on device", sourceLocation: sourceLocation)
        #expect(error?.advice?.contains(bench.folder.path) == true, sourceLocation: sourceLocation)
        #expect(error?.retryAfterSeconds == 5, sourceLocation: sourceLocation)
    }

    @Test(
        "on a full disk ends, acknowledgements and removals go on and nothing new is taken; with room it goes on",
        .enabled(if: SmallDisk.mayMount, needsRoot),
        arguments: [0, 300_000, 3_000_000]
    )
    func full(output: Int) async throws {
        try await Self.onDisk(of: 24 << 20) { bench, disk, store in
            for number in 1...6 { try await bench.submit(store, try bench.request(number)) }
            for number in 1...4 {
                #expect(try await store.startAttempt(try bench.start(number)) != nil)
                let text = String(repeating: "o", count: output / 4)
                if output > 0 { _ = try await store.append([try bench.chunk(number, at: 0, text)]) }
            }
            let last = try await Self.fill(disk, bench, store)
            try await Self.expectRefusal(bench, store, last)
            let first = try #require(try await store.task(bench.id(1)))
            #expect(try await bench.submit(store, try bench.request(1)) == .existing(first))
            let start = await #expect(throws: BulkheadError.self) {
                _ = try await store.startAttempt(try bench.start(5))
            }
            #expect(start?.code == .noReserve)
            for number in 1...4 {
                #expect(try await store.finish(try Self.finish(bench, number))?.task.result == Self.result)
                try disk.fill()
            }
            try await Self.expectRefusal(bench, store, last)
            let finals = try await store.finals()
            #expect(finals.count == 4)
            #expect(finals.allSatisfy { $0.body["result"] == Self.result })
            let names = try await store.allMessages().map(\.messageID)
            let outcome = try await store.acknowledge(names, now: bench.now)
            #expect(outcome.acknowledged == names && outcome.unknown.isEmpty)
            #expect(try await store.remove(bench.id(1), discardingMessages: false) == .removed)
            try disk.empty()
            #expect(await store.refusalByDisk() == nil)
            try await bench.submit(store, try bench.request(last))
            #expect(try await store.startAttempt(try bench.start(5)) != nil)
            let measures = try await store.measures().reserve
            #expect(measures.heldBytes == measures.wantedBytes && measures.shortage == nil)
        }
    }

    @Test(
        "what ends on a full disk is there after a crash, and a start on the full disk goes on with it",
        .enabled(if: SmallDisk.mayMount, needsRoot)
    )
    func crash() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        try await SmallDisk.mounted(at: bench.folder.path, bytes: 24 << 20) { disk in
            let first = try Store.open(Self.settings(bench))
            for number in 1...4 { try await bench.run(first, number) }
            try disk.fill()
            for number in 1...2 { _ = try await first.finish(try Self.finish(bench, number)) }
            // The files as a kill leaves them, on another disk that is as full.
            let copy = try StoreWorkbench()
            defer { copy.remove() }
            try await SmallDisk.mounted(at: copy.folder.path, bytes: 24 << 20) { other in
                try bench.copyFiles(to: copy)
                // The index of the log, which a crash leaves behind.
                try other.fill(leaving: 32 << 10)
                let second = try Store.open(Self.settings(copy))
                #expect(try await second.finals().count == 2)
                try await Self.expectRefusal(copy, second, 9)
                for number in 3...4 { _ = try await second.finish(try Self.finish(copy, number)) }
                let names = try await second.allMessages().map(\.messageID)
                #expect(try await second.acknowledge(names, now: copy.now).acknowledged.count == names.count)
                try await StoreWorkbench.audit(second)
                try await second.close()
            }
            try await first.close()
        }
    }

    @Test(
        "on a full disk output takes the place of the oldest, every byte is kept or said as a gap, and finals still fit",
        .enabled(if: SmallDisk.mayMount, needsRoot)
    )
    func rotates() async throws {
        try await Self.onDisk(of: 24 << 20) { bench, disk, store in
            for number in 1...4 { try await bench.run(store, number) }
            let text = String(repeating: "o", count: 50_000)
            var place: Int64 = 0
            for _ in 0..<20 {
                for number in 1...2 { _ = try await store.append([try bench.chunk(number, at: place, text)]) }
                place += 50_000
            }
            _ = try await Self.fill(disk, bench, store)
            for _ in 0..<60 {
                for number in 1...2 {
                    let appended = try await store.append([try bench.chunk(number, at: place, text)])
                    #expect(appended.entries[0].end == place + 50_000)
                }
                place += 50_000
                try disk.fill()
            }
            #expect(try await store.spoolBytes() > 500_000)
            // Nobody else's output is left to give way to the last of these.
            _ = try await store.append([try bench.chunk(3, at: 0, String(repeating: "p", count: 4_000_000))])
            for number in 1...4 {
                #expect(try await store.finish(try Self.finish(bench, number))?.task.result == Self.result)
            }
            #expect(try await store.finals().count == 4)
            try disk.empty()
        }
    }

    @Test(
        "finals and acknowledgements follow one another on a full disk without end",
        .enabled(if: SmallDisk.mayMount, needsRoot)
    )
    func endless() async throws {
        try await Self.onDisk(of: 16 << 20) { bench, disk, store in
            for number in 1...60 { try await bench.submit(store, try bench.request(number)) }
            _ = try await Self.fill(disk, bench, store)
            for number in 1...60 {
                // A queued task that ends has no reservation; the terminal reserve is for it.
                let error = TaskError(.cancelled, String(repeating: "w", count: 4_000))
                let ended = try await store.endQueued(
                    bench.id(number),
                    event: .cancel,
                    error: error,
                    now: bench.now
                )
                #expect(ended?.status == .cancelled)
                try disk.fill()
                guard number % 10 == 0 else { continue }
                let names = try await store.allMessages().map(\.messageID)
                #expect(try await store.acknowledge(names, now: bench.now).acknowledged.count == names.count)
            }
            try disk.empty()
        }
    }

    @Test("the room of what runs is held, and stays with the files when they are closed")
    func held() async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        func logBytes() throws -> Int64 {
            let attributes = try FileManager.default.attributesOfItem(atPath: bench.path + "-wal")
            return (attributes[.size] as? NSNumber)?.int64Value ?? 0
        }
        let store = try Store.open(Self.settings(bench))
        let before = try await store.measures().reserve
        #expect(before.heldBytes == before.wantedBytes && before.wantedBytes > (8 << 20) + (1 << 20))
        #expect(try logBytes() >= 8 << 20)
        for number in 1...4 { try await bench.run(store, number) }
        let after = try await store.measures().reserve
        let final = Int64(Limits.finalBytes(resultLimit: Limits.resultBytes))
        #expect(after.wantedBytes >= before.wantedBytes + 4 * 2 * final)
        #expect(after.heldBytes == after.wantedBytes)
        try await store.close()
        #expect(try logBytes() >= 8 << 20)
        let header = try FileHandle(forReadingFrom: URL(filePath: bench.path + "-wal")).read(upToCount: 32)
        #expect(header == Data(count: 32))
        let again = try Store.open(Self.settings(bench))
        #expect(try await again.counts() == [.running: 4])
        #expect(try await again.measures().reserve == after)
        try await StoreWorkbench.audit(again)
        try await again.close()
    }

    @Test("a final of any size within the limit fits into what its attempt reserves")
    func enough() throws {
        var settings = StoreSettings(path: "", outboxOn: true)
        for limit in [0, 1_000, 65_536, 1 << 20] {
            settings.resultLimit = limit
            let final = Int64(Limits.finalBytes(resultLimit: limit))
            var ledger = Ledger(
                storeID: "",
                sequence: 0,
                spoolBytes: 0,
                chunks: 0,
                finalBytes: 0,
                reservedBytes: 0,
                pendingMessages: 0
            )
            let none = settings.ballastRows(ledger)
            ledger.reservedBytes = 10 * final
            let pages = (settings.ballastRows(ledger) - none) * Ballast.pagesPerRow
            #expect(Int64(pages * Ballast.pageContent) >= 20 * final)
        }
    }

    @Test("a small disk has a small part of the log held, a large one no more than is wanted")
    func logSize() {
        let settings = StoreSettings(path: "")
        #expect(settings.logReserve(onDiskOf: 4 << 20) == 1 << 20)
        #expect(settings.logReserve(onDiskOf: 32 << 20) == 4 << 20)
        #expect(settings.logReserve(onDiskOf: 1 << 40) == 8 << 20)
    }
}
