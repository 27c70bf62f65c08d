import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// Somebody takes a file of the database away while the supervisor runs.
    @Suite("Removed files", .timeLimit(.minutes(5)))
    struct RemovedFilesTests {
        private func database(_ bench: Workbench) -> String { bench.state + "/bulkhead.sqlite" }

        @Test(
            "it ends the supervisor with words; the next one has every task, and goes on with what still runs",
            arguments: ["", "-wal", "-shm"]
        )
        func removed(suffix: String) async throws {
            let bench = try Workbench()
            try bench.gatedHandler("hold", "echo begun; gate go; echo ended")
            try bench.handler("quick", "echo '{\"result\":7}' >&3")
            let first = try await bench.start(["--on-stop", "leave"])
            let held = try await bench.submit("hold")
            #expect(try await bench.eventually { try await bench.bulkhead("logs", held).out == "begun\n" })
            let done = try await bench.finished("quick").text("id")
            try FileManager.default.removeItem(atPath: database(bench) + suffix)
            let end = await first.result()
            #expect(end.code == 70)
            #expect(
                end.err.contains("bulkhead.sqlite\(suffix) was removed while the supervisor ran"),
                "\(end.err)"
            )
            #expect(end.err.contains("all that was committed has been saved in"), "\(end.err)")
            try await bench.serving { bench in
                #expect(try await bench.answer("status")["historyLost"] == nil)
                #expect(try await bench.task(done)["result"] == 7)
                #expect(try await bench.task(held).text("status") == "running")
                try bench.open("go")
                let task = try await bench.ended(held)
                #expect(task.text("status") == "completed" && task["attempt"] == 1)
                #expect(try await bench.bulkhead("logs", held).out == "begun\nended\n")
            }
        }

        @Test("every submit that was acknowledged meanwhile is there afterwards")
        func underLoad() async throws {
            let bench = try Workbench()
            try bench.handler("quick", "exit 0")
            try bench.policy("pools", "default: {concurrency: 1}\n")
            let first = try await bench.start()
            let call = APICall(socket: bench.socket)
            var acknowledged: [String] = []
            while acknowledged.count < 5_000 {
                if acknowledged.count == 20 {
                    try FileManager.default.removeItem(atPath: database(bench) + "-wal")
                }
                let answer = try? await call("POST", "/v1/tasks", ["type": "quick"])
                guard let answer, answer.status == 201 else { break }
                acknowledged.append(answer.json.text("id"))
            }
            #expect((20..<5_000).contains(acknowledged.count))
            #expect(await first.result().code == 70)
            try await bench.serving { bench in
                for id in acknowledged {
                    let answer = try await call("GET", "/v1/tasks/\(id)")
                    #expect(answer.status == 200, "\(id) is lost")
                }
            }
        }

        @Test(
            "a file that somebody puts in the place of the database is left alone, and where the rest is is said"
        )
        func replaced() async throws {
            let bench = try Workbench()
            try bench.handler("quick", "exit 0")
            let first = try await bench.start()
            let done = try await bench.finished("quick").text("id")
            try Data("a note\n".utf8).write(to: URL(filePath: database(bench)), options: .atomic)
            let end = await first.result()
            #expect(end.code == 70 && end.err.contains("bulkhead.sqlite was replaced"), "\(end.err)")
            let files = try FileManager.default.contentsOfDirectory(atPath: bench.state)
            let copy = try #require(files.first { $0.hasPrefix("bulkhead.sqlite.saved-") })
            #expect(end.err.contains("has been saved in \(bench.state)/\(copy)"))
            #expect(end.err.contains("move that file to \(database(bench))"))
            // As it says.
            try FileManager.default.removeItem(atPath: database(bench))
            try FileManager.default.moveItem(atPath: bench.state + "/" + copy, toPath: database(bench))
            try await bench.serving { bench in
                let task = try await bench.task(done)
                #expect(task.text("status") == "completed")
            }
        }
    }
}
