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
            .timeLimit(.minutes(1)),
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
