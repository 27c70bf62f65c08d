import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    @Suite("Spool: reservations and admission", .timeLimit(.minutes(1)))
    struct SpoolTests {
        @Test(
            "a start without room for its result waits and says so, submits get 507, an end lets both go on"
        )
        func admission() async throws {
            // Three finals of 80 KiB.
            let small = ["--spool-cap", "240KiB", "--terminal-reserve", "10KiB"]
            try await Workbench.serving(small) { bench in
                try bench.gatedHandler("hold", "gate go; echo '{\"result\":7}' >&3", policy: "pool: wide\n")
                try bench.policy("pools", "wide: {concurrency: 16}\n")
            } _: { bench in
                let call = APICall(socket: bench.socket)
                let tasks = JSONValue.array((0..<5).map { _ in ["type": "hold"] })
                let batch = try await call("POST", "/v1/tasks/batch", ["tasks": tasks])
                let ids = (batch.json["outcomes"]?.array ?? []).map { $0["task"]?.text("id") ?? "" }
                try #require(ids.count == 5)
                for id in ids.prefix(3) { #expect(try await bench.waits(for: id, toBe: .running)) }
                for id in ids.suffix(2) {
                    #expect(
                        try await bench.eventually {
                            try await bench.task(id).text("waitingFor")
                                == """
                                room for its result in the spool (80KiB of 0B; of its 240KiB, 0B are held by \
                                results that no controller has acknowledged, 240KiB by tasks that run)
                                """
                        }
                    )
                    #expect(try await bench.task(id).text("status") == "queued")
                }
                let refused = try await bench.bulkhead("submit", "hold")
                #expect(refused.code == 4)
                #expect(
                    refused.err.contains("the spool has 0B left for results, less than the terminal reserve"),
                    "\(refused.err)"
                )
                let answer = try await call("POST", "/v1/tasks", ["type": "hold"])
                #expect(answer.status == 507)
                #expect(answer.head.lowercased().contains("\r\nretry-after: 5"))
                // One that is there is answered all the same.
                let same = try await call("POST", "/v1/tasks", ["type": "hold", "id": .string(ids[4])])
                #expect(same.status == 200)
                try bench.open("go")
                for id in ids { #expect(try await bench.ended(id)["result"]?.integer == 7) }
                #expect(try await bench.bulkhead("submit", "hold", "--wait").code == 0)
            }
        }

        @Test("output makes room for reservations, and says exactly what went")
        func outputMakesRoom() async throws {
            try await Workbench.serving(["--spool-cap", "200KiB", "--terminal-reserve", "10KiB"]) { bench in
                try bench.handler("print", "head -c 300000 /dev/zero")
                try bench.gatedHandler("hold", "gate go")
            } _: { bench in
                let task = try await bench.finished("print")
                let kept = try #require(try await bench.answer("status")["spool"]?["bytes"]?.integer)
                #expect(kept <= 120 << 10)
                let held = try await bench.submit("hold")
                #expect(try await bench.waits(for: held, toBe: .running))
                let shown = try await bench.task(task.text("id"))
                let status = try await bench.answer("status")
                let dropped = try #require(shown["output"]?["droppedBytes"]?.integer)
                #expect(shown["output"]?["stdoutBytes"]?.integer == 300_000)
                #expect(try #require(status["spool"]?["bytes"]?.integer) == 300_000 - dropped)
                let logs = try await bench.bulkhead("logs", task.text("id"))
                #expect(logs.stdout.count == 300_000 - Int(dropped))
                try bench.open("go")
                _ = try await bench.ended(held)
            }
        }
    }
}
