import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// What a start has to do when much was left, and what it says meanwhile.
    @Suite("Restart")
    struct RestartTests {
        private static let environment = ProcessInfo.processInfo.environment

        /// How many tasks wait and how many were lost, where nobody asks for more.
        private static let queued = environment["BULKHEAD_RESTART_QUEUED"].flatMap { Int($0) } ?? 3_000
        private static let lost = environment["BULKHEAD_RESTART_LOST"].flatMap { Int($0) } ?? 500

        /// How many tasks wait beside how many pools that back off.
        private static let herd = environment["BULKHEAD_RESTART_HERD"].flatMap { Int($0) } ?? 60
        private static let pools = environment["BULKHEAD_RESTART_POOLS"].flatMap { Int($0) } ?? 50

        @Test(
            "a herd that waits is launched in steps, and pools that back off do so still, with their counts",
            .timeLimit(.minutes(10))
        )
        func herd() async throws {
            let bench = try Workbench()
            try bench.gatedHandler("once", "gate open", policy: "pool: lost\n")
            try bench.handler("fine", ":")
            let names = (0..<Self.pools).map { "weary-\($0)" }
            let backoff = "backoff: {after: 3, within: 60s, delay: 10m, maximum: 10m, jitter: none}"
            let weary = names.map { "\($0): {concurrency: 8, \(backoff)}\n" }.joined()
            try bench.policy("pools", "lost: {concurrency: 1}\ndefault: {concurrency: 200}\n" + weary)
            var crowd = try await CrowdedState(bench, type: "once")
            let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
            try await crowd.backOff(
                try names.map { try PoolName($0) },
                failures: 4,
                until: now + .seconds(480)
            )
            for name in names.prefix(20) { try await crowd.addQueued(3, type: "fine", pool: name) }
            try await crowd.addQueued(Self.herd, type: "fine")
            let held = crowd.queued.count - Self.herd
            try await crowd.close()
            for _ in 0..<2 {
                let server = try await bench.start(["--on-stop", "leave"])
                do {
                    let isDone = try await bench.eventually(within: .seconds(300)) {
                        let (queued, running) = try await (bench.count(.queued), bench.count(.running))
                        return queued == held && running == 0
                    }
                    #expect(isDone)
                    let pools = try await bench.answer("pools")["pools"]?.array ?? []
                    let weary = pools.filter { $0.text("name").hasPrefix("weary-") }
                    #expect(weary.count == names.count)
                    for pool in weary {
                        #expect(pool["failures"] == 4, "\(pool.text)")
                        let until = try #require(pool.milliseconds("backoffUntil"))
                        #expect(abs(until - now.milliseconds - 480_000) < 5_000, "\(pool.text)")
                    }
                } catch {
                    await bench.crash(server)
                    throw error
                }
                server.send(SIGKILL)
                _ = await server.result()
            }
            try await bench.serving { bench in
                let starts = try await bench.allTasks().compactMap { task in
                    task.text("type") == "fine" ? task.milliseconds("startedAt") : nil
                }.sorted()
                #expect(starts.count == Self.herd)
                let atOnce = starts.count { $0 - starts[0] < 45 }
                #expect(atOnce <= LaunchRamp.firstStarts, "\(starts.map { $0 - starts[0] })")
            }
        }

        @Test("what waits is launched a few at a time after a start, and says so", .timeLimit(.minutes(5)))
        func paced() async throws {
            let bench = try Workbench()
            try bench.gatedHandler("once", "gate open", policy: "pool: lost\n")
            try bench.handler("fine", ":")
            // More than the first steps start, and few enough that the API is still heard beside them.
            try bench.policy("pools", "lost: {concurrency: 1}\ndefault: {concurrency: 32}\n")
            var crowd = try await CrowdedState(bench, type: "once")
            try await crowd.addQueued(200, type: "fine")
            try await crowd.close()
            let server = try bench.launchServer()
            do {
                let last = try #require(crowd.queued.last).text
                var words: Set<String> = []
                let isDone = try await bench.eventually {
                    let answer = try? await bench.api("GET", "/v1/tasks/" + last)
                    if let waits = answer?.json["waitingFor"]?.string { words.insert(waits) }
                    return answer?.json.text("status") == "completed"
                }
                #expect(isDone)
                #expect(words.contains { $0.contains("a few at a time") }, "it waited for \(words)")
                #expect(try await bench.waitsUntilIdle(within: .seconds(30)))
                let starts = try await bench.allTasks().filter { $0.text("type") == "fine" }
                    .compactMap { $0.milliseconds("startedAt") }.sorted()
                #expect(starts.count == 200)
                // Eleven steps of at least half their length each lie between the first and the last.
                #expect(starts[199] - starts[0] >= 500, "\(starts.map { $0 - starts[0] })")
                let atOnce = starts.count { $0 - starts[0] < 45 }
                #expect(atOnce <= LaunchRamp.firstStarts, "\(starts.map { $0 - starts[0] })")
            } catch {
                await bench.crash(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
        }

        @Test(
            "the API answers while recovery goes on: alive at once, ready afterwards",
            .timeLimit(.minutes(5))
        )
        func answersWhileRecovering() async throws {
            let bench = try Workbench()
            try bench.gatedHandler("once", "gate open\necho '{\"result\":1}' >&3")
            let first = try await bench.start()
            let id = try await bench.submit("once")
            let (_, launcher) = try await bench.processes(of: id)
            #expect(try await bench.waits(for: id, toBe: .running))
            first.send(SIGKILL)
            _ = await first.result()
            // As long as the launcher stands still, nobody knows whether the attempt goes on.
            kill(launcher.pid, SIGSTOP)
            defer { if ProcessTable.isAlive(launcher) { kill(launcher.pid, SIGKILL) } }
            let next = try bench.launchServer()
            do {
                var health: APICall.Answer?
                let answers = try await bench.eventually {
                    health = try? await bench.api("GET", "/healthz")
                    return health != nil
                }
                #expect(answers)
                #expect(health?.status == 503, "\(health?.text ?? "")")
                #expect(health?.text.contains("recovering") == true)
                let alive = try await bench.api("GET", "/livez")
                #expect(alive.status == 200)
                let task = try await bench.api("GET", "/v1/tasks/" + id).json
                #expect(task.text("status") == "running")
                // A submit is taken as soon as the handlers have been read, and waits; never is its type unknown.
                var answer = try await bench.api("POST", "/v1/tasks", ["type": "once"])
                while answer.status == 503 {
                    #expect(answer.head.lowercased().contains("retry-after:"))
                    try await Task.sleep(for: .milliseconds(20))
                    answer = try await bench.api("POST", "/v1/tasks", ["type": "once"])
                }
                #expect(answer.status == 201, "\(answer.text)")
                let later = answer.json.text("id")
                let waiting = try await bench.api("GET", "/v1/tasks/" + later).json
                #expect(waiting.text("status") == "queued" && waiting.text("waitingFor").contains("recovery"))
                let phase = try await bench.answer("status").text("phase")
                #expect(phase == "recovering")

                kill(launcher.pid, SIGCONT)
                let isReady = try await bench.eventually {
                    try await bench.api("GET", "/healthz").status == 200
                }
                #expect(isReady)
                try bench.open("open")
                for id in [id, later] {
                    let task = try await bench.ended(id)
                    #expect(task.text("status") == "completed" && task["attempt"] == 1)
                }
            } catch {
                await bench.crash(next)
                throw error
            }
            #expect(await bench.stop(next).code == 0)
        }

        @Test(
            "many queued and many lost tasks are ready within seconds, in little memory",
            .timeLimit(.minutes(10))
        )
        func crowded() async throws {
            let bench = try Workbench()
            try bench.gatedHandler("once", "gate open", policy: "pool: lost\n")
            try bench.gatedHandler("again", "gate open", policy: "pool: other\n")
            try bench.policy("pools", "lost: {concurrency: 20000}\nother: {concurrency: 1}\n")
            let cap = CrowdedState.spoolCap(forRunning: Self.lost)
            var crowd = try await CrowdedState(bench, type: "once", spoolCap: cap)
            try await crowd.addLost(Self.lost - 1)
            try await crowd.addQueued(Self.queued, type: "again", pool: "other")
            try await crowd.close()

            let begin = ContinuousClock.now
            let server = try bench.launchServer(["--spool-cap", "\(cap)B"])
            do {
                let isReady = try await bench.eventually(within: .seconds(300)) {
                    (try? await bench.api("GET", "/healthz").status) == 200
                }
                let took = ContinuousClock.now - begin
                let memory = ProcessTable.status("VmHWM", of: server.pid) ?? 0
                print(
                    "\(Self.queued) queued and \(Self.lost) lost tasks: ready after \(took), at most \(memory) KiB"
                )
                #expect(isReady)
                #expect(took < .seconds(20))
                let recovery = try await bench.answer("status")["recovery"]
                #expect(recovery?["found"]?.integer == Int64(Self.lost))
                #expect(recovery?["interrupted"]?.integer == Int64(Self.lost))
                let counts = try await bench.answer("status")["counts"]
                #expect(counts?["interrupted"]?.integer == Int64(Self.lost))
                #expect((counts?["queued"]?.integer ?? 0) >= Int64(Self.queued) - 1)
            } catch {
                await bench.crash(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
        }
    }
}
