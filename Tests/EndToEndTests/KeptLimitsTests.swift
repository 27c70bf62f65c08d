import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// What holds an attempt, when another supervisor goes on with it.
    @Suite("Kept limits")
    struct KeptLimitsTests {
        private static let canLimitMemory =
            geteuid() == 0 && ["memory", "unified"].contains { TestCgroup.root($0) != nil }

        @Test(
            "an adopted attempt has its memory limit still, its end by it is told, and its group goes",
            .timeLimit(.minutes(5)),
            .enabled(
                if: canLimitMemory && Tool.isThere("python3"),
                "needs python3, and a memory cgroup that we may use"
            )
        )
        func memory() async throws {
            let bench = try Workbench()
            try bench.gatedHandler(
                "hog",
                "echo here\ngate open\nexec python3 -c 'x = b\"x\" * 300000000'",
                policy: "limits: {memory: 64MiB}\n"
            )
            let first = try await bench.start(["--on-stop", "leave"])
            try await bench.waitsForHandler("hog")
            let id = try await bench.submit("hog")
            let (handler, _) = try await bench.processes(of: id)
            #expect(try await bench.waits(for: id, toBe: .running))
            let groups = Self.groups(of: handler.pid, named: "\(id)-1")
            #expect(!groups.isEmpty, "it is in no group of its own")
            first.send(SIGKILL)
            _ = await first.result()
            let next = try await bench.start()
            do {
                #expect(try await bench.answer("status")["recovery"]?["adopted"] == 1)
                #expect(Self.groups(of: handler.pid, named: "\(id)-1") == groups)
                #expect(groups.contains { Self.limit(of: $0) == 64 << 20 }, "\(groups)")
                try bench.open("open")
                let task = try await bench.ended(id)
                #expect((task.text("status"), task.reason) == ("failed", "memory"), "\(task.text)")
                #expect(task.message.contains("64MiB") && task["attempt"] == 1)
                #expect(try await bench.eventually { groups.allSatisfy { !TestCgroup.exists($0) } })
            } catch {
                await bench.crash(next)
                throw error
            }
            #expect(await bench.stop(next).code == 0)
        }

        @Test(
            "no other supervisor gives out the users of an attempt that outlives its own",
            .timeLimit(.minutes(5)),
            .enabled(if: geteuid() == 0, "needs root: users of their own")
        )
        func users() async throws {
            let range = ["BULKHEAD_DYNAMIC_UIDS": "2000060000-2000061023"]
            let (one, other) = (try Workbench(), try Workbench())
            try one.gatedHandler("who", "id -u; gate open; id -u")
            try other.handler("who", "id -u")
            let first = try await one.start(["--on-stop", "leave"], environment: range)
            try await one.waitsForHandler("who")
            let id = try await one.submit("who")
            _ = try await one.processes(of: id)
            #expect(try await one.waits(for: id, toBe: .running))
            first.send(SIGKILL)
            _ = await first.result()

            let stranger = try await other.start(environment: range)
            var next: ChildProcess?
            do {
                try await other.waitsForHandler("who")
                let waiting = try await other.submit("who")
                let isRefused = try await other.eventually {
                    try await other.task(waiting).text("waitingFor").contains("all dynamic users")
                }
                let refused = try await other.task(waiting)
                #expect(isRefused, "\(refused.text)")
                next = try await one.start(environment: range)
                #expect(try await one.answer("status")["recovery"]?["adopted"] == 1)
                // It still has the block for itself, and gives the others of it.
                let second = try await one.submit("who")
                #expect(try await one.waits(for: second, toBe: .running))
                try one.open("open")
                var users: Set<Substring> = []
                for id in [id, second] {
                    let task = try await one.ended(id)
                    #expect(task.text("status") == "completed" && task["attempt"] == 1)
                    let said = try await one.bulkhead("logs", id).out.split(separator: "\n")
                    #expect(said.count == 2 && said[0] == said[1])
                    users.formUnion(said)
                }
                #expect(users.count == 2)
                #expect(try await other.task(waiting).text("status") == "queued")
                if let next { await one.stop(next) }
                #expect(try await other.bulkhead("cancel", waiting).code == 0)
            } catch {
                if let next { await one.crash(next) }
                await other.crash(stranger)
                throw error
            }
            #expect(await other.stop(stranger).code == 0)
        }

        /// The folders of the control groups of this name in which a process is.
        private static func groups(of pid: pid_t, named name: String) -> [String] {
            let lines = ProcessTable.text("/proc/\(pid)/cgroup")?.split(separator: "\n") ?? []
            return lines.flatMap { line -> [String] in
                let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
                guard parts.count == 3, parts[2].hasSuffix("/" + name) else { return [] }
                let roots = parts[1].isEmpty ? ["/unified", ""] : ["/" + parts[1].split(separator: ",")[0]]
                return roots.map { "/sys/fs/cgroup\($0)\(parts[2])" }.filter(TestCgroup.exists)
            }
        }

        private static func limit(of group: String) -> Int64? {
            ["memory.max", "memory.limit_in_bytes"].compactMap { ProcessTable.text("\(group)/\($0)") }
                .first.flatMap { Int64($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
        }
    }
}
