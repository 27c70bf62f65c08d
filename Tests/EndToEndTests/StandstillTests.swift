import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// A supervisor that stands still for a while, as under SIGSTOP or in a machine that is paused.
    @Suite("Standstill")
    struct StandstillTests {
        /// How long it stands still; a minute by hand.
        private static let length = Duration.seconds(
            ProcessInfo.processInfo.environment["BULKHEAD_STANDSTILL_SECONDS"].flatMap { Int($0) } ?? 3
        )
        /// Between two notices of life: half of what the service manager was said to wait.
        private static let pulse = Duration.milliseconds(100)

        @Test(
            "a supervisor that stood still goes on: each end told once, no burst, no notice of life meanwhile",
            .timeLimit(.minutes(5))
        )
        func standsStill() async throws {
            let bench = try Workbench()
            let notify = try NotifySocket(path: bench.folder + "/notify")
            try bench.gatedHandler("ends", "gate open\necho '{\"result\":1}' >&3", policy: "pool: a\n")
            try bench.handler("late", "trap 'exit 0' TERM; while :; do sleep 0.02; done")
            try bench.policy("late", "pool: b\ntimeout: 1s\n")
            try bench.handler("again", "exit 1")
            try bench.policy(
                "again",
                "pool: c\nretry: {limit: 3, delay: 1s, maximum-delay: 1s, jitter: none}\n"
            )
            try bench.policy("pools", "a: {concurrency: 4}\nb: {concurrency: 4}\nc: {concurrency: 4}\n")
            let server = try await bench.start(
                ["--outbox", "on"],
                environment: ["NOTIFY_SOCKET": bench.folder + "/notify", "WATCHDOG_USEC": "200000"]
            )
            do {
                for type in ["ends", "late", "again"] { try await bench.waitsForHandler(type) }
                let ids = try await bench.submitBatch(
                    ["ends", "ends", "late", "late", "again"].map { ["type": .string($0)] }
                )
                for id in ids.prefix(4) { #expect(try await bench.waits(for: id, toBe: .running)) }
                #expect(try await bench.eventually { try await bench.task(ids[4])["attempt"] == 1 })
                try await standStill(bench, server, notify)
                for (id, reason) in zip(ids, ["", "", "timeout", "timeout", "exit"]) {
                    let task = try await bench.ended(id)
                    #expect(task.reason == reason && task["interruptions"] == 0, "\(task.text)")
                    #expect(task["attempt"] == (reason == "exit" ? 4 : 1), "\(task.text)")
                }
                // A retry that was due several times over is tried once, and the next one is due a second later.
                let tries = try await bench.task(ids[4])["attempts"]?.array ?? []
                let starts = tries.compactMap { $0.milliseconds("startedAt") }
                for (one, next) in zip(starts, starts.dropFirst()) {
                    #expect(next - one >= 1_000, "\(starts)")
                }
                let messages =
                    try await bench.api("GET", "/v1/outbox?limit=1000").json["messages"]?.array ?? []
                let finals = messages.filter { $0.text("kind") == "final" }.map { $0.text("taskId") }
                #expect(finals.sorted() == ids.sorted())
            } catch {
                await bench.crash(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
        }

        private func standStill(
            _ bench: Workbench,
            _ server: ChildProcess,
            _ notify: NotifySocket
        ) async throws {
            func pulses() -> Int { notify.values(of: "WATCHDOG").count }
            #expect(try await bench.eventually { pulses() >= 3 })
            server.send(SIGSTOP)
            #expect(try await bench.eventually { ProcessTable.entry(of: server.pid)?.state == "T" })
            // What it sent before is read by now, or after this moment.
            try await Task.sleep(for: .milliseconds(100))
            let before = pulses()
            try bench.open("open")
            try await Task.sleep(for: Self.length)
            #expect(pulses() == before, "nobody would notice that it stands still")
            let begin = ContinuousClock.now
            server.send(SIGCONT)
            #expect(try await bench.eventually { pulses() >= before + 3 })
            let most = Int((ContinuousClock.now - begin) / Self.pulse) + 2
            #expect(pulses() - before <= most, "the notices that were due come all at once")
        }
    }
}
