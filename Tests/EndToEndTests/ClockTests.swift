import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// A wall clock that is set, and surroundings that write dates in other ways.
    @Suite("Clock")
    struct ClockTests {
        @Test(
            "a wall clock that jumps a year moves no wait and no timeout, only what goes by date",
            .timeLimit(.minutes(5)),
            arguments: [365, -365]
        )
        func jumps(byDays days: Int64) async throws {
            let bench = try Workbench()
            try bench.handler("again", "date +%s%3N; [ $BULKHEAD_ATTEMPT = 2 ] || exit 1")
            try bench.policy(
                "again",
                "pool: a\nretry: {limit: 1, delay: 4s, maximum-delay: 4s, jitter: none}\n"
            )
            try bench.handler(
                "long",
                "date +%s%3N; trap 'date +%s%3N; exit 0' TERM; while :; do sleep 0.05; done"
            )
            try bench.policy("long", "pool: b\ntimeout: 4s\n")
            try bench.handler("bad", "date +%s%3N; exit 65")
            try bench.policy("bad", "pool: c\n")
            try bench.handler("fine", ":")
            try bench.policy(
                "pools",
                "c: {concurrency: 1, backoff: {after: 1, within: 60s, delay: 4s, maximum: 4s, jitter: none}}\n"
            )
            let clock = try WallClock(bench.folder + "/clock")
            let server = try bench.launchServer(environment: clock.environment)
            try #require(await server.says("ready"), "\(server.errorsSoFar)")
            do {
                for type in ["again", "long", "bad", "fine"] { try await bench.waitsForHandler(type) }
                let day = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970) * 1_000)
                let soon = try await bench.api(
                    "POST",
                    "/v1/tasks",
                    ["type": "fine", "notBefore": .string((day + .seconds(86_400)).description)]
                ).json.text("id")
                let again = try await bench.submit("again")
                let long = try await bench.submit("long")
                let bad = try await bench.submitBatch([["type": "bad"], ["type": "bad"]])
                #expect(try await bench.waits(for: again, toBe: .queued))
                #expect(try await bench.waits(for: long, toBe: .running))
                #expect(try await bench.waits(for: bad[0], toBe: .failed))
                try clock.set(forwardBy: .seconds(days * 86_400))

                // The supervisor's own dates have jumped.
                let later = try await bench.finished("fine")
                let moved = (try #require(later.milliseconds("submittedAt")) - day.milliseconds) / 86_400_000
                #expect((364...366).contains(days > 0 ? moved : -moved), "\(later.text)")
                let waiting = try await bench.task(again)
                #expect(waiting.text("status") == "queued", "\(waiting.text)")
                let uptime = try await bench.answer("status")["uptimeSeconds"]?.double
                #expect(uptime.map { $0 < 600 } == true)

                // A date that has come, or is further away than before.
                let dated = days > 0 ? "completed" : "queued"
                #expect(try await bench.eventually { try await bench.task(soon).text("status") == dated })

                let tries = try await stamps(of: again, bench, from: 1...2)
                #expect((3_900...20_000).contains(tries[1] - tries[0]), "a retry after \(tries)")
                let ends = try await stamps(of: long, bench, from: 1...1)
                #expect((3_800...20_000).contains(ends[1] - ends[0]), "a timeout after \(ends)")
                let timedOut = try await bench.task(long)
                #expect(timedOut.reason == "timeout")
                _ = try await bench.ended(bad[1])
                let first = try await stamps(of: bad[0], bench, from: 1...1)[0]
                let probe = try await stamps(of: bad[1], bench, from: 1...1)[0]
                #expect((3_900...20_000).contains(probe - first), "a back-off of \(probe - first)")
            } catch {
                await bench.crash(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
        }

        /// What a task's attempts printed: the moments by the machine's real clock, which nobody set.
        private func stamps(
            of id: String,
            _ bench: Workbench,
            from attempts: ClosedRange<Int>
        ) async throws -> [Int64] {
            _ = try await bench.ended(id)
            var stamps: [Int64] = []
            for attempt in attempts {
                let logs = try await bench.bulkhead(
                    "logs",
                    id,
                    "--attempt",
                    "\(attempt)",
                    "--stream",
                    "stdout"
                )
                stamps += logs.out.split(separator: "\n").compactMap { Int64($0) }
            }
            try #require(
                stamps.count >= 2 || attempts.count == 1 && !stamps.isEmpty,
                "\(id) printed \(stamps)"
            )
            return stamps
        }

        @Test("time zone and language change no byte of the API", .timeLimit(.minutes(5)))
        func surroundings() async throws {
            let bench = try Workbench()
            try bench.handler("fine", "echo '{\"progress\":{\"fraction\":0.5,\"message\":\"half\"}}' >&3")
            var id: String?
            var answers: [String] = []
            let places = [
                [:], ["TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE.UTF-8"],
                ["TZ": ":right/Europe/Berlin", "LC_ALL": "C"],
            ]
            for place in places {
                let server = try await bench.start(environment: place)
                try await bench.waitsForHandler("fine")
                let task = try await bench.finished("fine", params: #"{"I":"ıİ","x":1.5}"#, id: id)
                id = task.text("id")
                answers.append(try await bench.api("GET", "/v1/tasks/" + task.text("id")).text)
                #expect(await bench.stop(server).code == 0)
            }
            #expect(Set(answers).count == 1, "\(answers)")
            #expect(answers[0].contains("Z\""))
        }
    }
}

/// The wall clock of one supervisor, which a test sets: `libFaultPoints.so`, preloaded, adds what a shared page says.
private struct WallClock {
    private let path: String

    /// Makes a page in a file; the clock goes right at first.
    init(_ path: String) throws {
        self.path = path
        try Data(count: 8).write(to: URL(filePath: path))
    }

    /// What a supervisor needs in its environment.
    var environment: [String: String] { ["LD_PRELOAD": FaultPoint.library, "WALL_CLOCK_PAGE": path] }

    /// Sets the clock, from one reading to the next.
    func set(forwardBy jump: Duration) throws {
        let file = try FileHandle(forUpdating: URL(filePath: path))
        try file.write(contentsOf: FaultPage.bytes(jump.components.seconds))
        try file.close()
    }
}
