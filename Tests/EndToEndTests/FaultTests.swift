import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// Faults that are brought about by strace, sqlite3 and namespaces, where a machine has them.
    @Suite("Fault")
    struct FaultTests {
        private static let hasStrace = Tool.isThere("strace")
        private static let hasSQLite = Tool.isThere("sqlite3")

        // MARK: kill -9 at the N-th write

        /// When the writes are counted from, for strace counts them for each thread from its beginning.
        enum Moment: String, CaseIterable, Sendable {
            /// The first start ever, which makes the database.
            case firstStart
            /// A later one, so that most writes are those of tasks.
            case laterStart
            /// One that finds attempts which a crash took, so that many writes are those of recovery.
            case recovery

            /// Which writes are tried.
            var counts: [Int] {
                if CrashTests.isLong { return Array(1...300) }
                switch self {
                case .firstStart: return [1, 30, 90]
                case .laterStart: return [3, 15, 18, 22, 27, 35, 48, 66]
                case .recovery: return [4, 8, 12, 15, 18, 21, 25]
                }
            }
        }

        /// What one supervisor that was to be killed came to.
        private struct Kill {
            var wasReached: Bool
            var acknowledged: Int
        }

        @Test(
            "kill -9 at the N-th write or sync to the disk leaves a database that is whole and true",
            .timeLimit(.minutes(CrashTests.isLong ? 60 : 3)),
            .enabled(if: hasStrace, "needs strace"),
            .enabled(if: hasSQLite, "needs sqlite3"),
            arguments: Moment.allCases
        )
        func countedWrites(from moment: Moment) async throws {
            var kills: [Kill] = []
            for count in moment.counts {
                let kill = try await killAtWrite(count, from: moment)
                // Whatever lies beyond the workload's last write cannot be reached either.
                guard kill.wasReached else { break }
                kills.append(kill)
            }
            let underLoad = kills.count { $0.acknowledged > 0 }
            print(
                "\(moment): killed at \(kills.count) of \(moment.counts.count) counts, \(underLoad) under load"
            )
            #expect(kills.count >= 3)
            // Before the first submit there would be nothing to lose.
            if moment == .laterStart { #expect(underLoad >= 4) }
        }

        private func killAtWrite(_ count: Int, from moment: Moment) async throws -> Kill {
            let bench = try Workbench()
            let script = "gate open; echo one; echo two >&2; echo '{\"result\":1}' >&3"
            try bench.gatedHandler("talk", script, policy: "recovery: {mode: rehydrate, limit: 9}\n")
            try bench.gatedHandler("once", "gate open; echo once")
            try bench.policy("pools", "default: {concurrency: 8}\n")
            var acknowledged: [String] = []
            if moment == .laterStart { try await bench.serving { _ in } }
            if moment == .recovery { acknowledged = try await crashed(bench) }
            try bench.open("open")
            let inject = "inject=pwrite64,fdatasync,fsync:signal=KILL:when=\(count)"
            let traced = try ChildProcess(
                "/usr/bin/env",
                [
                    "strace", "-f", "-o", "/dev/null", "-e", "trace=pwrite64,fdatasync,fsync", "-e", inject,
                    Workbench.programs + "/bulkhead", "serve", "--plugins", bench.plugins, "--policies",
                    bench.policies, "--state", bench.state, "--scratch", bench.folder + "/scratch",
                ],
                environment: ["PATH": "/usr/bin:/bin", "HOME": bench.folder, "LANG": "C.UTF-8"],
                folder: bench.folder
            )
            acknowledged += await load(bench, until: { traced.hasEnded })
            if !traced.hasEnded {
                for child in ProcessTable.children(of: traced.pid) { kill(child.pid, SIGTERM) }
            }
            let end = await traced.result()
            try await bench.expectNoHandlers()
            try await expectWhole(bench, acknowledged, count)
            // strace ends as its child does.
            return Kill(wasReached: end.signal == SIGKILL, acknowledged: acknowledged.count)
        }

        /// A supervisor takes eight tasks and is killed while all of them run.
        private func crashed(_ bench: Workbench) async throws -> [String] {
            let server = try await bench.start()
            do {
                let tasks = (0..<8).map { JSONValue.object(["type": .string($0 % 2 == 0 ? "talk" : "once")]) }
                let ids = try await bench.submitBatch(tasks)
                let allRun = try await bench.eventually {
                    let tasks = try await bench.count(.running)
                    return tasks == 8 && bench.handlerProcesses.count >= 8
                }
                #expect(allRun)
                await bench.crash(server)
                try await bench.expectNoHandlers()
                return ids
            } catch {
                await bench.crash(server)
                throw error
            }
        }

        /// Submits twenty tasks, one after another, as far as the supervisor lives.
        private func load(_ bench: Workbench, until hasEnded: () -> Bool) async -> [String] {
            var acknowledged: [String] = []
            for step in 0..<2000 where acknowledged.count < 20 {
                if hasEnded() { return acknowledged }
                let type = step % 2 == 0 ? "talk" : "once"
                let answer = try? await bench.api("POST", "/v1/tasks", ["type": .string(type)])
                if answer?.status == 201, let id = answer?.json.text("id") {
                    acknowledged.append(id)
                } else {
                    try? await Task.sleep(for: .milliseconds(10))
                }
            }
            _ = try? await bench.eventually(within: .seconds(10)) {
                if hasEnded() { return true }
                let counts = try await bench.api("GET", "/v1/status").json["counts"]
                return counts?["queued"]?.integer == 0 && counts?["running"]?.integer == 0
            }
            return acknowledged
        }

        private func expectWhole(_ bench: Workbench, _ acknowledged: [String], _ count: Int) async throws {
            let database = bench.state + "/bulkhead.sqlite"
            if FileManager.default.fileExists(atPath: database) {
                let check = try await Tool.run(
                    "sqlite3",
                    database,
                    "PRAGMA integrity_check; PRAGMA foreign_key_check;"
                )
                #expect(check.out == "ok\n", "write \(count): \(check.out)\(check.err)")
            }
            try await bench.serving { bench in
                #expect(try await bench.waitsUntilIdle(within: .seconds(30)))
                let tasks = try await bench.allTasks()
                let ids = tasks.map { $0.text("id") }
                #expect(Set(ids).count == ids.count && Set(acknowledged).isSubset(of: ids), "write \(count)")
                for task in tasks {
                    let losses = task["interruptions"]?.integer ?? -1
                    let (status, attempt) = (task.text("status"), task["attempt"]?.integer)
                    if task.text("type") == "talk" {
                        #expect(
                            status == "completed" && attempt == losses + 1,
                            "write \(count): \(task.text)"
                        )
                        #expect(task["output"] == ["stdoutBytes": 4, "stderrBytes": 4, "droppedBytes": 0])
                    } else {
                        #expect(attempt == 1 && losses == (status == "completed" ? 0 : 1), "write \(count)")
                        #expect(
                            ["completed", "interrupted"].contains(status),
                            "write \(count): \(task.text)"
                        )
                    }
                }
            }
        }

        // MARK: Strangers

        /// How a row that names a stranger comes about.
        enum Disguise: String, CaseIterable, Sendable {
            /// The number is the stranger's, the start time that of who had it before.
            case startTime
            /// All is the stranger's, but the machine was started anew since.
            case bootID
        }

        @Test(
            "a process that only has the number of a recorded one is never signalled",
            .timeLimit(.minutes(1)),
            .enabled(if: hasSQLite, "needs sqlite3"),
            arguments: Disguise.allCases
        )
        func stranger(disguise: Disguise) async throws {
            let bench = try Workbench()
            try bench.handler("once", "exec sleep 600")
            let server = try await bench.start()
            let id = try await bench.submit("once")
            _ = try await bench.processes(of: id)
            #expect(try await bench.waits(for: id, toBe: .running))
            await bench.crash(server)
            try await bench.expectNoHandlers()

            // A session of its own, as a handler has, so that a signal to its group would be seen as well.
            let stranger = try ChildProcess(
                "/usr/bin/setsid",
                ["sleep", "600"],
                environment: ["PATH": "/usr/bin:/bin"],
                folder: "/"
            )
            defer { stranger.send(SIGKILL) }
            let isSleeping = try await bench.eventually {
                ProcessTable.entry(of: stranger.pid)?.name == "sleep"
            }
            #expect(isSleeping)
            let entry = try #require(ProcessTable.entry(of: stranger.pid))
            let start = disguise == .startTime ? entry.startTime - 1 : entry.startTime
            let boot = disguise == .bootID ? "'00000000-0000-4000-8000-000000000000'" : "launcherBoot"
            let change = """
                UPDATE attempt SET launcherPID = \(entry.pid), launcherStart = \(start),
                processPID = \(entry.pid), processStart = \(start), processBoot = \(boot), launcherBoot = \(boot);
                SELECT changes();
                """
            let changed = try await Tool.run("sqlite3", bench.state + "/bulkhead.sqlite", change)
            #expect(changed.out == "1\n", "sqlite3 said \(changed.err)")
            try await bench.serving { bench in
                let task = try await bench.task(id)
                #expect(task.text("status") == "interrupted" && task["interruptions"] == 1)
            }
            #expect(ProcessTable.isAlive(entry) && !stranger.hasEnded)
        }

        @Test(
            "a number that the kernel has given to another process is that process's alone",
            .timeLimit(.minutes(1)),
            .enabled(if: geteuid() == 0, "needs root: a pid namespace with its own ns_last_pid"),
            .enabled(if: Tool.isThere("unshare"), "needs unshare"),
            .enabled(if: hasSQLite, "needs sqlite3")
        )
        func reusedNumber() async throws {
            let bench = try Workbench()
            try bench.handler("once", "exec sleep 600")
            let script = """
                serve() {
                    '\(Workbench.programs)/bulkhead' serve --plugins '\(bench.plugins)' \
                        --policies '\(bench.policies)' --state '\(bench.state)' \
                        --scratch '\(bench.folder)/scratch' --socket '\(bench.socket)' --on-stop stop \
                        2>'\(bench.folder)/said' &
                    server=$!
                    until grep -q ready '\(bench.folder)/said'; do sleep 0.05; done
                }
                verb() { '\(Workbench.programs)/bulkhead' "$@" --socket '\(bench.socket)'; }
                row() { sqlite3 '\(bench.state)/bulkhead.sqlite' "SELECT $1 FROM attempt"; }
                serve
                id=$(verb submit once)
                until [ -n "$(row processPID)" ]; do sleep 0.05; done
                pid=$(row processPID); launcher=$(row launcherPID)
                kill -9 $server $launcher; wait $server 2>/dev/null
                while kill -0 $pid 2>/dev/null; do sleep 0.05; done
                for try in 1 2 3 4 5 6 7 8 9 10; do
                    echo $((pid - 1)) > /proc/sys/kernel/ns_last_pid
                    sleep 500 & stranger=$!
                    [ $stranger = $pid ] && break
                    kill -9 $stranger
                done
                serve
                kill -0 $stranger && [ "$(cat /proc/$stranger/comm)" = sleep ] && echo "$stranger $pid lives"
                verb show $id --json
                kill $server; wait $server
                """
            let result = try await Tool.run(
                "timeout",
                "--signal=KILL",
                "40",
                "unshare",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "sh",
                "-c",
                script
            )
            let lines = result.out.split(separator: "\n", maxSplits: 1)
            let first = try #require(lines.first?.split(separator: " "), "it said \(result.err)")
            #expect(first.count == 3 && first[0] == first[1] && first[2] == "lives", "\(result.out)")
            let task = try JSONParser.parse(Array((lines.last ?? "").utf8))
            #expect(task.text("status") == "interrupted" && task["interruptions"] == 1)
        }

        // MARK: Want of processes and descriptors

        @Test(
            "a fork that is refused puts the task back; it runs later, as the same attempt",
            .timeLimit(.minutes(1)),
            .enabled(if: hasStrace, "needs strace"),
            .enabled(if: geteuid() == 0, "needs root: not even its own user may trace a launcher")
        )
        func forkRefused() async throws {
            let bench = try Workbench()
            try bench.handler("fine", "echo fine")
            try bench.policy("pools", "default: {concurrency: 1}\n")
            let server = try await bench.start()
            do {
                let before = try await bench.output(of: "fine")
                #expect(before.text == "fine\n")
                let descriptors = ProcessTable.descriptors(of: server.pid)
                let launcher = try #require(ProcessTable.children(of: server.pid).first)
                let tracer = try ChildProcess(
                    "/usr/bin/env",
                    [
                        "strace", "-p", "\(launcher.pid)", "-o", bench.folder + "/trace", "-e",
                        "trace=fork,vfork,clone,clone3", "-e",
                        "inject=fork,vfork,clone,clone3:error=EAGAIN:when=1",
                    ],
                    environment: ["PATH": "/usr/bin:/bin"],
                    folder: "/"
                )
                #expect(await tracer.says("attached"))
                let id = try await bench.submit("fine")
                let waits = try await bench.eventually {
                    let task = try await bench.task(id)
                    return task.text("status") == "queued" && !task.text("waitingFor").isEmpty
                }
                #expect(waits, "the fault was not seen")
                let task = try await bench.ended(id)
                #expect(task.text("status") == "completed" && task["attempt"] == 1)
                #expect(task["interruptions"] == 0)
                let pool = try await bench.pool("default")
                #expect(pool?["failures"] == 0)
                tracer.send(SIGTERM)
                _ = await tracer.result()
                #expect(
                    try await bench.eventually { ProcessTable.descriptors(of: server.pid) <= descriptors + 2 }
                )
            } catch {
                await bench.crash(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
        }
    }
}
