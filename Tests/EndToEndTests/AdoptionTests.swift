import BulkheadCore
import BulkheadLaunch
import CLinux
import Foundation
import Testing

extension EndToEnd {
    /// What a supervisor leaves behind, and what the next one makes of it.
    @Suite("Adoption")
    struct AdoptionTests {
        /// Prints a counter every 10 ms until the gate `done` opens; what follows, follows then.
        private static func counter(_ bench: Workbench, first: String = "", last: String = "") -> String {
            """
            \(first)
            i=0
            until [ -e '\(bench.folder)/gates/done' ]; do echo $i; i=$((i+1)); sleep 0.01; done
            \(last)
            """
        }

        /// A counter with a supervisor of its own, which has already said something.
        private func started(
            _ bench: Workbench,
            first: String = "",
            last: String = "",
            policy: String = ""
        ) async throws -> (server: ChildProcess, id: String) {
            try bench.gatedHandler(
                "counter",
                Self.counter(bench, first: first, last: last),
                policy: policy
            )
            let server = try await bench.start(["--on-stop", "leave"])
            #expect(try await bench.eventually { try await bench.isUsable("counter") })
            let id = try await bench.submit("counter")
            #expect(try await bench.eventually { try await lines(bench, id).count >= 20 })
            return (server, id)
        }

        private func lines(_ bench: Workbench, _ id: String) async throws -> [Substring] {
            try await bench.bulkhead("logs", id, "--stream", "stdout").out.split(separator: "\n")
        }

        private func end(_ server: ChildProcess, _ signal: Int32) async {
            server.send(signal)
            let result = await server.result()
            #expect(signal == SIGKILL ? result.signal == SIGKILL : result.code == 0, "\(result.err)")
        }

        private func expectWhole(_ bench: Workbench, _ task: JSONValue, beyond count: Int) async throws {
            let lines = try await lines(bench, task.text("id"))
            #expect(lines.count > count)
            #expect(lines == (0..<lines.count).map { "\($0)" }, "the counter has a fault")
            #expect(task["attempts"]?.array?.count == 1)
            #expect((task["attempt"], task["interruptions"]) == (1, 0))
            #expect(task["output"]?["droppedBytes"] == 0)
        }

        private func recovery(_ bench: Workbench) async throws -> JSONValue? {
            try await bench.answer("status")["recovery"]
        }

        private func records(_ bench: Workbench) -> [String] {
            let names = try? FileManager.default.contentsOfDirectory(atPath: bench.state + "/launchers")
            return (names ?? []).filter { $0.hasSuffix(".outcome") }
        }

        @Test(
            "a handler that prints on is adopted: every byte once, one attempt, all that it said",
            .timeLimit(.minutes(5)),
            arguments: [SIGKILL, SIGTERM]
        )
        func adopted(signal: Int32) async throws {
            let bench = try Workbench()
            let first = """
                echo kept > note
                echo '{"progress":{"fraction":0.25,"message":"on the way"}}' >&3
                echo 'what is this' >&3
                echo '{"result":{"sum":42}}' >&3
                """
            let (server, id) = try await started(bench, first: first, last: "cat note >&2; id -u >&2")
            await end(server, signal)
            let before = bench.launchers
            #expect(before.count == 1, "the launcher lives on")
            try await Task.sleep(for: .milliseconds(500))
            let next = try await bench.start()
            #expect(try await recovery(bench)?["adopted"] == 1)
            let count = try await lines(bench, id).count
            #expect(count >= 40, "the time without a supervisor is there")
            #expect(try await bench.eventually { try await lines(bench, id).count > count + 10 })
            #expect(bench.launchers == before)
            // What it holds of the host is neither swept nor given away.
            try bench.handler("who", "id -u")
            #expect(try await bench.eventually { try await bench.isUsable("who") })
            let other = try await bench.output(of: "who").text
            try bench.open("done")
            let task = try await bench.ended(id)
            #expect(task.text("status") == "completed", "\(task.message)")
            try await expectWhole(bench, task, beyond: count)
            let errors = try await bench.bulkhead("logs", id, "--stream", "stderr").err
            #expect(errors.hasPrefix("kept\n"), "the working folder is still there")
            #expect(getuid() != 0 || !errors.hasSuffix("\n" + other), "no two attempts have one user")
            #expect(task["result"]?["sum"] == 42)
            #expect(task["progress"]?.text("message") == "on the way")
            #expect(task.warnings.contains("what is this"))
            #expect(try await bench.eventually { bench.launchers.filter { before.contains($0) }.isEmpty })
            await bench.stop(next)
        }

        @Test(
            "what ended while nobody was there has its true outcome, from its launcher or from the record",
            .timeLimit(.minutes(5)),
            arguments: [(SIGKILL, false), (SIGKILL, true), (SIGTERM, false), (SIGTERM, true)]
        )
        func recorded(signal: Int32, launcherIsGone: Bool) async throws {
            let bench = try Workbench()
            let last = """
                echo '{"error":{"message":"no such luck","hint":"try again"}}' >&3
                echo bye >&2
                exit 65
                """
            let (server, id) = try await started(bench, last: last)
            await end(server, signal)
            try bench.open("done")
            #expect(try await bench.eventually { records(bench).count == 1 })
            if launcherIsGone {
                for pid in bench.launchers { kill(pid, SIGKILL) }
                #expect(try await bench.eventually { bench.launchers.isEmpty })
            }
            let beforeNext = Int64(Date().timeIntervalSince1970 * 1_000)
            let next = try await bench.start()
            let task = try await bench.ended(id)
            #expect((task.text("status"), task.reason) == ("failed", "exit"))
            let completed = try #require(task.milliseconds("completedAt"))
            #expect(completed <= beforeNext && completed >= task.milliseconds("startedAt") ?? .max)
            #expect(task["error"]?["exitCode"] == 65)
            #expect(task.message.contains("no such luck"))
            try await expectWhole(bench, task, beyond: 19)
            #expect(try await bench.bulkhead("logs", id, "--stream", "stderr").err.hasSuffix("bye\n"))
            #expect(try await recovery(bench)?[launcherIsGone ? "recorded" : "adopted"] == 1)
            #expect(try await bench.eventually { records(bench).isEmpty && bench.launchers.isEmpty })
            await bench.stop(next)
        }

        @Test(
            "a stranger at the launcher's socket is turned away, and the attempt goes on",
            .timeLimit(.minutes(5))
        )
        func stranger() async throws {
            let bench = try Workbench()
            let (server, id) = try await started(bench)
            await end(server, SIGKILL)
            let names = try FileManager.default.contentsOfDirectory(atPath: bench.state + "/launchers")
            let name = try #require(names.first { !$0.contains(".") })
            let wrong = [UInt8](repeating: 7, count: 32)
            let packets = [
                MessageCodec.encode(SupervisorMessage.adopt(nonce: wrong, proof: wrong)),
                MessageCodec.encode(SupervisorMessage.resume(attempt: 1, stdout: 0, stderr: 0)),
                MessageCodec.encode(SupervisorMessage.dismiss),
                [1, 2, 3],
                // A protocol of another version.
                [0x42, 0x48, 0x4B, 0x4C, 9, 0, 5],
            ]
            for packet in packets {
                let answers = try converse(bench.state + "/launchers/" + name, packet)
                #expect(answers.count == 1)
                guard case .challenge = answers.first else {
                    Issue.record("\(answers)")
                    continue
                }
            }
            let next = try await bench.start()
            #expect(try await recovery(bench)?["adopted"] == 1)
            #expect(next.errorsSoFar.contains("turned strangers away"))
            try bench.open("done")
            let task = try await bench.ended(id)
            #expect(task.text("status") == "completed")
            try await expectWhole(bench, task, beyond: 20)
            await bench.stop(next)
        }

        /// Says one thing to a launcher and gives its messages up to the end of the connection.
        private func converse(_ path: String, _ packet: [UInt8]) throws -> [LauncherMessage] {
            let socket = unsafe clinux_packet_connect(path)
            try #require(socket >= 0)
            defer { close(socket) }
            _ = unsafe clinux_send_packet(socket, packet, packet.count, nil, 0, 0)
            var answers: [LauncherMessage] = []
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
                try #require(unsafe clinux_poll(&entry, 1, 10_000_000_000) == 1, "it hangs")
                var got = clinux_packet()
                let status = unsafe clinux_receive_packet(socket, &buffer, buffer.count, 0, &got)
                guard status == 0, !got.end else { return answers }
                answers.append(try MessageCodec.launcherMessage(buffer[..<got.count]))
            }
        }

        @Test("a recovery that is killed five times in a row comes to the same end", .timeLimit(.minutes(5)))
        func killedRecovery() async throws {
            let bench = try Workbench()
            let (server, id) = try await started(bench)
            await end(server, SIGKILL)
            for round in 0..<5 {
                let again = try bench.launchServer(["--log-level", "debug"])
                // At other instants each time, from before the lock is taken to after the adoption.
                try await Task.sleep(for: .milliseconds(20 + 60 * round))
                await end(again, SIGKILL)
            }
            let next = try await bench.start()
            #expect(try await recovery(bench)?["adopted"] == 1)
            try bench.open("done")
            let task = try await bench.ended(id)
            #expect(task.text("status") == "completed")
            try await expectWhole(bench, task, beyond: 20)
            await bench.stop(next)
        }

        @Test(
            "an attempt whose launcher was killed meanwhile is lost, and its policy says what follows",
            .timeLimit(.minutes(5)),
            arguments: ["interrupt", "rehydrate"]
        )
        func lost(mode: String) async throws {
            let bench = try Workbench()
            let (server, id) = try await started(bench, policy: "recovery: \(mode)\n")
            await end(server, SIGKILL)
            for pid in bench.launchers { kill(pid, SIGKILL) }
            try bench.open("done")
            let next = try await bench.start()
            let task = try await bench.ended(id)
            #expect((task["run"], task["interruptions"]) == (1, 1))
            if mode == "interrupt" {
                #expect((task.text("status"), task.reason) == ("interrupted", "supervisor-lost"))
            } else {
                #expect((task.text("status"), task["attempt"]) == ("completed", 2))
            }
            await bench.stop(next)
        }

        @Test("what a flood without a supervisor costs is said to the byte", .timeLimit(.minutes(5)))
        func flood() async throws {
            let bench = try Workbench()
            let last = "i=0; while [ $i -lt 3000 ]; do printf '%1023d\\n' $i; i=$((i+1)); done; exit 0"
            let (server, id) = try await started(bench, last: last)
            await end(server, SIGKILL)
            try bench.open("done")
            #expect(try await bench.eventually { records(bench).count == 1 })
            let next = try await bench.start()
            let task = try await bench.ended(id)
            #expect(task.text("status") == "completed")
            let dropped = try #require(task["output"]?["droppedBytes"]?.integer)
            let written = try #require(task["output"]?["stdoutBytes"]?.integer)
            let kept = try await bench.bulkhead("logs", id, "--stream", "stdout").stdout
            #expect(dropped > 1 << 20)
            #expect(Int64(kept.count) + dropped == written)
            #expect(String(decoding: kept.suffix(5), as: UTF8.self) == "2999\n")
            await bench.stop(next)
        }

        @Test(
            "an adopted attempt is cancelled like any other; time runs on without a supervisor",
            .timeLimit(.minutes(5))
        )
        func stopped() async throws {
            let bench = try Workbench()
            let (server, id) = try await started(bench)
            await end(server, SIGKILL)
            let next = try await bench.start()
            _ = try await bench.bulkhead("cancel", id)
            #expect(try await bench.ended(id).text("status") == "cancelled")
            await bench.stop(next)
        }

        @Test("an attempt's time ends it while nobody is there", .timeLimit(.minutes(5)))
        func timeout() async throws {
            let bench = try Workbench()
            let (server, id) = try await started(bench, policy: "timeout: 2s\ngrace: 100ms\n")
            await end(server, SIGKILL)
            #expect(try await bench.eventually { records(bench).count == 1 })
            let next = try await bench.start()
            let task = try await bench.ended(id)
            #expect((task.text("status"), task.reason) == ("failed", "timeout"))
            await bench.stop(next)
        }

        @Test("SIGINT stops what runs, whatever on-stop says", .timeLimit(.minutes(5)))
        func interrupt() async throws {
            let bench = try Workbench()
            let (server, id) = try await started(bench)
            await end(server, SIGINT)
            #expect(try await bench.eventually { bench.launchers.isEmpty })
            let next = try await bench.start()
            let task = try await bench.task(id)
            #expect((task.text("status"), task["interruptions"]) == ("interrupted", 0))
            await bench.stop(next)
        }

        @Test("an idle launcher goes with its supervisor, and leaves nothing", .timeLimit(.minutes(5)))
        func idle() async throws {
            let bench = try Workbench()
            try bench.handler("quick", "echo done")
            let server = try await bench.start()
            #expect(try await bench.eventually { try await bench.isUsable("quick") })
            #expect(try await bench.finished("quick").text("status") == "completed")
            #expect(bench.launchers.count == 1)
            await end(server, SIGKILL)
            #expect(try await bench.eventually { bench.launchers.isEmpty })
            let left = try FileManager.default.contentsOfDirectory(atPath: bench.state + "/launchers")
            #expect(left.isEmpty)
        }
    }
}
