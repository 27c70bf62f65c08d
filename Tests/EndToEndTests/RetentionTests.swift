import BulkheadCore
import Foundation
import Glibc
import Testing

extension EndToEnd {
    /// Tasks that have ended go: by themselves, and by `prune`.
    @Suite("Retention")
    struct RetentionTests {
        private static func ids(_ bench: Workbench) async throws -> [String] {
            (try await bench.answer("list")["tasks"]?.array ?? []).map { $0.text("id") }
        }

        @Test("a shorter retention is taken up at SIGHUP, and what has ended before goes at once")
        func reload() async throws {
            try await Workbench.serving(prepare: { bench in
                try bench.write("retention: off\n", to: "bulkhead.yaml")
                try bench.handler("quick", "exit 0\n")
            }) { bench in
                let before = try await bench.answer("status")
                #expect(before["retention"]?["age"] == nil)
                #expect(before["retention"]?["tasks"]?.integer == 1_000_000)
                _ = try await bench.finished("quick")
                #expect(try await Self.ids(bench).count == 1)
                try bench.write("retention: 1ms\nretention-tasks: 7\n", to: "bulkhead.yaml")
                kill(pid_t(before["pid"]?.integer ?? 0), SIGHUP)
                #expect(try await bench.eventually { try await Self.ids(bench).isEmpty })
                let after = try await bench.answer("status")
                #expect(after["retention"]?["age"]?.string == "1ms")
                #expect(after["retention"]?["tasks"]?.integer == 7)
                #expect(after["retention"]?["removed"]?.integer == 1)
            }
        }

        @Test("prune takes what has ended, by age and type, and a dry run only counts")
        func prune() async throws {
            try await Workbench.serving(prepare: { bench in
                try bench.handler("quick", "exit 0\n")
                try bench.handler("other", "exit 1\n")
                try bench.handler("slow", "sleep 60\n")
            }) { bench in
                let first = try await bench.finished("quick")
                let second = try await bench.finished("other")
                let running = try await bench.bulkhead("submit", "slow")
                let young = try await bench.bulkhead("prune", "--json")
                #expect(try JSONParser.parse(young.stdout)["removed"] == 0)
                let counted = try await bench.bulkhead("prune", "--older-than", "0", "--dry-run")
                #expect(counted.err == "2 tasks would go\n" && counted.code == 0)
                let none = try await bench.bulkhead("prune", "--older-than", "1h")
                #expect(none.err == "0 tasks removed\n")
                let typed = try await bench.bulkhead(
                    "prune",
                    "--older-than",
                    "0",
                    "--type",
                    "other",
                    "--json"
                )
                #expect(try JSONParser.parse(typed.stdout)["removed"] == 1)
                let gone = try await bench.bulkhead("show", second.text("id"))
                #expect(gone.code == 3)
                #expect(try await bench.task(first.text("id")).text("status") == "completed")
                let rest = try await bench.bulkhead("prune", "--older-than", "0")
                #expect(rest.err == "1 task removed\n")
                let kept = running.out.trimmingCharacters(in: .whitespacesAndNewlines)
                #expect(try await Self.ids(bench) == [kept])
                // An id that has gone is a new one.
                let again = try await bench.finished("other", id: second.text("id"))
                #expect(again["run"] == 1)
                for wrong in [["--older-than", "x"], ["--type", "No/Type"]] {
                    #expect(try await bench.bulkhead(["prune"] + wrong).code == 2)
                }
            }
        }
    }
}
