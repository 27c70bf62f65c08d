import BulkheadCore
import GRDB
import Testing

@testable import BulkheadStore

@Suite("Store: measures")
struct MeasuresTests {
    @Test("what is measured is what was done")
    func measures() async throws {
        try await StoreWorkbench.run(spoolCap: 1_000, outboxOn: true) { bench, store in
            for number in 1...3 { try await bench.run(store, number) }
            try await bench.submit(store, try bench.request(1))
            _ = try await store.submit([try bench.request(1, type: "thumbnail")])
            _ = try await store.append([try bench.chunk(1, at: 10, String(repeating: "x", count: 800))])
            _ = try await store.append([
                try bench.chunk(2, .stderr, at: 0, String(repeating: "y", count: 700))
            ])
            _ = try await store.finish(try bench.finish(1, .complete))
            var failed = try bench.finish(2, .fail)
            failed.error = TaskError(.timeout, "too long")
            failed.deniedSyscalls = [DeniedSyscall(name: "ptrace", count: 3, action: "errno")]
            _ = try await store.finish(failed)
            // A stale end counts for nothing.
            _ = try await store.finish(failed)
            let measures = try await store.measures()
            #expect(measures.counters.submits == [.queued: 3, .existing: 1, .refused: 1])
            #expect(measures.counters.started == 3)
            #expect(measures.counters.ended == [nil: 1, .timeout: 1])
            #expect(measures.counters.denied == 3)
            #expect(measures.tasks.values.first == [.queued: 0, .running: 1, .completed: 1, .failed: 1])
            #expect(measures.outputBytes == 810 + 700)
            let kept = try await store.spoolBytes()
            #expect(measures.spoolBytes == kept && measures.droppedBytes == 1_510 - kept)
            #expect(measures.finalBytes > 0 && measures.databaseBytes > 0 && measures.logBytes > 0)
            #expect(measures.pendingMessages >= 2 && measures.oldestPending != nil)
            #expect(measures.commits.groups > 5 && measures.commits.mutations >= measures.commits.groups)
            #expect(measures.commits.seconds > 0 && measures.commits.failures == 0)
        }
    }

    @Test("measuring goes through no table, and finds the oldest messages at the head of their indexes")
    func plan() async throws {
        try await StoreWorkbench.run { _, store in
            let plan = try await store.read { db in
                try Row.fetchAll(db, sql: "EXPLAIN QUERY PLAN " + Store.oldestPending).map {
                    (row: Row) -> String in row["detail"]
                }
            }
            let tables = ["task", "chunk", "gap", "outbox"]
            for line in plan where tables.contains(where: { line.contains("SCAN \($0)") }) {
                #expect(line.contains("_owed") || line.contains("outbox_pending"), "\(line)")
            }
            #expect(!plan.contains { $0.contains("TEMP B-TREE") }, "\(plan)")
        }
    }
}
