import Foundation
import Testing

extension EndToEnd {
    /// What the scripts of the Debian package do where there is no systemd.
    @Suite("Package scripts", .enabled(if: Tool.isThere("flock"), "needs flock, which every Debian has"))
    struct PackageScriptTests {
        /// Runs the script that comes before a removal, for the state folder of a test.
        private func prerm(_ bench: Workbench, _ action: String) async throws -> ChildProcess.Result {
            let path = Workbench.checkout + "/deploy/debian/prerm"
            let text = try String(contentsOfFile: path, encoding: .utf8)
                .replacing("/run/systemd/system", with: bench.folder + "/none")
                .replacing("/etc/bulkhead/bulkhead.yaml", with: bench.folder + "/bulkhead.yaml")
            try bench.write("# state: /nowhere\nstate: \"\(bench.state)\"   # ours\n", to: "bulkhead.yaml")
            try bench.write(text, to: "prerm", mode: 0o755)
            return try await Tool.run("sh", bench.folder + "/prerm", action)
        }

        /// A supervisor that leaves its tasks at a stop, and a task that goes on.
        private func busy(_ bench: Workbench) async throws -> (server: ChildProcess, id: String) {
            try bench.handler("endless", "while :; do sleep 0.05; done")
            let server = try await bench.start(["--on-stop", "leave"])
            #expect(try await bench.eventually { try await bench.isUsable("endless") })
            let id = try await bench.submit("endless")
            #expect(try await bench.eventually { !bench.handlerProcesses.isEmpty })
            return (server, id)
        }

        @Test(
            "a removal ends the supervisor of its state folder with its tasks, and no other one",
            .timeLimit(.minutes(5))
        )
        func removal() async throws {
            let (ours, theirs) = (try Workbench(), try Workbench())
            let (server, _) = try await busy(ours)
            let (other, task) = try await busy(theirs)
            #expect(try await prerm(ours, "upgrade").out == "")
            #expect(!server.hasEnded)
            let told = try await prerm(ours, "remove")
            #expect(told.code == 0, "\(told.err)")
            #expect(told.out == "bulkhead: stopping the supervisor (process \(server.pid)) and its tasks\n")
            #expect(await server.result().code != nil)
            #expect(ours.handlerProcesses.isEmpty)
            #expect(try await ours.eventually { ours.launchers.isEmpty })
            #expect(try await prerm(ours, "remove").out == "", "nobody is there any more")
            #expect(!other.hasEnded)
            #expect(try await theirs.bulkhead("cancel", task).code == 0)
            #expect(try await theirs.ended(task).text("status") == "cancelled")
            await theirs.stop(other)
        }

        @Test(
            "a number in the lock that is another process's is signalled to nobody, and the removal says what stays",
            .timeLimit(.minutes(5))
        )
        func stranger() async throws {
            let bench = try Workbench()
            let (server, _) = try await busy(bench)
            let stranger = try ChildProcess("/usr/bin/sleep", ["1000"], environment: [:], folder: "/")
            defer { stranger.send(SIGKILL) }
            for words in ["\(stranger.pid)\n", "1\n", "\n", "-1\n", "no number\n"] {
                // In place, as the lock is held on this very file.
                let lock = try FileHandle(forUpdating: URL(filePath: bench.state + "/lock"))
                try lock.truncate(atOffset: 0)
                try lock.write(contentsOf: Data(words.utf8))
                let told = try await prerm(bench, "remove")
                #expect(told.code == 0, "\(told.err)")
                #expect(told.out.hasPrefix("bulkhead: a supervisor still has \(bench.state), and goes on"))
                #expect(told.err == "")
            }
            #expect(!stranger.hasEnded)
            #expect(!server.hasEnded)
            #expect(bench.handlerProcesses.count > 0)
            server.send(SIGINT)
            _ = await server.result()
        }
    }
}
