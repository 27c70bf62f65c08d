import BulkheadCore
import Foundation
import GRDB
import Testing

@testable import BulkheadStore

/// The databases below `Tests/Fixtures/state`, one of each version that has landed.
///
/// With `BULKHEAD_WRITE_STATE_FIXTURE` set to a path the first test writes the present version's there.
@Suite("Databases of earlier versions")
struct StateFixtureTests {
    private static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/state", directoryHint: .isDirectory)

    /// A little of everything: a task of each status, output with a gap, a message, a pool that backs off.
    private func fill(_ bench: StoreWorkbench, _ store: Store) async throws {
        for number in 1...5 { try await bench.run(store, number) }
        try await bench.submit(
            store,
            try bench.request(
                6,
                type: "thumbnail",
                params: #"{"file":"/srv/a.png"}"#,
                pool: "media",
                priority: 4
            ) {
                $0.caller = "ci"
                $0.metadata = .object(["ticket": .integer(7)])
                $0.notBefore = bench.now + .seconds(3_600)
            }
        )
        _ = try await store.append([
            try bench.chunk(1, at: 3, "hello\n"), try bench.chunk(1, .stderr, at: 0, "careful\n"),
        ])
        for (number, event) in [(1, TaskEvent.complete), (2, .fail), (3, .cancel), (4, .interrupt)] {
            var finish = try bench.finish(number, event)
            if event == .complete {
                finish.result = .object(["sum": .string("abc")])
                finish.usage = TaskUsage(wallSeconds: 1.5, cpuSeconds: 0.25, maxRSSBytes: 4_096)
            }
            if event == .fail {
                finish.error = TaskError(.exit, "the handler exited with 3", exitCode: 3)
                finish.deniedSyscalls = [DeniedSyscall(name: "ptrace", count: 2, action: "errno")]
                finish.warnings = ["a warning"]
                finish.verdict = PoolVerdict(
                    effect: .failure,
                    ran: .seconds(1),
                    rule: nil,
                    random: 0,
                    now: finish.now
                )
            }
            _ = try await store.finish(finish)
        }
    }

    /// What the third version brought: a wait before a retry, what a controller has, the runs of a task told apart.
    private func fillThird(_ bench: StoreWorkbench, _ store: Store) async throws {
        for number in 7...8 { try await bench.run(store, number) }
        var retry = try bench.finish(7, .retry)
        retry.wait = RetryWait(.seconds(60), from: bench.now)
        retry.retries = 1
        _ = try await store.finish(retry)
        for (offset, text) in [(0, "abc"), (3, "def")] {
            _ = try await store.append([try bench.chunk(8, at: Int64(offset), text, limit: 3)])
        }
        try await acknowledge(bench, store, ["1.0 received", "1.1 gap stdout@0 3"])
        for (offset, text) in [(6, "ghi"), (9, "jkl")] {
            _ = try await store.append([try bench.chunk(8, at: Int64(offset), text, limit: 6)])
        }
        try await acknowledge(bench, store, ["1.1 output stdout@9 jkl"])
        _ = try await store.finish(try bench.finish(8, .fail))
        try await bench.submit(store, try bench.request(8))
        _ = try await store.startAttempt(try bench.start(8, attempt: 1))
    }

    /// Acknowledges messages of the eighth task.
    private func acknowledge(_ bench: StoreWorkbench, _ store: Store, _ spelled: [String]) async throws {
        let id = try bench.id(8)
        let names = try await store.allMessages().filter { $0.task == id && spelled.contains($0.spelled) }
        #expect(names.count == spelled.count)
        _ = try await store.acknowledge(names.map(\.messageID), now: bench.now)
    }

    @Test("the present version's database is filled as the stored one was")
    func fills() async throws {
        let target = ProcessInfo.processInfo.environment["BULKHEAD_WRITE_STATE_FIXTURE"]
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        var settings = StoreSettings(path: bench.path, outboxOn: true)
        settings.holdsReserve = false
        let store = try Store.open(settings)
        try await fill(bench, store)
        try await fillThird(bench, store)
        try await check(bench, store, version: Schema.latestVersion)
        try await store.close()
        // Closing writes the log back, so that the one file is the whole database.
        #expect(try Data(contentsOf: URL(filePath: bench.path + "-wal")).isEmpty)
        if let target { try FileManager.default.copyItem(atPath: bench.path, toPath: target) }
    }

    @Test(
        "a database of an earlier version opens with all that was in it, and takes new work",
        arguments: [1, 2, 3]
    )
    func opens(version: Int) async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        try FileManager.default.copyItem(
            at: Self.folder.appending(path: "version-\(version).sqlite"),
            to: URL(filePath: bench.path)
        )
        let store = try Store.open(StoreSettings(path: bench.path, outboxOn: true))
        try await check(bench, store, version: version)
        try await bench.submit(store, try bench.request(2))
        #expect(try await store.startAttempt(try bench.start(2, attempt: 1))?.run == 2)
        _ = try await store.append([try bench.chunk(2, attempt: 2, at: 0, "new")])
        #expect(try await store.finish(try bench.finish(2, attempt: 2, .complete))?.task.status == .completed)
        try await StoreWorkbench.audit(store)
        try await store.close()
    }

    private func check(_ bench: StoreWorkbench, _ store: Store, version: Int) async throws {
        try await StoreWorkbench.audit(store)
        let later = version < 3 ? 0 : 1
        let counts: [TaskStatus: Int] = [
            .queued: 1 + later, .running: 1 + later, .completed: 1, .failed: 1, .cancelled: 1,
            .interrupted: 1,
        ]
        #expect(try await store.counts() == counts)
        if version >= 3 { try await checkThird(bench, store) }
        let completed = try #require(try await store.task(try bench.id(1)))
        #expect(completed.result?["sum"] == .string("abc"))
        #expect(completed.usage == TaskUsage(wallSeconds: 1.5, cpuSeconds: 0.25, maxRSSBytes: 4_096))
        #expect(completed.output.droppedBytes == 3)
        let pieces = try await store.output(of: completed.id, OutputQuery()).pieces.map(\.spelled)
        #expect(pieces == ["stdout@0 gap 3", "stdout@3 hello\n", "stderr@0 careful\n"])
        let failed = try #require(try await store.task(try bench.id(2)))
        #expect((failed.error?.reason, failed.error?.exitCode) == (.exit, 3))
        #expect(failed.deniedSyscalls.map(\.name) == ["ptrace"])
        #expect(failed.warnings.kept == ["a warning"])
        let queued = try #require(try await store.task(try bench.id(6)))
        #expect((queued.pool.name, queued.priority, queued.caller) == ("media", 4, "ci"))
        #expect(queued.params["file"]?.string == "/srv/a.png")
        #expect(queued.metadata?["ticket"]?.integer == 7)
        #expect(queued.notBefore == bench.now + .seconds(3_600))
        let running = try await store.runningAttempts(limit: 9).map(\.task.id)
        #expect(running == (version < 3 ? [try bench.id(5)] : [try bench.id(5), try bench.id(8)]))
        #expect(try await store.poolHealth()[.default]?.health.failures == 1)
        let finals = try await store.finals()
        #expect(finals.prefix(4).map(\.task) == (try (1...4).map { try bench.id($0) }))
        #expect(finals.count == 4 + later)
    }

    private func checkThird(_ bench: StoreWorkbench, _ store: Store) async throws {
        let waiting = try #require(try await store.task(try bench.id(7)))
        #expect((waiting.status, waiting.retries) == (.queued, 1))
        #expect(try await store.nextWake().wait == bench.now + .seconds(60))
        let id = try bench.id(8)
        let again = try #require(try await store.task(id))
        #expect((again.status, again.run, again.attempt) == (.running, 2, 2))
        let messages = try await store.allMessages().filter { $0.task == id }
        #expect(
            messages.map(\.spelled) == [
                "1.1 started", "1.1 gap stdout@3 3", "1.1 output stdout@6 ghi", "1.1 final failed",
                "2.0 received", "2.2 started",
            ]
        )
        #expect(try await store.room().reserved == 2 * Limits.finalBytes(resultLimit: Limits.resultBytes))
    }
}
