import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// Much more output than the spool keeps, from several handlers at once, with readers beside them.
    ///
    /// With `BULKHEAD_SOAK` set to a size, such as 10GiB, that much goes through a spool of 64 MiB.
    @Suite("Soak")
    struct SoakTests {
        private static let asked = ProcessInfo.processInfo.environment["BULKHEAD_SOAK"]
        /// Bytes of files beside those of the cap: the log, which stays as long as it once was, what is held
        /// on the disk for ends, and the rows and half-filled pages of what is kept.
        private static let filesBeside: Int64 = 40 << 20
        /// Kilobytes that the supervisor may have at all: SQLite's five connections with 8 MiB of pages each, the
        /// bound of a commit, and the windows of the launchers, each of them some MiB.
        private static let mostKilobytes = 192 << 10
        /// Kilobytes by which the second half of a long run may need more than the first, in the middle of all looks:
        /// caches of SQLite that fill and the allocator's slack, and far less than a hundredth of what is written.
        private static let growthKilobytes = 16 << 10

        /// How much is written, and into how much it has to fit.
        private struct Plan {
            var total: Int64
            var cap: Int64

            init() throws {
                total = try SoakTests.asked.map { text in try Quantities.bytes(text) } ?? 12 << 20
                cap = SoakTests.asked == nil ? 4 << 20 : 64 << 20
            }

            /// The limits leave some of the cap, so that the oldest goes for want of room, and nobody else pays.
            var handlers: [(name: String, bytes: Int64, limit: Int64, script: (Int64) -> String)] {
                let single = total / 256
                let old = min(total / 8, cap)
                let binary = total / 3
                return [
                    ("old", old, cap / 2, { "yes old | head -c \($0)" }),
                    ("flood", total - old - binary - single, cap * 3 / 4, { "yes | head -c \($0)" }),
                    ("binary", binary, cap / 8, { "head -c \($0) /dev/urandom" }),
                    ("single", single, cap / 32, { "dd if=/dev/zero bs=1 count=\($0) status=none" }),
                ]
            }
        }

        /// What was seen at one moment.
        private struct Sample {
            var spoolBytes: Int64
            var room: Int64
            var fileBytes: Int64
            var kilobytes: Int
            var livez: Duration

            init(_ bench: Workbench, _ server: ChildProcess, cap: Int64) async throws {
                let began = ContinuousClock.now
                #expect(try await bench.api("GET", "/livez").status == 200)
                livez = began.duration(to: .now)
                let spool = try await bench.api("GET", "/v1/status").json["spool"]
                spoolBytes = try #require(spool?["bytes"]?.integer)
                room = cap - (spool?["reservedBytes"]?.integer ?? 0) - (spool?["finalBytes"]?.integer ?? 0)
                fileBytes = ["", "-wal"].reduce(0) { sum, suffix in
                    let path = bench.state + "/bulkhead.sqlite" + suffix
                    let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int64
                    return sum + (size ?? 0)
                }
                kilobytes = ProcessTable.status("VmRSS", of: server.pid) ?? 0
            }
        }

        @Test(
            "floods through a small spool: never more is kept than the cap, all is there or said, memory stays flat",
            .timeLimit(.minutes(asked == nil ? 2 : 120))
        )
        func soak() async throws {
            let plan = try Plan()
            let bench = try Workbench()
            for handler in plan.handlers {
                try bench.handler(handler.name, handler.script(handler.bytes))
                try bench.policy(handler.name, "pool: wide\ntimeout: 0\noutput: {limit: \(handler.limit)B}\n")
            }
            try bench.gatedHandler("quiet", "seq 20000; gate go; echo end >&2", policy: "pool: wide\n")
            try bench.policy("pools", "wide: {concurrency: 16}\n")
            let server = try await bench.start([
                "--spool-cap", "\(plan.cap)B", "--terminal-reserve", "100KiB",
            ])
            do {
                try await run(plan, bench, server)
            } catch {
                await bench.crash(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
        }

        private func run(_ plan: Plan, _ bench: Workbench, _ server: ChildProcess) async throws {
            let began = ContinuousClock.now
            var ids = ["old": try await bench.finished("old").text("id")]
            let quiet = try await bench.submit("quiet")
            #expect(try await bench.waits(for: quiet, toBe: .running))
            for handler in plan.handlers.dropFirst() {
                ids[handler.name] = try await bench.submit(handler.name)
            }
            let followers = try ["flood", "single"].map { try follower(of: ids[$0] ?? "", bench) }
            let stalled = try StreamClient(bench, "/v1/tasks/\(ids["flood"] ?? "")/events", reads: false)
            let samples = try await samples(until: Set(ids.values), plan, bench, server)
            let took = began.duration(to: .now)
            stalled.hangUp()
            try bench.open("go")
            let calm = try await bench.ended(quiet)
            #expect(calm["output"]?["droppedBytes"]?.integer == 0)
            let text = (1...20_000).map { "\($0)\n" }.joined()
            #expect(try await bench.bulkhead("logs", quiet, "--stream", "stdout").out == text)
            for handler in plan.handlers {
                let task = try await bench.task(ids[handler.name] ?? "")
                #expect(task.text("status") == "completed", "\(task.text)")
                #expect(task["output"]?["stdoutBytes"]?.integer == handler.bytes)
                let output = try await bench.keptOutput(of: task)
                #expect(output.kept + output.gone == handler.bytes && output.kept <= handler.limit)
            }
            for (name, follower) in zip(["flood", "single"], followers) {
                // Bytes that came, and bytes that it was told are gone.
                let sums = await follower.result().out.split(whereSeparator: \.isWhitespace).compactMap {
                    Int64($0)
                }
                #expect(
                    sums.reduce(0, +) == plan.handlers.first { $0.name == name }?.bytes,
                    "\(name): \(sums)"
                )
            }
            report(plan, samples, took)
        }

        /// Follows a task's output, and says at its end how many bytes came and how many are gone.
        private func follower(of id: String, _ bench: Workbench) throws -> ChildProcess {
            let lines = bench.folder + "/followed-" + id
            return try ChildProcess(
                "/bin/sh",
                [
                    "-c",
                    """
                    '\(Workbench.programs)/bulkhead' logs \(id) --follow --socket '\(bench.socket)' 2>'\(lines)' | wc -c
                    awk -F 'gap: ' 'NF > 1 { split($2, words, " "); sum += words[1] } END { printf "%.0f", sum }' '\(lines)'
                    """,
                ],
                environment: ["PATH": "/usr/local/bin:/usr/bin:/bin"],
                folder: "/"
            )
        }

        /// Looks again and again until the tasks have ended, and sees at each look what must always hold.
        private func samples(
            until ids: Set<String>,
            _ plan: Plan,
            _ bench: Workbench,
            _ server: ChildProcess
        ) async throws -> [Sample] {
            var samples: [Sample] = []
            var left = ids
            while !left.isEmpty {
                let sample = try await Sample(bench, server, cap: plan.cap)
                #expect(sample.spoolBytes <= sample.room)
                #expect(sample.fileBytes <= plan.cap + Self.filesBeside)
                #expect(sample.kilobytes <= Self.mostKilobytes)
                samples.append(sample)
                for id in left {
                    let task = try await bench.api("GET", "/v1/tasks/\(id)").json
                    if task["completedAt"] != nil { left.remove(id) }
                }
                try await Task.sleep(for: .milliseconds(Self.asked == nil ? 10 : 1_000))
            }
            return samples
        }

        private func report(_ plan: Plan, _ samples: [Sample], _ took: Duration) {
            let half = samples.count / 2
            let first = Self.median(samples[..<half].map(\.kilobytes))
            let second = Self.median(samples[half...].map(\.kilobytes))
            if Self.asked != nil { #expect(second <= first + Self.growthKilobytes) }
            let files = samples.map(\.fileBytes).max() ?? 0
            let spool = samples.map(\.spoolBytes).max() ?? 0
            let livez = samples.map(\.livez).max() ?? .zero
            let curve = stride(from: 0, to: samples.count, by: max(samples.count / 12, 1)).map {
                "\(samples[$0].kilobytes >> 10)"
            }
            print(
                """
                soak: \(Quantities.text(bytes: plan.total)) in \(took), \
                \(Int(Double(plan.total >> 10) / 1_024 / took.inSeconds)) MiB/s; \(samples.count) looks; \
                most output kept \(spool) of \(plan.cap), largest file and log \(files), \
                slowest /livez \(livez), MiB of memory \(curve.joined(separator: " ")), \
                in the middle of the halves \(first) and \(second) kB, at most \(samples.map(\.kilobytes).max() ?? 0) kB
                """
            )
        }

        private static func median(_ numbers: [Int]) -> Int {
            numbers.isEmpty ? 0 : numbers.sorted()[numbers.count / 2]
        }
    }
}
