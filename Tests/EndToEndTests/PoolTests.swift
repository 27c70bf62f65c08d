import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// What pools bound, in which order they start tasks, and how they back off.
    @Suite("Pool")
    struct PoolTests {
        @Test("higher priority goes first, then the oldest", .timeLimit(.minutes(5)))
        func order() async throws {
            try await Workbench.serving { bench in
                try bench.gatedHandler("slow", "gate go", policy: "pool: one\npriority: 5\n")
                try bench.policy("pools", "one: {concurrency: 1}\n")
            } _: { bench in
                let first = try await bench.submit("slow")
                #expect(try await bench.waits(for: first, toBe: .running))
                var ids: [String] = []
                for priority in ["0", "9", "-3", "9"] {
                    ids.append(try await bench.submit("slow", params: "{}", "--priority", priority))
                }
                // Without one of its own a task has its policy's.
                ids.append(try await bench.submit("slow"))
                let positions = try await bench.answer("show", ids[2])["queuePosition"]
                #expect(positions == 4)
                try bench.open("go")
                var starts: [(index: Int, at: Int64)] = []
                for (index, id) in ids.enumerated() {
                    let task = try await bench.ended(id)
                    starts.append((index, try #require(task.milliseconds("startedAt"))))
                }
                #expect(starts.sorted { $0.at < $1.at }.map(\.index) == [1, 3, 4, 0, 2])
            }
        }

        @Test("a pool runs as many as it may and never more; others go on", .timeLimit(.minutes(5)))
        func concurrency() async throws {
            try await Workbench.serving { bench in
                try bench.gatedHandler("slow", "gate go", policy: "pool: three\n")
                try bench.policy("pools", "three: {concurrency: 3}\n")
                try bench.handler("quick", "exit 0")
            } _: { bench in
                var ids: [String] = []
                for _ in 0..<9 { ids.append(try await bench.submit("slow")) }
                #expect(
                    try await bench.eventually {
                        try await bench.answer("status")["counts"]?["running"] == 3
                    }
                )
                let pool = try await bench.pool("three")
                #expect(pool?["running"] == 3 && pool?["queued"] == 6)
                #expect(try await bench.finished("quick").text("status") == "completed")
                try bench.open("go")
                var changes: [(at: Int64, by: Int)] = []
                for id in ids {
                    let task = try await bench.ended(id)
                    changes.append((try #require(task.milliseconds("startedAt")), 1))
                    changes.append((try #require(task.milliseconds("completedAt")), -1))
                }
                // Where one ends in the millisecond in which another starts, the end came first.
                var running = 0
                var most = 0
                for change in changes.sorted(by: { ($0.at, $0.by) < ($1.at, $1.by) }) {
                    running += change.by
                    most = max(most, running)
                }
                #expect(most == 3)
            }
        }

        @Test("64 tasks run at once, each with its own input, output and end", .timeLimit(.minutes(5)))
        func sixtyFour() async throws {
            let count = 64
            try await Workbench.serving { bench in
                try bench.gatedHandler(
                    "crowd",
                    """
                    read -r input
                    echo "$BULKHEAD_TASK_ID"
                    gate go
                    echo "{\\"result\\":$input}" >&3
                    """,
                    policy: "pool: crowd\n"
                )
                try bench.policy("pools", "crowd: {concurrency: \(count)}\n")
            } _: { bench in
                let tasks = (0..<count).map { ["type": "crowd", "params": .integer($0)] as JSONValue }
                let answer = try await bench.api("POST", "/v1/tasks/batch", ["tasks": .array(tasks)])
                let outcomes = answer.json["outcomes"]?.array ?? []
                #expect(outcomes.filter { $0["status"] == 201 }.count == count)
                let ids = outcomes.map { $0["task"]?.text("id") ?? "" }
                #expect(
                    try await bench.eventually(within: .seconds(60)) {
                        try await bench.answer("status")["counts"]?["running"] == .integer(count)
                    }
                )
                try bench.open("go")
                for (number, id) in ids.enumerated() {
                    _ = try await bench.api("GET", "/v1/tasks/\(id)/wait?timeout=60s")
                    let task = try await bench.api("GET", "/v1/tasks/\(id)").json
                    #expect(task.text("status") == "completed" && task["attempt"] == 1)
                    #expect(task["result"]?["params"] == .integer(number))
                    let output = try await bench.api("GET", "/v1/tasks/\(id)/output", accept: "text/plain")
                    #expect(output.text == id + "\n")
                }
                #expect(try await bench.answer("status")["counts"]?["completed"] == .integer(count))
            }
        }

        @Test("a queue that is full refuses with 429", .timeLimit(.minutes(5)))
        func queueLimit() async throws {
            try await Workbench.serving { bench in
                try bench.gatedHandler("slow", "gate go", policy: "pool: one\n")
                try bench.policy("pools", "one: {concurrency: 1, queue-limit: 1}\n")
            } _: { bench in
                let running = try await bench.submit("slow")
                #expect(try await bench.waits(for: running, toBe: .running))
                let queued = try await bench.submit("slow")
                let full = try await bench.api("POST", "/v1/tasks", ["type": "slow"])
                #expect(full.status == 429 && full.head.lowercased().contains("retry-after:"))
                #expect(try await bench.bulkhead("submit", "slow").code == 4)
                // What is there already is answered all the same.
                #expect(try await bench.bulkhead("submit", "slow", "--id", queued).code == 0)
                try bench.open("go")
                #expect(try await bench.ended(queued).text("status") == "completed")
            }
        }

        @Test(
            "failures in a row make a pool back off, over a restart too; other pools go on",
            .timeLimit(.minutes(5))
        )
        func backoff() async throws {
            let bench = try Workbench()
            try bench.handler("bad", "exit 1")
            try bench.policy("bad", "pool: shaky\n")
            try bench.handler("good", "exit 0")
            try bench.policy(
                "pools",
                """
                shaky: {concurrency: 4, backoff: {after: 2, within: 60s, delay: 1h, maximum: 1h, jitter: none}}
                """
            )
            var waiting = ""
            try await bench.serving { bench in
                _ = try await bench.finished("bad")
                #expect(try await bench.pool("shaky")?["failures"] == 1)
                #expect(try await bench.pool("shaky")?["backoffUntil"] == nil)
            }
            // The count goes on where it was.
            try await bench.serving { bench in
                #expect(try await bench.pool("shaky")?["failures"] == 1)
                _ = try await bench.finished("bad")
                let pool = try await bench.pool("shaky")
                #expect(pool?["failures"] == 2 && pool?["backoffUntil"] != nil)
                waiting = try await bench.submit("bad")
                #expect(try await bench.finished("good").text("status") == "completed")
                let task = try await bench.task(waiting)
                #expect(task.text("status") == "queued" && task.text("waitingFor").contains("backs off"))
            }
            try await bench.serving { bench in
                let pool = try await bench.pool("shaky")
                #expect(pool?["failures"] == 2 && pool?["backoffUntil"] != nil && pool?["queued"] == 1)
                #expect(try await bench.finished("good").text("status") == "completed")
                let task = try await bench.task(waiting)
                #expect(task.text("status") == "queued" && task["attempt"] == 0)
            }
        }

        @Test("a pool's failures survive the loss of the database", .timeLimit(.minutes(5)))
        func databaseLost() async throws {
            let bench = try Workbench()
            try bench.handler("shaky", "exit 1")
            try bench.policy("shaky", "pool: shaky")
            try bench.policy(
                "pools",
                "shaky: {concurrency: 1, backoff: {after: 2, within: 60s, delay: 30m, maximum: 30m, jitter: none}}"
            )
            try await bench.serving { bench in
                for _ in 0..<2 { _ = try await bench.finished("shaky") }
            }
            for name in ["bulkhead.sqlite", "bulkhead.sqlite-wal", "bulkhead.sqlite-shm"] {
                try? FileManager.default.removeItem(atPath: bench.state + "/" + name)
            }
            try await bench.serving { bench in
                let pool = try await bench.pool("shaky")
                #expect(pool?["failures"] == 2)
                #expect(pool?["backoffUntil"] != nil)
                #expect(try await bench.answer("list")["tasks"]?.array?.isEmpty == true)
            }
        }

        @Test("after a backoff one probe runs, and its success opens the pool", .timeLimit(.minutes(5)))
        func probe() async throws {
            try await Workbench.serving { bench in
                try bench.gatedHandler(
                    "shaky",
                    "[ -e '\(bench.folder)/gates/good' ] || exit 1\necho on\ngate go",
                    policy: "pool: shaky\n"
                )
                try bench.policy(
                    "pools",
                    """
                    shaky: {concurrency: 4, backoff: {after: 2, within: 60s, delay: 300ms, maximum: 1h, jitter: none}}
                    """
                )
            } _: { bench in
                for _ in 0..<2 { _ = try await bench.finished("shaky") }
                let until = try #require(try await bench.pool("shaky")?.milliseconds("backoffUntil"))
                // The first probe fails: the pool backs off further.
                let third = try await bench.finished("shaky")
                let probed = try #require(third.milliseconds("startedAt"))
                #expect(probed >= until - 50, "the probe waits for the end of the backoff")
                let pool = try await bench.pool("shaky")
                #expect(pool?["failures"] == 3 && pool?["backoffUntil"] != nil)

                try bench.open("good")
                var ids: [String] = []
                for _ in 0..<4 { ids.append(try await bench.submit("shaky")) }
                #expect(try await bench.eventually { try await bench.pool("shaky")?["running"] == 1 })
                #expect(try await bench.eventually { try await bench.bulkhead("logs", ids[0]).out == "on\n" })
                #expect(try await bench.pool("shaky")?["running"] == 1)
                #expect(try await bench.task(ids[1]).text("waitingFor").contains("one probe"))
                try bench.open("go")
                for id in ids { #expect(try await bench.ended(id).text("status") == "completed") }
                let healed = try await bench.pool("shaky")
                #expect(healed?["failures"] == 0 && healed?["backoffUntil"] == nil)
            }
        }
    }
}
