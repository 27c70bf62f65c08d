import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// What becomes of launchers and tasks when a service manager ends them, at a shutdown or with their unit.
    @Suite("Ended launchers")
    struct EndedLauncherTests {
        /// A handler that goes on until it is asked to end, and then says that all is well; with its supervisor.
        private func started(
            _ bench: Workbench,
            policy: String
        ) async throws -> (server: ChildProcess, id: String) {
            let text = "trap 'echo bye; exit 0' TERM\necho here\nwhile :; do sleep 0.05; done"
            try bench.handler("endless", text)
            try bench.policy("endless", policy)
            let server = try await bench.start(["--on-stop", "leave"])
            #expect(try await bench.eventually { try await bench.isUsable("endless") })
            let id = try await bench.submit("endless")
            #expect(try await bench.eventually { try await output(bench, id) == "here\n" })
            return (server, id)
        }

        private func output(_ bench: Workbench, _ id: String) async throws -> String {
            try await bench.bulkhead("logs", id, "--attempt", "1", "--stream", "stdout").out
        }

        @Test(
            "a handler that ends with the machine was stopped, whatever it says of itself, and nothing waits",
            .timeLimit(.minutes(5)),
            arguments: ["interrupt", "rehydrate"],
            [SIGTERM, SIGWINCH]
        )
        func asked(mode: String, signal: Int32) async throws {
            let bench = try Workbench()
            let (server, id) = try await started(bench, policy: "recovery: \(mode)\ngrace: 20s\n")
            server.send(SIGKILL)
            _ = await server.result()
            for pid in bench.launchers { kill(pid, signal) }
            #expect(try await bench.eventually { bench.launchers.isEmpty }, "it waits for a supervisor")
            #expect(bench.handlerProcesses.isEmpty)
            try bench.handler("endless", "echo again")
            let next = try await bench.start()
            let task = try await bench.ended(id)
            #expect((task["run"], task["interruptions"]) == (1, 0), "a stop is no loss")
            #expect(task.text("status") == (mode == "interrupt" ? "interrupted" : "completed"))
            #expect(task["attempts"]?.array?.map { $0.text("outcome") }.first == "stopped")
            #expect(try await output(bench, id) == "here\nbye\n")
            await bench.stop(next)
        }

        @Test(
            "as long as there is a supervisor, its launchers hear nobody else",
            .timeLimit(.minutes(5))
        )
        func supervised() async throws {
            let bench = try Workbench()
            let (server, id) = try await started(bench, policy: "{}\n")
            let before = bench.launchers
            #expect(before.count == 1)
            for signal in [SIGTERM, SIGWINCH] {
                for pid in before { kill(pid, signal) }
            }
            #expect(try await bench.bulkhead("cancel", id).code == 0)
            let task = try await bench.ended(id)
            #expect(task.text("status") == "cancelled")
            #expect(bench.launchers == before || bench.launchers.isEmpty)
            await bench.stop(server)
        }
    }
}
