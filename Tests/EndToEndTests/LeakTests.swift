import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// What a supervisor has taken it gives back.
    @Suite("Leak")
    struct LeakTests {
        /// Descriptors of the database's readers, opened as they are needed: up to five of two each.
        private static let lateReaders = 10

        /// What a supervisor holds.
        private struct Census: CustomStringConvertible {
            var descriptors: Int
            var threads: Int
            var zombies: Int
            var kilobytes: Int

            init(of server: ChildProcess) {
                descriptors = ProcessTable.descriptors(of: server.pid)
                threads = ProcessTable.status("Threads", of: server.pid) ?? -1
                zombies = ProcessTable.children(of: server.pid).count(where: \.isZombie)
                kilobytes = ProcessTable.status("VmRSS", of: server.pid) ?? -1
            }

            var description: String {
                "\(descriptors) descriptors, \(threads) threads, \(zombies) zombies, \(kilobytes) kB"
            }
        }

        /// Threads that Dispatch may keep or let go as it likes, for each of two kinds of queue.
        private static let dispatchThreads = 2 * ProcessInfo.processInfo.activeProcessorCount + 4
        /// Kilobytes that a thousand more tasks may cost: caches of SQLite and the allocator's slack.
        private static let growthKilobytes = 16 * 1024

        @Test(
            "2,000 tasks leave no descriptor, thread, zombie, folder, group or memory",
            .timeLimit(.minutes(5))
        )
        func twoThousand() async throws {
            let bench = try Workbench()
            try bench.handler("short", "echo done")
            try bench.policy("short", "sandbox: {enforcement: best-effort}\nlimits: {processes: 50}\n")
            try bench.policy("pools", "default: {concurrency: 4}\n")
            let server = try await bench.start()
            do {
                try await run(100, bench)
                let baseline = try await settled(bench, server, like: nil)
                try await run(900, bench)
                let half = try await settled(bench, server, like: baseline)
                try await run(1000, bench)
                let end = try await settled(bench, server, like: baseline)
                print("baseline: \(baseline); after 1,000: \(half); after 2,000: \(end)")
                #expect(
                    end.descriptors <= baseline.descriptors + Self.lateReaders,
                    "\(baseline) became \(end)"
                )
                #expect(end.threads <= baseline.threads + Self.dispatchThreads, "\(baseline) became \(end)")
                #expect(end.zombies == 0)
                #expect(end.kilobytes <= half.kilobytes + Self.growthKilobytes, "\(half) became \(end)")
                #expect(try await bench.count(.completed) == 2000)
                #expect(bench.scratchFolders.isEmpty)
                let last = try await bench.task(try #require(try await bench.allTasks().first).text("id"))
                let enforcement = last["attempts"]?.array?.last?["enforcement"]?.array ?? []
                // Where attempts have groups, the folder of them is there as long as the supervisor.
                if enforcement.contains("cgroup") { #expect(!groups(of: bench).isEmpty) }
                print("groups of attempts: \(enforcement.contains("cgroup"))")
            } catch {
                await bench.crash(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
            #expect(groups(of: bench).isEmpty)
        }

        private func run(_ count: Int, _ bench: Workbench) async throws {
            _ = try await bench.submitBatch(Array(repeating: ["type": "short"], count: count))
            #expect(try await bench.waitsUntilIdle(within: .seconds(90)))
        }

        /// The census once what is on its way out has gone.
        private func settled(
            _ bench: Workbench,
            _ server: ChildProcess,
            like baseline: Census?
        ) async throws -> Census {
            #expect(
                try await bench.eventually { bench.scratchFolders.isEmpty && bench.handlerProcesses.isEmpty }
            )
            if let baseline {
                _ = try await bench.eventually(within: .seconds(10)) {
                    let census = Census(of: server)
                    return census.descriptors <= baseline.descriptors + Self.lateReaders
                        && census.zombies == 0
                }
            }
            return Census(of: server)
        }

        /// Control groups that are named after the workbench's state folder.
        private func groups(of bench: Workbench) -> [String] {
            guard
                let name =
                    ((try? FileManager.default.contentsOfDirectory(atPath: bench.folder + "/scratch")) ?? [])
                    .first
            else { return [] }
            let found = try? FileManager.default.subpathsOfDirectory(atPath: "/sys/fs/cgroup")
            return (found ?? []).filter { $0.contains("bulkhead-\(name)") && $0.hasSuffix("cgroup.procs") }
        }

        @Test(
            "200 handlers that cannot be executed leave the descriptors as they were",
            .timeLimit(.minutes(5))
        )
        func failingExecs() async throws {
            let bench = try Workbench()
            // Its interpreter is there when it is taken up, and gone when it is to run.
            let interpreter = bench.folder + "/interpreter"
            try FileManager.default.copyItem(
                atPath: URL(filePath: "/bin/sh").resolvingSymlinksInPath().path,
                toPath: interpreter
            )
            try bench.handler("broken", "#!\(interpreter)\necho never\n")
            try bench.handler("fine", "echo fine")
            try bench.policy("pools", "default: {concurrency: 2}\n")
            let server = try await bench.start()
            do {
                _ = try await bench.output(of: "fine")
                try await bench.waitsForHandler("broken")
                try FileManager.default.removeItem(atPath: interpreter)
                // The first ones bring launchers, readers of the database and threads up to their number.
                _ = try await bench.submitBatch(Array(repeating: ["type": "broken"], count: 50))
                #expect(try await bench.waitsUntilIdle(within: .seconds(60)))
                let before = Census(of: server)
                let ids = try await bench.submitBatch(Array(repeating: ["type": "broken"], count: 200))
                #expect(try await bench.waitsUntilIdle(within: .seconds(60)))
                let failed = try await bench.count(.failed)
                #expect(failed == 250)
                let reasons = try await Set(
                    bench.allTasks().filter { ids.contains($0.text("id")) }.map(\.reason)
                )
                #expect(reasons == ["launch-failed"])
                let isFlat = try await bench.eventually {
                    Census(of: server).descriptors <= before.descriptors + Self.lateReaders
                }
                print("before: \(before); after 200 failures: \(Census(of: server))")
                #expect(isFlat, "\(before) became \(Census(of: server))")
                let fine = try await bench.output(of: "fine").text
                #expect(fine == "fine\n")
            } catch {
                await bench.crash(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
        }

        @Test(
            "a supervisor without free descriptors waits, and goes on when there are some",
            .timeLimit(.minutes(5)),
            .enabled(if: Tool.isThere("prlimit"), "needs prlimit")
        )
        func fewDescriptors() async throws {
            let bench = try Workbench()
            try bench.gatedHandler("wait", "gate open\necho done")
            try bench.policy("pools", "default: {concurrency: 8}\n")
            let server = try await bench.start()
            do {
                try await bench.waitsForHandler("wait")
                let first = try await bench.submit("wait")
                #expect(try await bench.waits(for: first, toBe: .running))
                let used = ProcessTable.descriptors(of: server.pid)
                let hard = try await Tool.run(
                    "prlimit",
                    "--pid",
                    "\(server.pid)",
                    "--nofile",
                    "-o",
                    "HARD",
                    "--noheadings"
                )
                let limit = hard.out.trimmingCharacters(in: .whitespacesAndNewlines)
                var waiting: String?
                for spare in [40, 12, 3] {
                    _ = try await Tool.run(
                        "prlimit",
                        "--pid",
                        "\(server.pid)",
                        "--nofile=\(used + spare):\(limit)"
                    )
                    // Whether a call gets through or not, the supervisor must not be wedged by it.
                    let answer = try? await bench.api("POST", "/v1/tasks", ["type": "wait"])
                    if let id = answer?.json["id"]?.string { waiting = waiting ?? id }
                    try await Task.sleep(for: .milliseconds(300))
                    guard spare == 40 else { continue }
                    let id = try #require(waiting, "with 40 descriptors a submit must get through")
                    let saysWhy = try await bench.eventually {
                        let task = try await bench.api("GET", "/v1/tasks/" + id).json
                        return task.text("status") == "queued"
                            && task.text("waitingFor").contains("descriptors")
                    }
                    #expect(saysWhy, "the want of descriptors was not met")
                }
                _ = try await Tool.run("prlimit", "--pid", "\(server.pid)", "--nofile=\(limit):\(limit)")
                #expect(try await bench.eventually { (try? await bench.api("GET", "/livez").status) == 200 })
                let more = try await bench.submitBatch(Array(repeating: ["type": "wait"], count: 3))
                try bench.open("open")
                #expect(try await bench.waitsUntilIdle(within: .seconds(60)))
                for id in [first] + more {
                    let task = try await bench.task(id)
                    #expect(task.text("status") == "completed" && task["attempt"] == 1)
                }
                let unfinished = try await bench.allTasks().filter { $0.text("status") != "completed" }
                #expect(unfinished.isEmpty)
            } catch {
                await bench.crash(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
        }

        @Test("2,000 idle clients stop no work and cost no processor", .timeLimit(.minutes(5)))
        func idleClients() async throws {
            let bench = try Workbench()
            let effects = bench.folder + "/effects"
            try FileManager.default.createDirectory(atPath: effects, withIntermediateDirectories: false)
            try FileManager.default.setAttributes([.posixPermissions: 0o1777], ofItemAtPath: effects)
            let gate = bench.folder + "/effects/open"
            try bench.handler(
                "short",
                "until [ -e '\(gate)' ]; do sleep 0.05; done; : > '\(effects)'/$BULKHEAD_TASK_ID"
            )
            try bench.policy("short", "sandbox: {write: [\"\(effects)\"]}\n")
            let server = try await bench.start()
            do {
                try await bench.waitsForHandler("short")
                let ids = try await bench.submitBatch(Array(repeating: ["type": "short"], count: 50))
                let crowd = IdleClients(socket: bench.socket, count: 2000)
                print("\(crowd.connected) of 2,000 clients were connected")
                #expect(crowd.connected >= 1000)
                // The work is done while they are there.
                try bench.write("", to: "effects/open")
                let isDone = try await bench.eventually(within: .seconds(40)) {
                    ids.allSatisfy { FileManager.default.fileExists(atPath: effects + "/" + $0) }
                }
                #expect(isDone)
                #expect(try await bench.eventually { bench.handlerProcesses.isEmpty })
                let before = ticks(of: server)
                try await Task.sleep(for: .seconds(1))
                let used = ticks(of: server) - before
                #expect(used < sysconf(Int32(_SC_CLK_TCK)) / 2, "it used \(used) ticks in a second of idling")
                crowd.leave()
                #expect(try await bench.eventually { (try? await bench.api("GET", "/livez").status) == 200 })
                #expect(try await bench.waitsUntilIdle(within: .seconds(30)))
                for id in ids {
                    let status = try await bench.api("GET", "/v1/tasks/" + id).json.text("status")
                    #expect(status == "completed")
                }
            } catch {
                await bench.crash(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
        }

        /// Clock ticks of processor time that the supervisor has used.
        private func ticks(of server: ChildProcess) -> Int {
            let fields = ProcessTable.text("/proc/\(server.pid)/stat")?.split(separator: " ") ?? []
            return fields.count > 14 ? (Int(fields[13]) ?? 0) + (Int(fields[14]) ?? 0) : 0
        }
    }
}
