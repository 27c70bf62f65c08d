import BulkheadCore
import GRDB
import Testing

@testable import BulkheadStore

@Suite("LogPressure")
struct LogPressureTests {
    @Test("a log is only too long where it could not be written back")
    func judged() {
        let bound = 4_120 * 10
        #expect(LogPressure(frames: 100, writtenBack: 100, bound: bound) == .none)
        #expect(LogPressure(frames: 9, writtenBack: 0, bound: bound) == .none)
        #expect(LogPressure(frames: 10, writtenBack: 9, bound: bound) == .long)
        #expect(LogPressure(frames: 20, writtenBack: 0, bound: bound) == .full)
        #expect(LogPressure.long.refusal?.code == .noReserve && LogPressure.long.outputRefusal == nil)
        #expect(LogPressure.full.outputRefusal?.retryAfterSeconds != nil)
    }

    @Test(
        "another program's reader closes the door to submits, then to output, ends are kept, and all goes on after it",
        .timeLimit(.minutes(5))
    )
    func reader() async throws {
        try await StoreWorkbench.run({
            $0.logBound = 1 << 20
            $0.checkpointPages = 50
        }) { bench, store in
            try await bench.run(store, 1)
            var configuration = Configuration()
            configuration.readonly = true
            configuration.allowsUnsafeTransactions = true
            let other = try DatabaseQueue(path: bench.path, configuration: configuration)
            try await other.writeWithoutTransaction { db in
                try db.execute(sql: "BEGIN")
                _ = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM task")
            }
            var offset: Int64 = 0
            let text = String(repeating: "x", count: 64 << 10)
            var refusal: BulkheadError?
            while refusal == nil, offset < 64 << 20 {
                let chunk = try bench.chunk(1, at: offset, text)
                do throws(BulkheadError) {
                    _ = try await store.append([chunk])
                    offset += 64 << 10
                } catch {
                    refusal = error
                }
            }
            #expect(refusal?.code == .storage && refusal?.retryAfterSeconds != nil)
            // Twice the bound, and what came between two looks.
            #expect(offset > 1 << 20 && offset < 4 << 20, "\(offset)")
            let submit = await #expect(throws: BulkheadError.self) {
                try await bench.submit(store, try bench.request(2))
            }
            #expect(submit?.code == .noReserve && submit?.advice?.contains("another program") == true)
            #expect(try await store.finish(try bench.finish(1, .complete))?.task.status == .completed)
            try await other.writeWithoutTransaction { try $0.execute(sql: "COMMIT") }
            try other.close()
            // Who asks has the log looked at, and those who ask after that are let in.
            let request = try bench.request(2)
            while store.writer.pressure != .none {
                _ = try? await bench.submit(store, request)
                try await Task.sleep(for: .milliseconds(5))
            }
            try await bench.submit(store, try bench.request(3))
        }
    }
}
