import BulkheadCore
import Foundation
import Glibc
import Testing

extension EndToEnd {
    /// A database that is damaged: what the next supervisor makes of it, and of what still runs.
    @Suite("Damage")
    struct DamageTests {
        @Test(
            "a damaged database is moved aside, which status and log say; what still ran is ended, pools keep their state"
        )
        func movedAside() async throws {
            let bench = try Workbench()
            try bench.handler("fails", "exit 1\n")
            try bench.handler("long", "echo runs; sleep 300 & sleep 300\n")
            try bench.policy("fails", "pool: frail\n")
            try bench.policy(
                "pools",
                "frail: {concurrency: 1, backoff: {after: 1, within: 60s, delay: 30m, jitter: none}}\n"
            )
            let first = try await bench.start(["--on-stop", "leave"])
            _ = try await bench.finished("fails")
            let running = try await bench.submit("long")
            #expect(
                try await bench.eventually { try await bench.bulkhead("logs", running).out == "runs\n" }
            )
            let before = try await bench.answer("status")["pools"]?.array?.first {
                $0.text("name") == "frail"
            }
            // The mirror follows the database within a second.
            #expect(
                try await bench.eventually {
                    let mirror = try? Data(contentsOf: URL(filePath: bench.state + "/runtime.json"))
                    return mirror.map { String(decoding: $0, as: UTF8.self).contains("frail") } ?? false
                }
            )
            first.send(SIGKILL)
            _ = await first.result()
            let launchers = bench.launchers
            #expect(!launchers.isEmpty)
            // The first frame of the log, which all that came later stands behind.
            let file = try FileHandle(forUpdating: URL(filePath: bench.state + "/bulkhead.sqlite-wal"))
            try file.seek(toOffset: 1_000)
            try file.write(contentsOf: Data(repeating: 0xa5, count: 100))
            try file.close()

            let second = try await bench.start()
            let status = try await bench.answer("status")
            let name = status["historyLost"]?.text("file") ?? ""
            #expect(name.hasPrefix("bulkhead.sqlite.corrupt-2"))
            #expect(FileManager.default.fileExists(atPath: bench.state + "/" + name))
            #expect(status["counts"]?["failed"] == 0)
            let snapshot = try await APICall(socket: bench.socket)("GET", "/v1/snapshot").json
            #expect(snapshot["historyLost"] == status["historyLost"])
            let words = try await bench.bulkhead("status")
            #expect(words.out.contains("lost at") && words.out.contains(name))
            // The launcher and its handler's whole tree are gone, and so is the task.
            #expect(try await bench.eventually { bench.launchers.allSatisfy { !launchers.contains($0) } })
            try await bench.expectNoHandlers()
            #expect(try await bench.bulkhead("show", running).code == 3)
            let after = status["pools"]?.array?.first { $0.text("name") == "frail" }
            #expect(after?["failures"]?.integer == 1)
            #expect(before?["backoffUntil"] != nil && after?["backoffUntil"] != nil)
            let ended = await bench.stop(second)
            #expect(ended.err.contains("the database was damaged"), "\(ended.err)")
            #expect(
                ended.err.contains("a launcher of which the database knows nothing was ended"),
                "\(ended.err)"
            )

            // The next one has nothing to move, and still knows.
            try await bench.serving { bench in
                let status = try await bench.answer("status")
                #expect(status["historyLost"]?.text("file") == name)
            }
        }
    }
}
