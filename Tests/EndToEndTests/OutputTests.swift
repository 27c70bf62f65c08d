import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// What a handler writes comes back byte by byte, and what is not kept is told exactly.
    @Suite("Output")
    struct OutputTests {
        /// A gap as `logs` tells it.
        private struct Gap: Equatable {
            var bytes: Int
            var offset: Int
        }

        private static func gaps(in errors: String) -> [Gap] {
            errors.matches(of: /gap: (\d+) bytes of stdout from offset (\d+) of attempt 1/).compactMap {
                match in
                guard let bytes = Int(match.1), let offset = Int(match.2) else { return nil }
                return Gap(bytes: bytes, offset: offset)
            }
        }

        /// The numbered lines from one offset to another.
        private static func numbers(_ range: Range<Int>) -> [UInt8] {
            let lines = (range.lowerBound / 10)...(range.upperBound / 10)
            let text = lines.map { String(("00000000" + "\($0)").suffix(9)) + "\n" }.joined()
            let start = range.lowerBound % 10
            return Array(Array(text.utf8)[start..<(start + range.count)])
        }

        @Test("a flood keeps its end within the task's limit, and its gap is exact", .timeLimit(.minutes(5)))
        func flood() async throws {
            try await Workbench.serving { bench in
                try bench.behaviour("flood", policy: "output: {limit: 8MiB}\n")
            } _: { bench in
                let written = 11_000_000
                let task = try await bench.finished("flood", params: "\(written / 10)")
                #expect(task.text("status") == "completed")
                #expect(task["output"]?["stdoutBytes"] == .integer(written))
                let logs = try await bench.bulkhead("logs", task.text("id"))
                let kept = logs.stdout.count
                #expect((4 << 20...8 << 20).contains(kept), "\(kept) bytes were kept")
                #expect(task["output"]?["droppedBytes"] == .integer(written - kept))
                // Oldest first: one gap at the beginning, and behind it everything to the last byte.
                #expect(Self.gaps(in: logs.err) == [Gap(bytes: written - kept, offset: 0)])
                #expect(logs.stdout == Self.numbers(written - kept..<written))
                let spool = try await bench.answer("status")["spool"]
                #expect(spool?["bytes"] == .integer(kept))
                let text = try await bench.api(
                    "GET",
                    "/v1/tasks/\(task.text("id"))/output",
                    accept: "text/plain"
                )
                #expect(text.text.hasPrefix("[\(written - kept) bytes of stdout from byte 0 on are gone]\n"))
            }
        }

        @Test("with on-limit: fail the task that goes over its limit is ended", .timeLimit(.minutes(5)))
        func outputLimit() async throws {
            try await Workbench.serving { bench in
                try bench.handler("endless", "yes")
                try bench.policy(
                    "endless",
                    "output: {limit: 1MiB, on-limit: fail}\ngrace: 5s\nretry: {limit: 2}\n"
                )
                try bench.behaviour("flood", policy: "output: {limit: 1MiB, on-limit: fail}\n")
            } _: { bench in
                let task = try await bench.finished("endless")
                #expect(task.text("status") == "failed" && task.reason == "output-limit")
                #expect(task["attempt"] == 1 && task.message.contains("1MiB"))
                #expect(bench.handlerProcesses.isEmpty)
                let small = try await bench.finished("flood", params: "100000")
                #expect(small.text("status") == "completed" && small["output"]?["droppedBytes"] == 0)
            }
        }

        @Test("binary bytes come back as they were", .timeLimit(.minutes(5)))
        func binary() async throws {
            let bytes = (0..<3_200_000).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) }
            #expect(Set(bytes).count == 256)
            try await Workbench.serving { bench in
                try FileManager.default.createDirectory(
                    atPath: bench.folder + "/inbox",
                    withIntermediateDirectories: false,
                    attributes: [.posixPermissions: 0o755]
                )
                let file = bench.folder + "/inbox/bytes"
                try Data(bytes).write(to: URL(filePath: file))
                try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file)
                try bench.handler("binary", "cat '\(file)'; cat '\(file)' >&2")
                try bench.policy("binary", "sandbox: {read: [\"\(bench.folder)/inbox\"]}\n")
            } _: { bench in
                let task = try await bench.finished("binary")
                let logs = try await bench.bulkhead("logs", task.text("id"))
                #expect(logs.stdout == bytes && logs.stderr == bytes)
                let followed = try await bench.bulkhead("submit", "binary", "--follow")
                #expect(followed.code == 0 && followed.stdout == bytes && followed.stderr == bytes)
            }
        }

        @Test("one endless line is kept whole, without an end of its own", .timeLimit(.minutes(5)))
        func endlessLine() async throws {
            try await Workbench.serving { bench in
                try bench.handler("endless-line", "yes 0123456789 | tr -d '\\n' | head -c 5000000")
            } _: { bench in
                let task = try await bench.finished("endless-line")
                #expect(task["output"] == ["stdoutBytes": 5_000_000, "stderrBytes": 0, "droppedBytes": 0])
                let logs = try await bench.bulkhead("logs", task.text("id"))
                #expect(logs.stdout == (0..<5_000_000).map { UInt8(48 + $0 % 10) } && logs.err.isEmpty)
            }
        }

        @Test(
            "a wait for an attempt that has still to begin ends with its output, or with the task",
            .timeLimit(.minutes(5))
        )
        func notBegun() async throws {
            try await Workbench.serving { bench in
                try bench.gatedHandler("hold", "gate go")
                try bench.handler("late", "echo late")
                try bench.policy("pools", "default: {concurrency: 1}\n")
            } _: { bench in
                let held = try await bench.submit("hold")
                #expect(try await bench.waits(for: held, toBe: .running))
                let late = try await bench.submit("late")
                func page(_ query: String) async throws -> APICall.Answer {
                    try await bench.api("GET", "/v1/tasks/\(late)/output?\(query)")
                }
                #expect(try await page("attempt=1").status == 404)
                let none = try await page("attempt=1&wait=10ms").json
                #expect(none["chunks"] == [] && none["end"] == false)
                async let first = page("attempt=1&wait=50s")
                async let second = page("attempt=2&wait=50s")
                let follower = try bench.run(["logs", late, "--follow", "--socket", bench.socket])
                try bench.open("go")
                let (begun, never) = try await (first, second)
                #expect(begun.json["chunks"]?.array?.first?["data"] == "bGF0ZQo=")
                never.expectProblem(404, "not-found", "has no attempt 2")
                let followed = await follower.result()
                #expect(followed.code == 0 && followed.out == "late\n" && followed.err.isEmpty)
            }
        }

        @Test(
            "following goes on through a retry",
            .timeLimit(.minutes(5))
        )
        func throughRetry() async throws {
            try await Workbench.serving { bench in
                try bench.gatedHandler(
                    "twice",
                    "echo attempt $BULKHEAD_ATTEMPT; gate go; [ $BULKHEAD_ATTEMPT = 2 ]",
                    policy: "retry: {limit: 1, delay: 100ms, jitter: none}\n"
                )
            } _: { bench in
                let id = try await bench.submit("twice")
                let follower = try bench.run(["logs", id, "--follow", "--socket", bench.socket])
                try bench.open("go")
                let followed = await follower.result()
                #expect(followed.out == "attempt 1\nattempt 2\n" && followed.code == 0, "\(followed)")
            }
        }

        @Test("single bytes on two streams keep their order within each", .timeLimit(.minutes(5)))
        func singleBytes() async throws {
            try await Workbench.serving { bench in
                try bench.behaviour("single-bytes")
            } _: { bench in
                let task = try await bench.finished("single-bytes")
                let logs = try await bench.bulkhead("logs", task.text("id"))
                let expected = (0..<2_500).map { UInt8($0 % 251) }
                #expect(logs.stdout == expected && logs.stderr == expected)
            }
        }

        @Test("a flood of one task costs another nothing", .timeLimit(.minutes(5)))
        func neighbours() async throws {
            try await Workbench.serving { bench in
                try bench.behaviour("flood")
                try bench.gatedHandler("quiet", "echo begin; gate go; echo end")
            } _: { bench in
                let quiet = try await bench.submit("quiet")
                #expect(
                    try await bench.eventually { try await bench.bulkhead("logs", quiet).out == "begin\n" }
                )
                let flood = try await bench.finished("flood", params: "2000000")
                #expect(flood["output"]?["droppedBytes"] != 0)
                try bench.open("go")
                let task = try await bench.ended(quiet)
                #expect(task["output"]?["droppedBytes"] == 0)
                #expect(try await bench.bulkhead("logs", quiet).out == "begin\nend\n")
            }
        }
    }
}
