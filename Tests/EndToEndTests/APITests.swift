import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// The HTTP API as a controller meets it: statuses, bodies, and problems that say what to do.
    @Suite("API")
    struct APITests {
        private static let far = JSONValue.string("2099-01-01T00:00:00Z")

        private static func submission(_ type: String, _ more: JSONObject = [:]) -> JSONValue {
            var object = more
            object["type"] = .string(type)
            return .object(object)
        }

        // MARK: Submit

        @Test(
            "a submit answers 201, 200 or 409 by what exists, and 201 again after a failure",
            .timeLimit(.minutes(5))
        )
        func submit() async throws {
            try await Workbench.serving { bench in
                try bench.handler("works", "echo fine")
                try bench.handler("fails", "exit 65")
            } _: { bench in
                let first = try await bench.api("POST", "/v1/tasks?wait=30s", Self.submission("works"))
                #expect(first.status == 201 && first.json.text("status") == "completed")
                let id = first.json.text("id")
                #expect(first.head.contains("ocation: /v1/tasks/\(id)"))
                let same = Self.submission("works", ["id": .string(id)])
                let second = try await bench.api("POST", "/v1/tasks?wait=30s", same)
                #expect(second.status == 200 && second.json["run"]?.integer == 1)
                #expect(second.json["attempt"]?.integer == 1, "it is not executed again")

                for run in 1...3 {
                    let failing = Self.submission(
                        "fails",
                        ["id": .string("0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f5a6")]
                    )
                    let failed = try await bench.api("POST", "/v1/tasks?wait=30s", failing)
                    #expect(failed.status == 201 && failed.json.text("status") == "failed")
                    #expect(failed.json["run"]?.integer == Int64(run))
                    #expect(failed.json["attempt"]?.integer == Int64(run))
                }
                try await bench.api(
                    "POST",
                    "/v1/tasks",
                    Self.submission("works", ["id": .string(id), "params": .integer(1)])
                )
                .expectProblem(409, "conflict", "with other params")
            }
        }

        @Test(
            "a submit that waits answers 202 when its time is over, and the task goes on",
            .timeLimit(.minutes(5))
        )
        func submitAndWait() async throws {
            try await Workbench.serving { bench in
                try bench.gatedHandler("gated", "gate go; echo fine")
            } _: { bench in
                let waited = try await bench.api("POST", "/v1/tasks?wait=50ms", Self.submission("gated"))
                #expect(waited.status == 202)
                #expect(["queued", "running"].contains(waited.json.text("status")))
                let id = waited.json.text("id")
                #expect(try await bench.api("GET", "/v1/tasks/\(id)/wait?timeout=50ms").status == 204)
                try bench.open("go")
                let ended = try await bench.api("GET", "/v1/tasks/\(id)/wait?timeout=30s")
                #expect(ended.status == 200 && ended.json.text("status") == "completed")
            }
        }

        @Test("many submits of one id at the same instant yield one execution", .timeLimit(.minutes(5)))
        func atOnce() async throws {
            try await Workbench.serving { bench in
                try bench.handler("works", "echo fine")
            } _: { bench in
                for _ in 0..<5 {
                    let id = UUID().uuidString
                    let body = Self.submission("works", ["id": .string(id), "params": .integer(7)])
                    let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                        for _ in 0..<16 {
                            group.addTask { try await bench.api("POST", "/v1/tasks", body).status }
                        }
                        return try await group.reduce(into: []) { $0.append($1) }
                    }
                    #expect(statuses.count { $0 == 201 } == 1 && statuses.count { $0 == 200 } == 15)
                    let task = try await bench.ended(id.lowercased())
                    #expect(task["run"]?.integer == 1 && task["attempt"]?.integer == 1)
                    #expect(try await bench.bulkhead("logs", id.lowercased()).out == "fine\n")
                }
                #expect(try await bench.api("GET", "/v1/tasks").json["tasks"]?.array?.count == 5)
            }
        }

        // MARK: Batch

        @Test(
            "a batch is answered in order, and a wrong task in it costs the others nothing",
            .timeLimit(.minutes(5))
        )
        func batch() async throws {
            try await Workbench.serving { bench in
                try bench.handler("works", "echo fine")
                try bench.handler("open", "echo x", mode: 0o755)
            } _: { bench in
                let id = JSONValue.string("0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f5a6")
                let tasks: [(task: JSONValue, status: Int, words: String)] = [
                    (Self.submission("works", ["id": id, "params": .integer(1)]), 201, ""),
                    (Self.submission("wroks"), 422, #"did you mean "works"?"#),
                    (.object(["type": .integer(5)]), 400, #""type" is the number 5"#),
                    (.integer(7), 400, "a JSON object should be here"),
                    (Self.submission("works", ["id": id, "params": .integer(1)]), 200, ""),
                    (Self.submission("works", ["id": id, "params": .integer(2)]), 409, "with other params"),
                    (Self.submission("works", ["nmae": .null]), 400, #""nmae" is no member"#),
                    (
                        Self.submission("works", ["caller": .string(String(repeating: "x", count: 200))]),
                        413,
                        "caller has 200 bytes"
                    ),
                    (Self.submission("works"), 201, ""),
                ]
                let answer = try await bench.api(
                    "POST",
                    "/v1/tasks/batch",
                    .object(["tasks": .array(tasks.map(\.task))])
                )
                let outcomes = try #require(answer.json["outcomes"]?.array)
                #expect(answer.status == 200 && outcomes.count == tasks.count)
                for (outcome, wanted) in zip(outcomes, tasks) {
                    #expect(outcome["status"]?.integer == Int64(wanted.status), "\(outcome.text)")
                    if wanted.status < 300 {
                        _ = try await bench.ended(outcome["task"]?.text("id") ?? "")
                    } else {
                        let problem = outcome["problem"] ?? .null
                        #expect(problem.text("detail").contains(wanted.words), "\(problem.text)")
                        #expect(!problem.text("advice").isEmpty)
                    }
                }
                let kept = try await bench.api("GET", "/v1/tasks?status=completed").json["tasks"]?.array
                #expect(kept?.count == 2)
            }
        }

        @Test("a batch that is wrong as a whole queues none of its tasks", .timeLimit(.minutes(5)))
        func wrongBatch() async throws {
            try await Workbench.serving { bench in
                try bench.handler("works", "echo fine")
            } _: { bench in
                let task = #"{"type":"works"}"#
                let many = Array(repeating: task, count: 1_001).joined(separator: ",")
                for (body, status, words) in [
                    (#"{"tasks":[\#(task)],"more":1}"#, 400, #""more" is no member of a batch"#),
                    (#"{"tasks":[\#(task)],"tasks":[]}"#, 400, #""tasks" is there twice"#),
                    (#"{"tasks":\#(task)}"#, 400, #""tasks" is not an array"#), ("{}", 400, "no tasks"),
                    (#"{"tasks":[\#(task),]}"#, 400, "not"), (#"{"tasks":[\#(task)"#, 400, "not"),
                    (#"{"tasks":[\#(many)]}"#, 413, "1001 tasks, the limit is 1000"),
                ] {
                    let answers = try await bench.raw(RawHTTP.post("/v1/tasks/batch", body))
                    try #require(answers.count == 1)
                    answers[0].expectProblem(status, status == 413 ? "too-large" : "malformed", words)
                }
                #expect(try await bench.api("GET", "/v1/tasks").json["tasks"]?.array == [])
            }
        }

        @Test(
            "a batch of 1000 is taken, and the list pages through all of it, newest first",
            .timeLimit(.minutes(5))
        )
        func fullBatchAndPages() async throws {
            try await Workbench.serving { bench in
                try bench.handler("works", "echo fine")
            } _: { bench in
                let tasks = (0..<1_000).map { index in
                    let caller = JSONValue.string(index % 10 == 0 ? "a b&c=d" : "other")
                    return Self.submission("works", ["notBefore": Self.far, "caller": caller])
                }
                let batch = try await bench.api("POST", "/v1/tasks/batch", .object(["tasks": .array(tasks)]))
                let ids = batch.json["outcomes"]?.array?.compactMap { $0["task"]?.text("id") } ?? []
                #expect(ids.count == 1_000)
                #expect(try await Self.pages(bench, "limit=300") == ids.reversed())
                #expect(
                    try await Self.pages(bench, "limit=1000&status=queued&type=works&pool=default").count
                        == 1_000
                )
                let some = try await Self.pages(bench, "limit=7&caller=a%20b%26c%3Dd")
                #expect(some.count == 100 && some.first == ids[990])
                #expect(try await Self.pages(bench, "status=running").isEmpty)
                try await bench.api("GET", "/v1/tasks?cursor=x").expectProblem(
                    400,
                    "malformed",
                    "is not a cursor"
                )
            }
        }

        private static func pages(_ bench: Workbench, _ query: String) async throws -> [String] {
            var ids: [String] = []
            var cursor = ""
            repeat {
                let page = try await bench.api("GET", "/v1/tasks?\(query)\(cursor)")
                try #require(page.status == 200, "\(page.text)")
                ids += page.json["tasks"]?.array?.map { $0.text("id") } ?? []
                cursor = page.json["cursor"].map { "&cursor=" + ($0.string ?? $0.text) } ?? ""
            } while !cursor.isEmpty
            return ids
        }
    }
}
