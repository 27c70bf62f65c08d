import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    @Suite("Spool: reservations and admission", .timeLimit(.minutes(5)))
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

        @Test(
            "floods without lines, of single bytes and of noise cost a quiet task nothing, and all is accounted for"
        )
        func floods() async throws {
            let scripts = [
                "yes": "yes | head -c 6000000", "noise": "head -c 3000000 /dev/urandom",
                "tiny": "dd if=/dev/zero bs=1 count=20000 status=none",
                "both": "yes out | head -c 2000000 & yes err | head -c 2000000 >&2; wait",
            ]
            try await Workbench.serving(["--spool-cap", "2MiB", "--terminal-reserve", "100KiB"]) { bench in
                for (name, script) in scripts {
                    try bench.handler(name, script)
                    try bench.policy(name, "pool: wide\noutput: {limit: 200KiB}\n")
                }
                try bench.handler("quiet", "head -c 100000 /dev/zero | tr '\\0' q")
                try bench.policy("quiet", "pool: wide\n")
                try bench.policy("pools", "wide: {concurrency: 16}\n")
            } _: { bench in
                let quiet = try await bench.finished("quiet")
                var ids: [String] = []
                for name in scripts.keys { ids.append(try await bench.submit(name)) }
                for id in ids {
                    let task = try await bench.ended(id)
                    #expect(task.text("status") == "completed", "\(task.text)")
                    #expect(try await bench.keptOutput(of: task).kept <= 200 << 10)
                }
                #expect(
                    try await bench.bulkhead("logs", quiet.text("id")).stdout
                        == Array(repeating: 0x71, count: 100_000)
                )
                let bytes = try await bench.answer("status")["spool"]?["bytes"]?.integer
                #expect(try #require(bytes) <= 2 << 20)
            }
        }
    }
}

extension Workbench {
    /// Sees that each stream's pieces follow one another without a hole, are as many bytes as the task says, and that
    /// the gaps are as many as it says are gone.
    /// - Returns: The bytes of stdout and stderr together that are kept, and those that are gone.
    func keptOutput(of task: JSONValue) async throws -> (kept: Int64, gone: Int64) {
        var kept: Int64 = 0
        var gone: Int64 = 0
        for stream in ["stdout", "stderr"] {
            var place: Int64 = 0
            let total = try #require(task["output"]?["\(stream)Bytes"]?.integer)
            while place < total {
                let path = "/v1/tasks/\(task.text("id"))/output?stream=\(stream)&offset=\(place)"
                let pieces = try await api("GET", path).json["chunks"]?.array ?? []
                try #require(!pieces.isEmpty, "\(stream) ends at \(place) of \(total)")
                for piece in pieces {
                    #expect(piece["offset"]?.integer == place)
                    let gap = piece["gap"]?.integer ?? 0
                    let bytes = Int64(Data(base64Encoded: piece.text("data"))?.count ?? 0)
                    gone += gap
                    kept += bytes
                    place += gap + bytes
                }
            }
            #expect(place == total)
        }
        #expect(task["output"]?["droppedBytes"]?.integer == gone)
        return (kept, gone)
    }
}
