import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// Faults that are brought about by strace, sqlite3 and namespaces, where a machine has them.
    @Suite("Fault")
    struct FaultTests {
        private static let hasStrace = Tool.isThere("strace")
        private static let hasSQLite = Tool.isThere("sqlite3")

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
            .timeLimit(.minutes(5)),
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
            .timeLimit(.minutes(5)),
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
            .timeLimit(.minutes(5)),
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
                // A second one may be warm already, and is then the one that is taken.
                let launchers = ProcessTable.children(of: server.pid)
                #expect(!launchers.isEmpty)
                let tracer = try ChildProcess(
                    "/usr/bin/env",
                    ["strace"] + launchers.flatMap { ["-p", "\($0.pid)"] } + [
                        "-o", bench.folder + "/trace", "-e", "trace=fork,vfork,clone,clone3", "-e",
                        "inject=fork,vfork,clone,clone3:error=EAGAIN:when=1",
                    ],
                    environment: ["PATH": "/usr/bin:/bin"],
                    folder: "/"
                )
                #expect(await tracer.says("attached"))
                let id = try await bench.submit("fine")
                // The wait for the next try lasts a second, in which nobody may have looked on a busy machine.
                var trace = ""
                let isRefused = try await bench.eventually {
                    let task = try await bench.task(id)
                    trace = (try? String(contentsOfFile: bench.folder + "/trace", encoding: .utf8)) ?? ""
                    let waits = task.text("status") == "queued" && !task.text("waitingFor").isEmpty
                    return waits || trace.contains("(INJECTED)")
                }
                #expect(isRefused, "the fault was not seen: \(trace)")
                let task = try await bench.ended(id)
                #expect(task.text("status") == "completed" && task["attempt"] == 1)
                #expect(task["interruptions"] == 0)
                let pool = try await bench.pool("default")
                #expect(pool?["failures"] == 0)
                tracer.send(SIGTERM)
                _ = await tracer.result()
                // A second launcher stays warm where the traced one was slow to answer.
                let launcherDescriptors = 4
                #expect(
                    try await bench.eventually {
                        ProcessTable.descriptors(of: server.pid) <= descriptors + launcherDescriptors
                    }
                )
            } catch {
                await bench.crash(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
        }
    }
}
