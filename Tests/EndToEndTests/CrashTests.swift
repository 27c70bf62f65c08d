import BulkheadCore
import Foundation
import Synchronization
import Testing
import SeededRandom

extension EndToEnd {
    /// What holds whatever ends whenever: supervisors, launchers, handlers.
    @Suite("Crash")
    struct CrashTests {
        // MARK: The supervisor

        @Test(
            "any signal that ends the supervisor is a crash like any other",
            .timeLimit(.minutes(5)),
            arguments: [SIGSEGV, SIGABRT, SIGKILL]
        )
        func fatalSignal(signal: Int32) async throws {
            let bench = try Workbench()
            try bench.gatedHandler("again", "gate open", policy: "recovery: rehydrate\n")
            try bench.gatedHandler("once", "gate open")
            let server = try await bench.start()
            let again = try await bench.submit("again")
            let once = try await bench.submit("once")
            #expect(try await bench.waits(for: again, toBe: .running))
            #expect(try await bench.waits(for: once, toBe: .running))
            let handlers = bench.handlerProcesses
            await bench.crash(server, signal)
            try await bench.expectNoHandlers()
            try bench.open("open")
            try await bench.serving { bench in
                let (rerun, lost) = try await (bench.ended(again), bench.ended(once))
                #expect(rerun.text("status") == "completed" && rerun["run"] == 1)
                #expect(rerun["attempt"] == 2 && rerun["interruptions"] == 1)
                #expect(lost.text("status") == "interrupted" && lost.reason == "supervisor-lost")
                #expect(lost["attempt"] == 1 && lost["interruptions"] == 1)
                #expect(handlers.allSatisfy { !ProcessTable.isAlive($0) })
                let report = try await bench.answer("status")["recovery"]
                #expect(report?["rehydrated"] == 1 && report?["interrupted"] == 1)

                // A lost run is terminal; a submit of the same id is a new run.
                let resubmitted = try await bench.finished("once", id: once)
                #expect(resubmitted.text("status") == "completed" && resubmitted["run"] == 2)
                #expect(resubmitted["attempt"] == 2 && resubmitted["interruptions"] == 1)
            }
        }

        @Test("kill -9 during recovery, again and again, counts one loss", .timeLimit(.minutes(5)))
        func duringRecovery() async throws {
            var random = SeededRandom(seed: TortureLength.seed)
            let bench = try Workbench()
            try bench.gatedHandler("once", "gate open")
            try bench.policy("pools", "default: {concurrency: 30}\n")
            let server = try await bench.start()
            let ids = try await bench.submitBatch(Array(repeating: ["type": "once"], count: 30))
            #expect(try await bench.eventually { try await bench.count(.running) == 30 })
            await bench.crash(server)
            for _ in 0..<6 {
                let server = try bench.launchServer()
                try await Task.sleep(for: .milliseconds(Int.random(in: 20...250, using: &random)))
                await bench.crash(server)
            }
            try await bench.serving { bench in
                let tasks = try await bench.allTasks()
                #expect(Set(tasks.map { $0.text("id") }) == Set(ids))
                for task in tasks {
                    #expect(task.text("status") == "interrupted" && task["interruptions"] == 1)
                    #expect(task["attempt"] == 1 && task["run"] == 1)
                }
            }
        }

        @Test(
            "three crashes in a row make poison; an end by itself between them starts the count anew",
            .timeLimit(.minutes(5))
        )
        func poison() async throws {
            let bench = try Workbench()
            try bench.handler("again", "sleep 600")
            try bench.policy("again", "pool: a\nrecovery: rehydrate\n")
            // Its second attempt ends by itself, so that three losses are not in a row.
            try bench.handler("between", "[ $BULKHEAD_ATTEMPT = 2 ] && exit 1; sleep 600")
            try bench.policy("between", "pool: b\nrecovery: rehydrate\nretry: {limit: 1, delay: 1ms}\n")
            var ids: [String] = []
            for loss in 1...3 {
                let server = try await bench.start()
                if ids.isEmpty { ids = [try await bench.submit("again"), try await bench.submit("between")] }
                for id in ids { _ = try await bench.processes(of: id) }
                let isThere = try await bench.eventually {
                    let (one, two) = try await (bench.task(ids[0]), bench.task(ids[1]))
                    return one["attempt"]?.integer == Int64(loss)
                        && two["attempt"]?.integer == Int64(loss == 1 ? 1 : loss + 1)
                        && one.text("status") == "running" && two.text("status") == "running"
                }
                #expect(isThere, "loss \(loss)")
                await bench.crash(server)
            }
            try await bench.serving { bench in
                let poisoned = try await bench.ended(ids[0])
                #expect(poisoned.text("status") == "failed" && poisoned.reason == "poison")
                #expect(poisoned["attempt"] == 3 && poisoned["interruptions"] == 3 && poisoned["run"] == 1)
                let between = try await bench.task(ids[1])
                #expect(between["interruptions"] == 3 && between["attempt"]?.integer ?? 0 >= 4)
                #expect(["queued", "running"].contains(between.text("status")))
                // A new submit is a new run, with the count of losses in a row begun anew.
                let again = try await bench.bulkhead("submit", "again", "--id", ids[0])
                #expect(again.code == 0)
                #expect(try await bench.waits(for: ids[0], toBe: .running))
                let rerun = try await bench.task(ids[0])
                #expect(rerun["run"] == 2 && rerun["attempt"] == 4 && rerun["interruptions"] == 3)
            }
        }

        @Test("fail counts and back-off survive kill -9", .timeLimit(.minutes(5)))
        func poolHealth() async throws {
            let bench = try Workbench()
            try bench.handler("bad", "exit 65")
            let backoff = "{after: 3, within: 60s, delay: 10m, maximum: 10m, jitter: none}"
            try bench.policy("pools", "default: {concurrency: 1, backoff: \(backoff)}\n")
            let server = try await bench.start()
            for _ in 0..<3 { _ = try await bench.finished("bad") }
            let before = try await bench.pool("default")
            #expect(before?["failures"] == 3)
            await bench.crash(server)
            try await bench.serving { bench in
                let after = try await bench.pool("default")
                #expect(after?["failures"] == 3)
                // The date is reckoned from a wait, and each look rounds to a millisecond.
                let dates = [before, after].compactMap { $0?.milliseconds("backoffUntil") }
                #expect(dates.count == 2 && abs(dates[0] - dates[1]) <= 20, "\(dates)")
                let id = try await bench.submit("bad")
                let task = try await bench.task(id)
                #expect(task.text("status") == "queued" && task.text("waitingFor").contains("backs off"))
            }
        }

        @Test("a second supervisor on one state folder is refused and does no harm", .timeLimit(.minutes(5)))
        func twoSupervisors() async throws {
            try await Workbench.serving { bench in
                try bench.gatedHandler("wait", "gate open\necho done")
            } _: { bench in
                let id = try await bench.submit("wait")
                #expect(try await bench.waits(for: id, toBe: .running))
                let second = await (try bench.launchServer()).result()
                #expect(second.code != 0 && second.code != nil && second.err.contains(bench.state))
                try bench.open("open")
                let task = try await bench.ended(id)
                #expect(task.text("status") == "completed" && task["attempt"] == 1)
            }
        }

        @Test(
            "who submits while the supervisor starts is told to come back, never that the type is unknown",
            .timeLimit(.minutes(5))
        )
        func submitsAtStart() async throws {
            let bench = try Workbench()
            try bench.handler("fine", "echo fine")
            try await bench.serving { bench in try await bench.waitsForHandler("fine") }
            let server = try bench.launchServer()
            var refusals: [Int] = []
            var accepted = 0
            while accepted < 3, !server.hasEnded {
                guard let answer = try? await bench.api("POST", "/v1/tasks", ["type": "fine"]) else {
                    continue
                }
                if answer.status == 201 { accepted += 1 } else { refusals.append(answer.status) }
            }
            #expect(refusals.allSatisfy { $0 == 503 }, "\(refusals)")
            #expect(await bench.stop(server).code == 0)
        }

        // MARK: Launchers and handlers

        @Test("kill -9 of a launcher ends its tree; the task follows its policy", .timeLimit(.minutes(5)))
        func launcherDies() async throws {
            try await Workbench.serving { bench in
                let script = "echo begins\nsh -c 'sleep 600 & sleep 600' &\ngate open\necho ends"
                try bench.gatedHandler("again", script, policy: "pool: one\nrecovery: rehydrate\n")
                try bench.gatedHandler("once", script, policy: "pool: one\n")
                try bench.policy("pools", "one: {concurrency: 1}\n")
            } _: { bench in
                for (type, survives) in [("again", true), ("once", false)] {
                    let id = try await bench.submit(type)
                    let (handler, launcher) = try await bench.processes(of: id)
                    #expect(try await bench.eventually { bench.handlerProcesses.count >= 4 })
                    let tree = bench.handlerProcesses
                    kill(launcher.pid, SIGKILL)
                    #expect(try await bench.eventually { tree.allSatisfy { !ProcessTable.isAlive($0) } })
                    #expect(!ProcessTable.isAlive(handler))
                    if survives {
                        #expect(try await bench.eventually { try await bench.task(id)["attempt"] == 2 })
                        try bench.open("open")
                    }
                    let task = try await bench.ended(id)
                    #expect(task["run"] == 1 && task["interruptions"] == 1)
                    #expect(task.text("status") == (survives ? "completed" : "interrupted"))
                    #expect(task["attempt"]?.integer == (survives ? 2 : 1))
                    if survives { try FileManager.default.removeItem(atPath: bench.folder + "/gates/open") }
                    // Its slot is free once, no more: of the next two one waits.
                    let next = [try await bench.submit("again"), try await bench.submit("again")]
                    #expect(try await bench.waits(for: next[0], toBe: .running))
                    let pool = try await bench.pool("one")
                    #expect(pool?["running"] == 1 && pool?["queued"] == 1 && pool?["failures"] == 0)
                    try bench.open("open")
                    for id in next {
                        let task = try await bench.ended(id)
                        #expect(task.text("status") == "completed")
                    }
                    try FileManager.default.removeItem(atPath: bench.folder + "/gates/open")
                    try await bench.expectNoHandlers()
                }
            }
        }

        @Test("kill -9 of an idle launcher costs nothing", .timeLimit(.minutes(5)))
        func idleLauncherDies() async throws {
            let bench = try Workbench()
            try bench.handler("fine", "echo fine")
            let server = try await bench.start()
            do {
                try await bench.waitsForHandler("fine")
                for _ in 0..<5 {
                    let task = try await bench.output(of: "fine")
                    #expect(task.text == "fine\n" && task.task["attempt"] == 1)
                    #expect(task.task["interruptions"] == 0)
                    for child in ProcessTable.children(of: server.pid) { kill(child.pid, SIGKILL) }
                }
            } catch {
                await bench.crash(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
        }

        @Test("kill -9 and SIGSTOP of a handler are its own end and its own timeout", .timeLimit(.minutes(5)))
        func handlerDies() async throws {
            try await Workbench.serving { bench in
                try bench.handler("long", "sleep 600 &\nsleep 600")
                try bench.handler("stopped", "sleep 600")
                try bench.policy("stopped", "timeout: 1s\ngrace: 1s\n")
                try bench.policy("pools", "default: {concurrency: 1}\n")
            } _: { bench in
                let id = try await bench.submit("long")
                kill(try await bench.processes(of: id).handler.pid, SIGKILL)
                let killed = try await bench.ended(id)
                #expect(killed.text("status") == "failed" && killed.reason == "signal")
                #expect(killed["error"]?["signal"]?.string == "SIGKILL" || killed["error"]?["signal"] == 9)
                #expect(killed["interruptions"] == 0)
                try await bench.expectNoHandlers()
                let pool = try await bench.pool("default")
                #expect(pool?["running"] == 0 && pool?["failures"] == 1)

                let frozen = try await bench.submit("stopped")
                kill(try await bench.processes(of: frozen).handler.pid, SIGSTOP)
                let timedOut = try await bench.ended(frozen)
                #expect(timedOut.text("status") == "failed" && timedOut.reason == "timeout")
                try await bench.expectNoHandlers()
            }
        }
    }
}
