import BulkheadCore
import FaultVFS
import Foundation
import GRDB
import Testing

@testable import BulkheadStore

/// A fixed piece of work on a store, and what the store has said of it so far.
private actor FaultScript {
    /// What a caller was told, which no fault may take back.
    private(set) var submitted: Set<TaskID> = []
    private(set) var ended: [TaskID: TaskStatus] = [:]
    private(set) var acknowledged: Set<TaskID> = []
    private(set) var removed: Set<TaskID> = []
    private(set) var outputEnd: [TaskID: Int64] = [:]
    /// What was under way when the store said no more: it may have happened or not.
    private(set) var open: Set<TaskID> = []

    static let cap: Int64 = 3_000
    static let tasks = 6
    let bench: StoreWorkbench
    let store: Store

    init(_ bench: StoreWorkbench, _ store: Store) {
        self.bench = bench
        self.store = store
    }

    /// Works to the end; a step that is refused is tried once more where that is worth it.
    func run() async throws {
        for number in 1...Self.tasks { try await work(number) }
        var place: PruneCursor?
        repeat {
            let sweep = Sweep(endedBefore: bench.now + .seconds(99), type: try TaskType("checksum"))
            let id = try bench.id(2)
            let step = try await step(id) { [place] in try await self.store.step(sweep, from: place) }
            removed.formUnion(step.removed)
            place = step.next
        } while place != nil
    }

    private func work(_ number: Int) async throws {
        let id = try bench.id(number)
        let request = try bench.request(
            number,
            params: #"{"text":"\#(String(repeating: "p", count: 300 * number))"}"#
        )
        _ = try await step(id) { try await self.store.submit([request]) }
        submitted.insert(id)
        let start = try bench.start(number)
        guard try await step(id, { try await self.store.startAttempt(start) }) != nil else { return }
        for (channel, offset) in [(OutputChannel.stdout, 0), (.stderr, 0), (.stdout, 400)] {
            let chunk = try bench.chunk(
                number,
                channel,
                at: Int64(offset),
                String(repeating: "\(number)", count: 400)
            )
            let outcome = try await step(id) { try await self.store.append([chunk]) }
            if channel == .stdout { outputEnd[id] = outcome.entries[0].end }
        }
        var finish = try bench.finish(number, number.isMultiple(of: 3) ? .fail : .complete)
        finish.result = .object(["number": .integer(number)])
        let end = try await step(id) { [finish] in try await self.store.finish(finish) }
        ended[id] = try #require(end).task.status
        guard number.isMultiple(of: 2) else { return }
        let finals = try await step(id) { try await self.store.messages(limit: 100).messages }.filter {
            $0.task == id
        }
        _ = try await step(id) {
            try await self.store.acknowledge(finals.map(\.messageID), now: self.bench.now)
        }
        acknowledged.insert(id)
    }

    private func step<Value: Sendable>(
        _ id: TaskID,
        _ body: @Sendable () async throws -> Value
    ) async throws -> Value {
        open = [id]
        for _ in 0..<2 {
            do {
                let value = try await body()
                open = []
                return value
            } catch let error as BulkheadError where error.retryAfterSeconds != nil {}
        }
        let value = try await body()
        open = []
        return value
    }
}

/// Runs the script with one fault at each place in turn, until the fault is not reached any more.
///
/// All of it with BULKHEAD_FAULT_RUN=all; otherwise every so many places, another part of them for each kind.
@Suite("Faults of the disk, one at a time", .serialized)
struct FaultRunTests {
    private static let isWhole = ProcessInfo.processInfo.environment["BULKHEAD_FAULT_RUN"] == "all"

    init() { #expect(fault_vfs_install() == 0) }

    private static func settings(_ path: String) -> StoreSettings {
        var settings = StoreSettings(path: path, spoolCap: FaultScript.cap, outboxOn: true)
        settings.holdsReserve = false
        settings.checkpointPages = 40
        // So small a cap is all for output.
        settings.reservation = 0
        settings.terminalReserve = 0
        settings.busyTimeout = .milliseconds(50)
        return settings
    }

    /// One run.
    /// - Returns: Whether the fault was reached, and whether the store went on after it.
    private func run(
        _ operation: fault_vfs_operation,
        at number: Int64,
        _ action: fault_vfs_action
    ) async throws -> (happened: Bool, wentOn: Bool) {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        // The tables are made before, so that the places are those of the work.
        let made = try Store.open(Self.settings(bench.path))
        try await made.close()
        unsafe fault_vfs_begin(bench.path, operation, number, action, UInt64(number))
        defer { fault_vfs_end() }
        let place = "\(action) at \(operation) \(number)"
        var script: FaultScript?
        var failure: (any Error)?
        do {
            let store = try Store.open(Self.settings(bench.path))
            let work = FaultScript(bench, store)
            script = work
            do { try await work.run() } catch { failure = error }
            let isEnded = store.writer.end != nil
            #expect(
                (failure == nil) || isEnded || failure is BulkheadError,
                "\(place): \(String(describing: failure))"
            )
            do { try await store.close() } catch { failure = failure ?? error }
        } catch {
            // The fault came while it was opened; nothing was promised yet.
            failure = error
        }
        let happened = fault_vfs_happened() != 0
        // What a killed process and a dead machine leave is looked at in a place of its own.
        let image = try StoreWorkbench()
        defer { image.remove() }
        fault_vfs_end()
        for suffix in ["", "-wal"] where FileManager.default.fileExists(atPath: bench.path + suffix) {
            try FileManager.default.copyItem(atPath: bench.path + suffix, toPath: image.path + suffix)
        }
        let store = try Store.open(Self.settings(image.path))
        #expect(store.historyLoss == nil, "\(place): \(String(describing: store.historyLoss))")
        try await StoreWorkbench.audit(store)
        if let script { try await check(store, script, place) }
        try await store.close()
        if !happened { #expect(failure == nil, "\(place): \(String(describing: failure))") }
        return (happened, failure == nil)
    }

    /// Sees that all that was promised is there, and nothing that was not asked for.
    private func check(_ store: Store, _ script: FaultScript, _ place: String) async throws {
        let (submitted, ended) = await (script.submitted, script.ended)
        let (acknowledged, removed) = await (script.acknowledged, script.removed)
        let (outputEnd, open) = await (script.outputEnd, script.open)
        var filter = TaskFilter()
        filter.limit = 100
        let kept = Dictionary(uniqueKeysWithValues: try await store.tasks(filter).tasks.map { ($0.id, $0) })
        let messages = try await store.messages(limit: 1_000).messages
        for id in submitted.subtracting(removed) {
            // A sweep that was under way takes acknowledged tasks.
            if kept[id] == nil, !open.isEmpty, acknowledged.contains(id) { continue }
            let task = try #require(kept[id], "\(place): \(id) is lost")
            if let status = ended[id] { #expect(task.status == status, "\(place): \(id)") }
            if ended[id] != nil, !acknowledged.contains(id), !open.contains(id) {
                #expect(
                    messages.contains { $0.task == id && $0.kind == .final },
                    "\(place): no final of \(id)"
                )
            }
            if acknowledged.contains(id) {
                #expect(
                    !messages.contains { $0.task == id && $0.kind == .final },
                    "\(place): \(id) tells again"
                )
            }
            try await checkOutput(store, id, upTo: outputEnd[id] ?? 0, place)
        }
        for id in removed { #expect(kept[id] == nil, "\(place): \(id) is back") }
        #expect(Set(kept.keys).isSubset(of: submitted.union(open)), "\(place)")
        #expect(try await store.spoolBytes() <= FaultScript.cap, "\(place)")
    }

    private func checkOutput(_ store: Store, _ id: TaskID, upTo end: Int64, _ place: String) async throws {
        var query = OutputQuery()
        query.channel = .stdout
        guard let task = try await store.task(id), task.attempt > 0 else { return }
        var next: Int64 = 0
        for piece in try await store.output(of: id, query).pieces {
            #expect(piece.offset == next, "\(place): a hole in \(id)")
            if case .bytes(let bytes) = piece.content {
                let digit = try #require(String(id.text.suffix(1)).utf8.first)
                #expect(bytes.allSatisfy { $0 == digit }, "\(place): other bytes in \(id)")
            }
            next += piece.length
        }
        #expect(next >= end, "\(place): output of \(id) ends at \(next) before \(end)")
    }

    /// The places of an operation, by a run without a fault.
    private func places(_ operation: fault_vfs_operation) async throws -> Int64 {
        _ = try await run(operation, at: .max, fault_vfs_none)
        return fault_vfs_count(operation)
    }

    private static let kinds: [(operation: fault_vfs_operation, action: fault_vfs_action)] = [
        (fault_vfs_write, fault_vfs_full), (fault_vfs_write, fault_vfs_error),
        (fault_vfs_write, fault_vfs_short),
        (fault_vfs_write, fault_vfs_kill), (fault_vfs_write, fault_vfs_power),
        (fault_vfs_sync, fault_vfs_error),
        (fault_vfs_sync, fault_vfs_kill), (fault_vfs_sync, fault_vfs_power),
        (fault_vfs_read, fault_vfs_error),
    ]

    @Test(
        "at every write, sync and read: nothing acknowledged is lost, the file is sound",
        arguments: kinds.indices
    )
    func everywhere(_ index: Int) async throws {
        let (operation, action) = Self.kinds[index]
        let places = try await places(operation)
        #expect(places > 0)
        // In the short form the places of all kinds together are spread over the whole.
        let step = Self.isWhole ? 1 : max(places / 6, 1)
        var number = Self.isWhole ? 1 : 1 + Int64(index) % step
        var reached: Int64 = 0
        var wentOn = 0
        var last = true
        while last {
            let outcome = try await run(operation, at: number, action)
            last = outcome.happened
            if outcome.happened { reached += 1 }
            if outcome.happened, outcome.wentOn { wentOn += 1 }
            if Self.isFinal(action) {
                #expect(
                    !outcome.happened || !outcome.wentOn || operation == fault_vfs_read,
                    "\(action) \(number)"
                )
            }
            number += step
        }
        print("faults: \(action) at \(operation), \(places) places: \(reached) reached, \(wentOn) went on")
        #expect(reached >= 3)
        if action == fault_vfs_full { #expect(wentOn > 0, "a disk that is full once ends nothing") }
    }

    /// Faults after which a store may not go on.
    private static func isFinal(_ action: fault_vfs_action) -> Bool { action == fault_vfs_error }
}
