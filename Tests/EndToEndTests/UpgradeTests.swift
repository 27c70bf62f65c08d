import BulkheadCore
import BulkheadLaunch
import Foundation
import Testing

extension EndToEnd {
    /// A new version on the state folder of the old one, and what an old version may have left.
    @Suite("Upgrade")
    struct UpgradeTests {
        /// How many handlers print; more by hand, each of them more slowly.
        private static let handlers =
            ProcessInfo.processInfo.environment["BULKHEAD_UPGRADE_HANDLERS"].flatMap { Int($0) } ?? 5

        /// Counts to standard output, every 10 ms where there are few, until its gate opens, and says the longest time
        /// between two lines, by its own clock.
        private static func counter(_ bench: Workbench) -> String {
            """
            #!/usr/bin/python3
            import json, os, time
            gate = '\(bench.folder)/gates/done'
            count, last, longest = 0, time.monotonic(), 0.0
            while not os.path.exists(gate):
                print(count, flush=True)
                count += 1
                time.sleep(\(0.002 * Double(handlers)))
                now = time.monotonic()
                longest, last = max(longest, now - last), now
            os.write(3, json.dumps({"result": {"count": count, "longest": longest}}).encode() + b"\\n")
            """
        }

        /// The same programs in another folder, as an installation of the next version.
        private static func nextVersion(_ bench: Workbench) throws -> String {
            let folder = bench.folder + "/next"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            for name in ["bulkhead", "bulkhead-launcher"] {
                let (from, to) = (Workbench.programs + "/" + name, folder + "/" + name)
                // A link is as good as a copy, and the programs are large.
                do {
                    try FileManager.default.linkItem(atPath: from, toPath: to)
                } catch {
                    try FileManager.default.copyItem(atPath: from, toPath: to)
                }
            }
            return folder
        }

        @Test(
            "a new version takes over while handlers print: none waits, no line is lost or doubled",
            .timeLimit(.minutes(5)),
            .enabled(if: Tool.isThere("python3"), "needs python3"),
            arguments: [SIGTERM, SIGKILL]
        )
        func takesOver(signal: Int32) async throws {
            let bench = try Workbench()
            try bench.gatedHandler("unused", ":")
            try bench.handler("counter.py", Self.counter(bench))
            try bench.policy("counter", "sandbox: {read: [\"\(bench.folder)/gates\"]}\n")
            try bench.policy("pools", "default: {concurrency: \(Self.handlers)}\n")
            let next = try Self.nextVersion(bench)
            var server = try await bench.start(["--on-stop", "leave"])
            try await bench.waitsForHandler("counter")
            let ids = try await bench.submitBatch(Array(repeating: ["type": "counter"], count: Self.handlers))
            for id in ids { #expect(try await bench.eventually { try await lines(bench, id).count >= 20 }) }
            for programs in [next, Workbench.programs] {
                let seen = try await lines(bench, ids[0]).count
                server.send(signal)
                let end = await server.result()
                #expect(signal == SIGKILL ? end.signal == SIGKILL : end.code == 0, "\(end.err)")
                server = try bench.launchServer(["--on-stop", "leave"], programs: programs)
                #expect(await server.says("ready"))
                let recovery = try await bench.answer("status")["recovery"]
                #expect(recovery?["adopted"]?.integer == Int64(Self.handlers))
                #expect(try await bench.eventually { try await lines(bench, ids[0]).count > seen + 20 })
            }
            try bench.open("done")
            for id in ids {
                let task = try await bench.ended(id)
                #expect(task.text("status") == "completed", "\(task.message)")
                #expect((task["attempt"], task["interruptions"], task["run"]) == (1, 0, 1))
                #expect(task["output"]?["droppedBytes"] == 0)
                let count = try #require(task["result"]?["count"]?.integer)
                #expect(try await lines(bench, id) == (0..<count).map { "\($0)" })
                let longest = try #require(task["result"]?["longest"]?.double)
                #expect(longest < 1, "a handler waited \(longest) s for its supervisor")
            }
            #expect(await bench.stop(server).code == 0)
        }

        private func lines(_ bench: Workbench, _ id: String) async throws -> [String] {
            try await bench.bulkhead("logs", id, "--stream", "stdout").out.split(separator: "\n").map(
                String.init
            )
        }

        // MARK: What another version left

        /// Listens as a launcher does, says what nobody understands, and at last leaves the record that lies ready.
        private static func strangeLauncher(socket: String, record: String, gate: String) -> String {
            """
            import os, socket, threading, time
            server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            if os.path.exists('\(socket)'): os.unlink('\(socket)')
            server.bind('\(socket)')
            server.listen(8)
            print('listens', flush=True)
            def answer():
                while True:
                    visitor, _ = server.accept()
                    visitor.send(bytes([0x42, 0x48, 0x4B, 0x4C, 99, 0, 5]))
                    visitor.close()
            threading.Thread(target=answer, daemon=True).start()
            while not os.path.exists('\(gate)'): time.sleep(0.02)
            os.rename('\(record)', '\(socket).outcome')
            """
        }

        @Test(
            "a launcher of an unknown version is left to finish, and then its record is taken",
            .timeLimit(.minutes(5)),
            .enabled(if: Tool.isThere("python3") && Tool.isThere("sqlite3"), "needs python3 and sqlite3")
        )
        func unknownVersion() async throws {
            let bench = try Workbench()
            try bench.gatedHandler("once", "gate never")
            let first = try await bench.start()
            let id = try await bench.submit("once")
            _ = try await bench.processes(of: id)
            #expect(try await bench.waits(for: id, toBe: .running))
            await bench.crash(first)
            try await bench.expectNoHandlers()

            let database = bench.state + "/bulkhead.sqlite"
            let asked = try await Tool.run("sqlite3", database, "SELECT launcherName FROM attempt")
            let name = asked.out.trimmingCharacters(in: .whitespacesAndNewlines)
            var outcome = LaunchOutcome(ending: .exited(code: 0))
            outcome.stdoutBytes = 6
            let record = OutcomeRecord(
                task: id,
                attempt: 1,
                messages: [
                    .output(attempt: 1, stream: .stdout, offset: 0, bytes: Array("later\n".utf8)),
                    .finished(attempt: 1, outcome: outcome),
                ]
            )
            let draft = bench.state + "/launchers/draft"
            try Data(record.encoded()).write(to: URL(filePath: draft))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: draft)
            let strange = try ChildProcess(
                "/usr/bin/env",
                [
                    "python3", "-c",
                    Self.strangeLauncher(
                        socket: bench.state + "/launchers/" + name,
                        record: bench.folder + "/record",
                        gate: bench.folder + "/gates/finish"
                    ),
                ],
                environment: ["PATH": "/usr/bin:/bin"],
                folder: "/"
            )
            defer { strange.send(SIGKILL) }
            // Kept outside of the folder until then, which a start sweeps.
            try FileManager.default.moveItem(atPath: draft, toPath: bench.folder + "/record")
            let listens = try await bench.eventually {
                FileManager.default.fileExists(atPath: bench.state + "/launchers/" + name)
            }
            #expect(listens)
            let entry = try #require(ProcessTable.entry(of: strange.pid))
            let changed = try await Tool.run(
                "sqlite3",
                database,
                "UPDATE attempt SET launcherPID = \(entry.pid), launcherStart = \(entry.startTime); SELECT changes();"
            )
            #expect(changed.out == "1\n", "sqlite3 said \(changed.err)")

            let next = try await bench.start()
            let recovery = try await bench.answer("status")["recovery"]
            #expect(recovery?["waiting"] == 1)
            let waiting = try await bench.task(id)
            #expect(waiting.text("status") == "running" && waiting["interruptions"] == 0)
            #expect(ProcessTable.isAlive(entry), "it is left alone")
            try bench.open("finish")
            let task = try await bench.ended(id)
            #expect(task.text("status") == "completed" && task["attempt"] == 1, "\(task.text)")
            let said = try await bench.bulkhead("logs", id, "--stream", "stdout").out
            #expect(said == "later\n")
            #expect(await bench.stop(next).code == 0)
        }

        // MARK: No room for the record

        @Test(
            "an outcome for whose record there is no room is told by its launcher, or the attempt is lost",
            .timeLimit(.minutes(5)),
            .enabled(if: geteuid() == 0, "needs root: a small file system of its own"),
            arguments: [false, true]
        )
        func noRoom(launcherIsGone: Bool) async throws {
            let bench = try Workbench()
            try bench.gatedHandler("once", "echo said; gate done; echo '{\"result\":7}' >&3")
            try await bench.serving { _ in }
            let folder = bench.state + "/launchers"
            let mounted = try await Tool.run(
                "mount",
                "-t",
                "tmpfs",
                "-o",
                "size=16k,mode=0700",
                "none",
                folder
            )
            try #require(mounted.code == 0, "mount said \(mounted.err)")
            var outcome: Result<Void, any Error> = .success(())
            do {
                try await losesRoom(bench, folder, launcherIsGone)
            } catch {
                outcome = .failure(error)
            }
            for launcher in bench.launchers { kill(launcher, SIGKILL) }
            _ = try await Tool.run("umount", "-l", folder)
            try outcome.get()
        }

        private func losesRoom(_ bench: Workbench, _ folder: String, _ launcherIsGone: Bool) async throws {
            let first = try await bench.start()
            try await bench.waitsForHandler("once")
            let id = try await bench.submit("once")
            #expect(try await bench.waits(for: id, toBe: .running))
            let (handler, launcher) = try await bench.processes(of: id)
            first.send(SIGKILL)
            _ = await first.result()
            fill(folder + "/filler")
            try bench.open("done")
            #expect(try await bench.eventually { !ProcessTable.isAlive(handler) })
            if launcherIsGone {
                kill(launcher.pid, SIGKILL)
                #expect(try await bench.eventually { !ProcessTable.isAlive(launcher) })
            }
            let next = try await bench.start()
            let task = try await bench.ended(id)
            if launcherIsGone {
                #expect((task.text("status"), task.reason) == ("interrupted", "supervisor-lost"))
                #expect(task["result"] == nil)
            } else {
                #expect(task.text("status") == "completed" && task["result"] == 7, "\(task.text)")
            }
            #expect(task["attempt"] == 1)
            #expect(await bench.stop(next).code == 0)
        }

        /// Writes until there is no more room.
        private func fill(_ path: String) {
            let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            defer { close(descriptor) }
            let block = [UInt8](repeating: 0, count: 512)
            while unsafe write(descriptor, block, block.count) > 0 {}
        }
    }
}
