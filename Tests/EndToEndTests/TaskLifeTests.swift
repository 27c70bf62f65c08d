import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// Runs, attempts, ends: what becomes of a task that fails, is cancelled, waits, or goes.
    @Suite("Task life")
    struct TaskLifeTests {
        private static let id = "aaaaaaaa-0000-4000-8000-000000000001"

        // MARK: Retries and runs

        @Test("a failed attempt is tried again until one succeeds", .timeLimit(.minutes(5)))
        func retries() async throws {
            try await Workbench.serving { bench in
                try bench.handler("third", #"echo "try $BULKHEAD_ATTEMPT"; [ "$BULKHEAD_ATTEMPT" -ge 3 ]"#)
                try bench.policy("third", "retry: {limit: 3, delay: 10ms, maximum-delay: 20ms}\n")
            } _: { bench in
                let id = try await bench.submit("third")
                let followed = try await bench.bulkhead("logs", id, "--follow")
                let task = try await bench.ended(id)
                #expect(task.text("status") == "completed" && task["run"] == 1 && task["attempt"] == 3)
                #expect(task["error"] == nil && task["interruptions"] == 0)
                let attempts = task["attempts"]?.array ?? []
                #expect(attempts.map { $0["attempt"]?.integer } == [1, 2, 3])
                #expect(attempts.map { $0.text("outcome") } == ["failed", "failed", "completed"])
                #expect(attempts.map { $0["error"]?["exitCode"]?.integer } == [1, 1, nil])
                #expect(followed.out.hasSuffix("try 3\n"))
                #expect(try await bench.bulkhead("logs", id, "--attempt", "1").out == "try 1\n")
                #expect(try await bench.bulkhead("logs", id).out == "try 3\n")
            }
        }

        @Test("a retry waits for its delay, says so, and its limit is kept", .timeLimit(.minutes(5)))
        func retryDelay() async throws {
            try await Workbench.serving { bench in
                try bench.handler("bad", "exit 7")
                try bench.policy("bad", "retry: {limit: 2, delay: 200ms, jitter: none}\n")
                try bench.handler("late", "exit 75")
                try bench.policy("late", "retry: {limit: 1, delay: 1h, maximum-delay: 1h, jitter: none}\n")
            } _: { bench in
                let late = try await bench.submit("late")
                let task = try await bench.finished("bad")
                #expect(task.text("status") == "failed" && task.reason == "exit" && task["attempt"] == 3)
                #expect(task["error"]?["exitCode"] == 7)
                let attempts = task["attempts"]?.array ?? []
                for (before, after) in zip(attempts, attempts.dropFirst()) {
                    let end = try #require(before.milliseconds("completedAt"))
                    let start = try #require(after.milliseconds("startedAt"))
                    #expect(start - end >= 200)
                }
                let second = try #require(attempts.count == 3 ? attempts[1].milliseconds("completedAt") : nil)
                let third = try #require(attempts[2].milliseconds("startedAt"))
                #expect(third - second >= 400, "the delay doubles")

                #expect(try await bench.eventually { try await bench.task(late)["attempt"] == 1 })
                #expect(try await bench.waits(for: late, toBe: .queued))
                let waiting = try await bench.task(late)
                #expect(waiting.text("waitingFor").contains("next try") && waiting["notBefore"] != nil)
                #expect(try await bench.bulkhead("cancel", late).code == 0)
                #expect(try await bench.task(late).text("status") == "cancelled")
            }
        }

        @Test("an error line decides about the retry, either way", .timeLimit(.minutes(5)))
        func errorLine() async throws {
            try await Workbench.serving { bench in
                let line =
                    #"echo '{"error":{"message":"said so","retryable":WORD,"hint":"do this"}}' >&3; exit "#
                try bench.handler("never", line.replacing("WORD", with: "false") + "1")
                try bench.handler("always", line.replacing("WORD", with: "true") + "65")
                try bench.handler("final", "exit 78")
                try bench.handler("fine", line.replacing("WORD", with: "true") + "0")
                for type in ["never", "always", "final", "fine"] {
                    try bench.policy(type, "retry: {limit: 1, delay: 1ms}\n")
                }
            } _: { bench in
                let never = try await bench.finished("never")
                #expect(never["attempt"] == 1 && never.reason == "exit" && never.message == "said so")
                #expect(never["error"]?["retryable"] == false && never["error"]?["hint"] == "do this")
                let always = try await bench.finished("always")
                #expect(always["attempt"] == 2 && always["error"]?["exitCode"] == 65)
                let final = try await bench.finished("final")
                #expect(final["attempt"] == 1 && final["error"]?["exitCode"] == 78)
                let fine = try await bench.finished("fine")
                #expect(fine.text("status") == "completed" && fine["error"] == nil)
                #expect(fine.warnings.contains("said so"))
            }
        }

        @Test("a submit of an id that exists does what its state says", .timeLimit(.minutes(5)))
        func resubmit() async throws {
            try await Workbench.serving { bench in
                try bench.gatedHandler("flaky", "[ -e '\(bench.folder)/gates/good' ]")
                try bench.handler("other", "exit 0")
            } _: { bench in
                func json(_ text: String) throws -> JSONValue { try JSONParser.parse(Array(text.utf8)) }
                func submit(_ type: String, _ params: JSONValue) async throws -> APICall.Answer {
                    try await bench.api(
                        "POST",
                        "/v1/tasks?wait=20s",
                        ["id": .string(Self.id), "type": .string(type), "params": params, "caller": "ann"]
                    )
                }
                let first = try await submit("flaky", json(#"{"a":1,"b":[1.5]}"#))
                #expect(
                    first.status == 201 && first.json.text("status") == "failed" && first.json["run"] == 1
                )
                #expect(first.head.contains("/v1/tasks/\(Self.id)"))

                // A failed task: the same params, written another way, are a new run.
                let second = try await submit("flaky", json(#"{ "b" : [15e-1], "a" : 1.0 }"#))
                #expect(second.status == 201 && second.json["run"] == 2 && second.json["attempt"] == 2)

                for (type, params) in [("flaky", #"{"a":2}"#), ("other", #"{"a":1,"b":[1.5]}"#)] {
                    let refused = try await submit(type, json(params))
                    #expect(refused.status == 409 && refused.head.contains("application/problem+json"))
                    #expect(refused.json["status"] == 409)
                }
                #expect(try await bench.task(Self.id)["run"] == 2, "a refused submit changes nothing")

                try bench.open("good")
                let third = try await submit("flaky", json(#"{"a":1,"b":[1.5]}"#))
                #expect(third.status == 201 && third.json["run"] == 3 && third.json["attempt"] == 3)
                #expect(third.json.text("status") == "completed" && third.json["error"] == nil)
                let again = try await submit("flaky", json(#"{"a":1,"b":[1.5]}"#))
                #expect(again.status == 200 && again.json["run"] == 3 && again.json["attempt"] == 3)
                let conflict = try await bench.bulkhead("submit", "other", "--id", Self.id)
                #expect(conflict.code == 4 && conflict.err.contains(Self.id))
            }
        }

        @Test("two submits of one id at once yield one execution", .timeLimit(.minutes(5)))
        func submitsAtOnce() async throws {
            try await Workbench.serving { bench in
                try bench.handler("count", "echo ran")
            } _: { bench in
                let answers = try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<16 {
                        group.addTask {
                            let body: JSONValue = ["id": .string(Self.id), "type": "count"]
                            return try await bench.api("POST", "/v1/tasks", body).status
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(answers.filter { $0 == 201 }.count == 1)
                #expect(answers.filter { $0 == 200 }.count == 15)
                let task = try await bench.ended(Self.id)
                #expect(task["run"] == 1 && task["attempt"] == 1)
                #expect(try await bench.bulkhead("logs", Self.id).out == "ran\n")
            }
        }

        @Test(
            "a batch answers each task in order; a bad one costs the others nothing",
            .timeLimit(.minutes(5))
        )
        func batch() async throws {
            try await Workbench.serving { bench in
                try bench.handler("good", "exit 0")
            } _: { bench in
                let answer = try await bench.api(
                    "POST",
                    "/v1/tasks/batch",
                    [
                        "tasks": [
                            ["type": "good", "id": .string(Self.id)], ["type": "nosuch"], ["typ": "good"],
                            ["type": "good", "id": .string(Self.id)], ["type": "good", "priority": 3],
                        ]
                    ]
                )
                #expect(answer.status == 200)
                let outcomes = answer.json["outcomes"]?.array ?? []
                #expect(outcomes.map { $0["status"]?.integer } == [201, 422, 400, 200, 201])
                #expect(outcomes.map { $0["task"] != nil } == [true, false, false, true, true])
                #expect(outcomes.last?["task"]?["priority"] == 3)
                #expect(outcomes[1]["problem"]?.text("detail").contains("nosuch") == true)
                #expect(try await bench.ended(Self.id).text("status") == "completed")
            }
        }

        // MARK: Ends

        @Test("wait runs out of its time with 124 and the task goes on", .timeLimit(.minutes(5)))
        func waitRunsOut() async throws {
            try await Workbench.serving { bench in
                try bench.gatedHandler("slow", "gate go; echo '{\"result\":[1,2]}' >&3")
            } _: { bench in
                let id = try await bench.submit("slow")
                let early = try await bench.bulkhead("wait", id, "--timeout", "200ms")
                #expect(early.code == 124 && early.out.isEmpty && early.err.contains("200ms"))
                #expect(try await bench.api("GET", "/v1/tasks/\(id)/wait?timeout=10ms").status == 204)
                let pending = try await bench.api("POST", "/v1/tasks?wait=10ms", ["type": "slow"])
                #expect(pending.status == 202)
                try bench.open("go")
                let late = try await bench.bulkhead("wait", id, "--timeout", "30s")
                #expect(late.code == 0 && late.out == "[1,2]\n")
            }
        }

        @Test("cancel takes a queued task out at once and stops a running one", .timeLimit(.minutes(5)))
        func cancel() async throws {
            try await Workbench.serving { bench in
                try bench.handler(
                    "polite",
                    "trap 'echo asked; exit 0' TERM; echo '{\"result\":1}' >&3; echo on; while :; do sleep 0.02; done"
                )
                try bench.policy("polite", "pool: one\n")
                try bench.policy("pools", "one: {concurrency: 1}\n")
            } _: { bench in
                let running = try await bench.submit("polite")
                let queued = try await bench.submit("polite")
                #expect(
                    try await bench.eventually { try await bench.bulkhead("logs", running).out == "on\n" }
                )
                let waiting = try await bench.task(queued)
                #expect(waiting.text("status") == "queued" && waiting["queuePosition"] == 0)
                #expect(waiting.text("waitingFor").contains("a free slot in pool one"))

                let first = try await bench.bulkhead("cancel", queued)
                #expect(first.code == 0 && first.out.isEmpty)
                let gone = try await bench.task(queued)
                #expect(gone.text("status") == "cancelled" && gone.reason == "cancelled")
                #expect(gone["attempt"] == 0 && gone["startedAt"] == nil && gone["completedAt"] != nil)

                #expect(try await bench.bulkhead("remove", running).code == 4)
                #expect(try await bench.api("POST", "/v1/tasks/\(running)/cancel").status == 202)
                // It ended with 0, but a stop decides before the exit does; its result is kept.
                let stopped = try await bench.bulkhead("wait", running)
                #expect(stopped.code == 1 && stopped.out == "1\n" && stopped.err.contains("cancelled"))
                let task = try await bench.task(running)
                #expect(task.text("status") == "cancelled" && task.reason == "cancelled")
                #expect(task["error"]?["exitCode"] == nil)
                #expect(try await bench.bulkhead("logs", running).out == "on\nasked\n")
                #expect(try await bench.bulkhead("cancel", running).code == 4)
                #expect(try await bench.api("POST", "/v1/tasks/\(running)/cancel").status == 409)
            }
        }

        @Test("remove forgets a task and its output; --cancel stops it first", .timeLimit(.minutes(5)))
        func remove() async throws {
            try await Workbench.serving { bench in
                try bench.handler("talk", "echo something")
                try bench.gatedHandler("hang", "gate never")
            } _: { bench in
                _ = try await bench.finished("talk", id: Self.id)
                let removed = try await bench.bulkhead("remove", Self.id)
                #expect(removed.code == 0 && removed.out.isEmpty)
                #expect(try await bench.bulkhead("show", Self.id).code == 3)
                #expect(try await bench.bulkhead("logs", Self.id).code == 3)
                #expect(try await bench.answer("status")["spool"]?["bytes"] == 0)
                let anew = try await bench.finished("talk", params: #"{"now":"other"}"#, id: Self.id)
                #expect(anew["run"] == 1 && anew["attempt"] == 1, "an id that has gone is a new id")

                let running = try await bench.submit("hang")
                #expect(try await bench.waits(for: running, toBe: .running))
                #expect(try await bench.api("DELETE", "/v1/tasks/\(running)").status == 409)
                let stopped = try await bench.bulkhead("remove", running, "--cancel", "--json")
                #expect(stopped.code == 0)
                #expect(try JSONParser.parse(stopped.stdout).text("id") == running)
                #expect(try await bench.api("GET", "/v1/tasks/\(running)").status == 404)
            }
        }

        // MARK: Times

        @Test(
            "a task starts no earlier than its notBefore, and never after its expiresAt",
            .timeLimit(.minutes(5))
        )
        func times() async throws {
            try await Workbench.serving { bench in
                try bench.handler("good", "exit 0")
                try bench.gatedHandler("slow", "gate go", policy: "pool: one\n")
                try bench.policy("pools", "one: {concurrency: 1}\n")
            } _: { bench in
                let delayed = try await bench.submit("good", params: "{}", "--delay", "700ms")
                let waiting = try await bench.task(delayed)
                #expect(
                    waiting.text("status") == "queued" && waiting.text("waitingFor").contains("notBefore")
                )
                let running = try await bench.submit("slow")
                let moment = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000) + 400)
                let answer = try await bench.api(
                    "POST",
                    "/v1/tasks",
                    ["id": .string(Self.id), "type": "slow", "expiresAt": .string(moment.description)]
                )
                #expect(answer.status == 201 && answer.json.text("expiresAt") == moment.description)
                let expired = try await bench.ended(Self.id)
                #expect(expired.text("status") == "failed" && expired.reason == "expired")
                #expect(expired["attempt"] == 0)
                #expect(try #require(expired.milliseconds("completedAt")) >= moment.milliseconds)
                try bench.open("go")
                #expect(try await bench.ended(running).text("status") == "completed")

                let started = try await bench.ended(delayed)
                let start = try #require(started.milliseconds("startedAt"))
                #expect(start >= (started.milliseconds("notBefore") ?? .max))
                #expect(start >= (started.milliseconds("submittedAt") ?? .max) + 500)
            }
        }
    }
}
