import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// How a supervisor ends when it is asked to, and what becomes of what ran.
    @Suite("Stop")
    struct StopTests {
        /// A handler that runs until its gate is opened, and then says in which attempt.
        private static let untilOpen =
            "echo began\ngate open\necho \"{\\\"result\\\":$BULKHEAD_ATTEMPT}\" >&3\n"

        @Test(
            "SIGTERM and SIGINT end what runs: rehydrate goes on at the next start, interrupt is over",
            .timeLimit(.minutes(5)),
            arguments: [SIGTERM, SIGINT]
        )
        func policyDecides(signal: Int32) async throws {
            let bench = try Workbench()
            try bench.gatedHandler("again", Self.untilOpen, policy: "pool: one\nrecovery: rehydrate\n")
            try bench.gatedHandler("once", Self.untilOpen, policy: "pool: two\n")
            try bench.policy("pools", "one: {concurrency: 2}\ntwo: {concurrency: 1}\n")
            var ids: (again: String, once: String, waiting: String)?
            let server = try await bench.start()
            do {
                let again = try await bench.submit("again")
                let once = try await bench.submit("once")
                let waiting = try await bench.submit("once")
                #expect(try await bench.eventually { bench.handlerProcesses.count >= 2 })
                #expect(try await bench.waits(for: again, toBe: .running))
                #expect(try await bench.waits(for: once, toBe: .running))
                ids = (again, once, waiting)
            } catch {
                await bench.crash(server)
                throw error
            }
            server.send(signal)
            let end = await server.result()
            #expect(end.code == 0, "serve ended with \(end)")
            #expect(bench.handlerProcesses.isEmpty)
            #expect(bench.scratchFolders.isEmpty)

            let tasks = try #require(ids)
            try bench.open("open")
            try await bench.serving { bench in
                let again = try await bench.ended(tasks.again)
                #expect(again.text("status") == "completed" && again["result"] == 2)
                #expect(again["run"] == 1 && again["attempt"] == 2 && again["interruptions"] == 0)
                let outcomes = again["attempts"]?.array?.map { $0.text("outcome") }
                #expect(outcomes == ["stopped", "completed"])

                let once = try await bench.ended(tasks.once)
                #expect(once.text("status") == "interrupted" && once.reason == "supervisor-lost")
                #expect(once["run"] == 1 && once["attempt"] == 1 && once["interruptions"] == 0)

                let waiting = try await bench.ended(tasks.waiting)
                #expect(waiting.text("status") == "completed" && waiting["attempt"] == 1)
                #expect(waiting["interruptions"] == 0)
            }
        }

        @Test("a stop never counts towards poison", .timeLimit(.minutes(5)))
        func stopsAreNoLosses() async throws {
            let bench = try Workbench()
            try bench.gatedHandler("again", Self.untilOpen, policy: "recovery: {mode: rehydrate, limit: 2}\n")
            var id: String?
            for _ in 0..<4 {
                try await bench.serving { bench in
                    if id == nil { id = try await bench.submit("again") }
                    #expect(try await bench.waits(for: try #require(id), toBe: .running))
                }
            }
            try bench.open("open")
            try await bench.serving { bench in
                let task = try await bench.ended(try #require(id))
                #expect(task.text("status") == "completed" && task["interruptions"] == 0)
                #expect(task["attempt"] == 5)
            }
        }

        @Test(
            "a handler that ignores SIGTERM is killed after its grace, its tree with it",
            .timeLimit(.minutes(5))
        )
        func ignoreTerm() async throws {
            let bench = try Workbench()
            let script = """
                trap '' TERM
                setsid sh -c 'trap "" TERM; while :; do sleep 1; done' &
                while :; do sleep 1; done
                """
            try bench.handler("deaf", script)
            try bench.policy("deaf", "grace: 1s\n")
            let server = try await bench.start()
            let id = try await bench.submit("deaf")
            #expect(try await bench.eventually { bench.handlerProcesses.count >= 3 })
            let begin = ContinuousClock.now
            let end = await bench.stop(server)
            #expect(end.code == 0, "serve ended with \(end)")
            let took = ContinuousClock.now - begin
            #expect(took >= .seconds(1) && took < .seconds(8), "it took \(took)")
            #expect(bench.handlerProcesses.isEmpty)
            try await bench.serving { bench in
                let task = try await bench.task(id)
                #expect(task.text("status") == "interrupted")
            }
        }

        @Test("a second signal ends at once, and the next start finds everything", .timeLimit(.minutes(5)))
        func secondSignal() async throws {
            let bench = try Workbench()
            try bench.handler("deaf", "trap '' TERM\nwhile :; do sleep 0.1; done")
            try bench.policy("deaf", "grace: 10m\nrecovery: rehydrate\n")
            let server = try await bench.start()
            let id = try await bench.submit("deaf")
            #expect(try await bench.waits(for: id, toBe: .running))
            #expect(try await bench.eventually { !bench.handlerProcesses.isEmpty })
            server.send(SIGTERM)
            #expect(await server.says("a second signal ends at once"))
            #expect(!server.hasEnded)
            server.send(SIGTERM)
            let end = await server.result()
            #expect(end.code == 128 + SIGTERM, "serve ended with \(end)")
            #expect(!bench.handlerProcesses.isEmpty, "what still runs is left")
            try await bench.serving { bench in
                #expect(try await bench.answer("status")["recovery"]?["adopted"] == 1)
                #expect(try await bench.task(id)["attempt"] == 1)
                _ = try await bench.bulkhead("cancel", id)
                // It ignores SIGTERM and its grace is long: only its launcher's end ends it.
                kill(try await bench.processes(of: id).launcher.pid, SIGKILL)
                let task = try await bench.ended(id)
                #expect(task.text("status") == "cancelled" && task["interruptions"] == 0)
                try await bench.expectNoHandlers()
            }
        }

        @Test(
            "an attempt whose launcher is killed while a stop is under way is stopped, not lost",
            .timeLimit(.minutes(5))
        )
        func killedWhileStopping() async throws {
            let bench = try Workbench()
            try bench.gatedHandler(
                "deaf",
                "trap 'echo told' TERM\necho \"{\\\"result\\\":$BULKHEAD_ATTEMPT}\" >&3\ngate open",
                policy: "grace: 10m\nrecovery: {mode: rehydrate, limit: 1}\n"
            )
            let server = try await bench.start()
            let id = try await bench.submit("deaf")
            let (_, launcher) = try await bench.processes(of: id)
            #expect(try await bench.waits(for: id, toBe: .running))
            server.send(SIGINT)
            let isTold = try await bench.eventually {
                try await bench.bulkhead("logs", id).out.contains("told")
            }
            #expect(isTold)
            kill(launcher.pid, SIGKILL)
            let end = await server.result()
            #expect(end.code == 0, "serve ended with \(end)")
            try bench.open("open")
            try await bench.serving { bench in
                let task = try await bench.ended(id)
                let outcomes = task["attempts"]?.array?.map { $0.text("outcome") }
                #expect(outcomes == ["stopped", "completed"], "\(task.text)")
                #expect(task["interruptions"] == 0 && task["result"] == 2)
            }
        }

        @Test("drain lets running tasks end by themselves, as long as it lasts", .timeLimit(.minutes(5)))
        func drain() async throws {
            let bench = try Workbench()
            try bench.gatedHandler("short", Self.untilOpen)
            try bench.handler("long", "sleep 600")
            try bench.policy("pools", "default: {concurrency: 4}\n")
            try bench.write("drain: 3s\n", to: "drain.yaml")
            let server = try await bench.start(["--config", bench.folder + "/drain.yaml"])
            let short = try await bench.submit("short")
            let long = try await bench.submit("long")
            #expect(try await bench.waits(for: short, toBe: .running))
            #expect(try await bench.waits(for: long, toBe: .running))
            let begin = ContinuousClock.now
            server.send(SIGTERM)
            #expect(await server.says("stopping"))
            let refused = try await bench.eventually {
                try await bench.api("POST", "/v1/tasks", ["type": "short"]).status == 503
            }
            #expect(refused)
            try bench.open("open")
            let end = await server.result()
            #expect(end.code == 0 && ContinuousClock.now - begin >= .seconds(3), "serve ended with \(end)")
            #expect(bench.handlerProcesses.isEmpty)
            try await bench.serving { bench in
                let (ended, stopped) = try await (bench.task(short), bench.task(long))
                #expect(ended.text("status") == "completed")
                #expect(stopped.text("status") == "interrupted")
            }
        }

        @Test(
            "a submit while stopping gets 503 and when to come again; reading goes on",
            .timeLimit(.minutes(5))
        )
        func submitWhileStopping() async throws {
            let bench = try Workbench()
            try bench.handler("deaf", "trap '' TERM\nwhile :; do sleep 0.1; done")
            try bench.policy("deaf", "grace: 4s\n")
            let server = try await bench.start()
            let id = try await bench.submit("deaf")
            #expect(try await bench.waits(for: id, toBe: .running))
            server.send(SIGTERM)
            #expect(try await bench.eventually { try await bench.api("GET", "/healthz").status == 503 })
            var refusal: APICall.Answer?
            #expect(
                try await bench.eventually {
                    let answer = try await bench.api("POST", "/v1/tasks", ["type": "deaf"])
                    refusal = answer
                    return answer.status == 503
                }
            )
            #expect(refusal?.head.lowercased().contains("retry-after:") == true)
            #expect(refusal?.json["detail"]?.string?.isEmpty == false)
            #expect(try await bench.api("GET", "/v1/tasks/\(id)").json.text("status") == "running")
            #expect(try await bench.api("GET", "/livez").status == 200)
            #expect(try await bench.api("GET", "/healthz").status == 503)
            #expect(await server.result().code == 0)
            // What was refused is not there.
            try await bench.serving { bench in
                let tasks = try await bench.allTasks()
                #expect(tasks.count == 1)
            }
        }

        @Test("a stop that comes while tasks are being launched is theirs, too", .timeLimit(.minutes(5)))
        func termDuringLaunches() async throws {
            let bench = try Workbench()
            try bench.handler("again", "exec sleep 600")
            try bench.policy("again", "pool: wide\nrecovery: {mode: rehydrate, limit: 100}\n")
            try bench.policy("pools", "wide: {concurrency: 64}\n")
            var server = try await bench.start()
            let ids = try await bench.submitBatch(Array(repeating: ["type": "again"], count: 40))
            for step in 0..<10 {
                // After a start the launches take a second.
                try await Task.sleep(for: .milliseconds(step * 40))
                server.send(SIGTERM)
                let end = await server.result()
                #expect(end.code == 0, "\(step * 40) ms after the start serve ended with \(end)")
                #expect(bench.handlerProcesses.isEmpty)
                server = try await bench.start()
            }
            let tasks = try await bench.allTasks().filter { ids.contains($0.text("id")) }
            #expect(tasks.count == 40)
            #expect(tasks.allSatisfy { ["queued", "running"].contains($0.text("status")) })
            #expect(tasks.allSatisfy { $0["interruptions"] == 0 }, "a stop is no loss")
            #expect(await bench.stop(server).code == 0)
        }

        @Test("SIGTERM during the start ends it without harm, whenever it comes", .timeLimit(.minutes(5)))
        func termDuringStart() async throws {
            let bench = try Workbench()
            try bench.gatedHandler(
                "again",
                Self.untilOpen,
                policy: "recovery: {mode: rehydrate, limit: 100}\n"
            )
            let first = try await bench.start()
            let id = try await bench.submit("again")
            #expect(try await bench.waits(for: id, toBe: .running))
            await bench.crash(first)
            try await bench.expectNoHandlers()
            for step in 0..<12 {
                let server = try bench.launchServer()
                try await Task.sleep(for: .milliseconds(step * 25))
                server.send(SIGTERM)
                let end = await server.result()
                #expect(
                    end.code == 0 || end.signal == SIGTERM,
                    "after \(step * 25) ms serve ended with \(end)"
                )
                #expect(bench.handlerProcesses.isEmpty)
            }
            try bench.open("open")
            try await bench.serving { bench in
                let task = try await bench.ended(id)
                // Only the crash was a loss, however often recovery was interrupted.
                #expect(task.text("status") == "completed" && task["run"] == 1 && task["interruptions"] == 1)
            }
        }

        @Test(
            "a launcher that stands still under SIGSTOP holds up no other task, and no stop",
            .timeLimit(.minutes(5))
        )
        func stoppedLauncher() async throws {
            try await stopLauncher { bench, server in
                let begin = ContinuousClock.now
                let end = await bench.stop(server)
                #expect(end.code == 0, "serve ended with \(end)")
                #expect(ContinuousClock.now - begin < .seconds(15))
                try await bench.serving { bench in
                    let task = try #require(try await bench.allTasks().first { $0.text("type") == "stuck" })
                    #expect(task["interruptions"] == 0 && task.text("status") == "interrupted")
                    #expect(task["attempt"] == 1)
                }
            }
        }

        @Test("a task whose launcher stands still under SIGSTOP can be cancelled", .timeLimit(.minutes(5)))
        func cancelBehindStoppedLauncher() async throws {
            try await stopLauncher { bench, server in
                let task = try #require(try await bench.allTasks().first { $0.text("type") == "stuck" })
                #expect(try await bench.bulkhead("cancel", task.text("id")).code == 0)
                let begin = ContinuousClock.now
                #expect(try await bench.ended(task.text("id")).text("status") == "cancelled")
                #expect(ContinuousClock.now - begin < .seconds(15))
                #expect(await bench.stop(server).code == 0)
            }
        }

        private func stopLauncher(_ end: (Workbench, ChildProcess) async throws -> Void) async throws {
            let bench = try Workbench()
            try bench.handler("stuck", "sleep 600")
            try bench.policy("stuck", "grace: 1s\npool: stuck\n")
            try bench.handler("fine", "echo fine")
            let server = try await bench.start()
            let id = try await bench.submit("stuck")
            let (_, launcher) = try await bench.processes(of: id)
            kill(launcher.pid, SIGSTOP)
            defer { if ProcessTable.isAlive(launcher) { kill(launcher.pid, SIGKILL) } }
            for _ in 0..<3 {
                let said = try await bench.output(of: "fine").text
                #expect(said == "fine\n")
            }
            try await end(bench, server)
            if ProcessTable.isAlive(launcher) { kill(launcher.pid, SIGCONT) }
            try await bench.expectNoHandlers()
        }
    }
}
