import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// What a user does all day: drop in a handler, submit, watch, read.
    @Suite("Main job")
    struct MainJobTests {
        // MARK: Drop in

        @Test(
            "a handler that has just been put there, mended or replaced is what the next command runs",
            .timeLimit(.minutes(5))
        )
        func justPutThere() async throws {
            try await Workbench.serving { bench in
                try bench.handler("greet.sh", "echo one")
                #expect(try await bench.output(of: "greet").text == "one\n")
                try bench.policy("greet", "timeout: soon")
                #expect(try await bench.plugin("greet")?["problems"]?.array?.isEmpty == false)
                try bench.policy("greet", "timeout: 10s")
                #expect(try await bench.output(of: "greet").text == "one\n")
                try bench.handler("other.sh", "echo other")
                #expect(try await bench.plugin("other")?.text("digest") != nil)
                for word in ["two", "three"] {
                    try bench.handler("greet.sh", "echo \(word) $MORE")
                    #expect(try await bench.output(of: "greet").text == "\(word)\n")
                    try bench.policy("greet", "environment: {MORE: \(word)}\n")
                    #expect(try await bench.output(of: "greet").text == "\(word) \(word)\n")
                    try FileManager.default.removeItem(atPath: bench.policies + "/greet.yaml")
                    #expect(try await bench.output(of: "greet").text == "\(word)\n")
                }
                try FileManager.default.removeItem(atPath: bench.plugins + "/greet.sh")
                #expect(try await bench.bulkhead("submit", "greet").code == 4)
            }
        }

        @Test("a handler is added, replaced and removed without a restart", .timeLimit(.minutes(5)))
        func dropIn() async throws {
            try await Workbench.serving { bench in
                let unknown = try await bench.bulkhead("submit", "greet")
                #expect(unknown.code == 4 && unknown.out.isEmpty && unknown.err.contains("greet"))

                try bench.handler("greet.sh", "echo one")
                #expect(try await bench.eventually { try await bench.isUsable("greet") })
                let first = try await bench.output(of: "greet")
                #expect(first.text == "one\n")

                try bench.handler("greet.sh", "echo two")
                let before = first.task["attempts"]?.array?.first?.text("handler")
                #expect(
                    try await bench.eventually { try await bench.plugin("greet")?.text("digest") != before }
                )
                let second = try await bench.output(of: "greet")
                #expect(second.text == "two\n")
                let after = second.task["attempts"]?.array?.first?.text("handler")
                #expect(after?.count == 64 && after != before)

                try FileManager.default.removeItem(atPath: bench.plugins + "/greet.sh")
                #expect(try await bench.eventually { try await bench.plugin("greet") == nil })
                #expect(try await bench.bulkhead("submit", "greet").code == 4)
            }
        }

        @Test("while a handler's file is being written its type keeps the old one", .timeLimit(.minutes(5)))
        func halfWritten() async throws {
            try await Workbench.serving { bench in
                try bench.handler("greet", "echo old")
            } _: { bench in
                let path = bench.plugins + "/greet"
                let writer = try FileHandle(forWritingTo: URL(filePath: path))
                try writer.truncate(atOffset: 0)
                try writer.write(contentsOf: Data("#!/bin/sh\necho new\n".utf8))
                // Longer than a file must be quiet before it is taken up, by far.
                let end = ContinuousClock.now + .seconds(1)
                repeat {
                    #expect(try await bench.output(of: "greet").text == "old\n")
                } while ContinuousClock.now < end
                try writer.write(contentsOf: Data("echo whole\n".utf8))
                try writer.close()
                #expect(
                    try await bench.eventually { try await bench.output(of: "greet").text == "new\nwhole\n" }
                )
            }
        }

        @Test(
            "a policy is taken up while serving; a wrong one refuses its type alone",
            .timeLimit(.minutes(5))
        )
        func policyChange() async throws {
            try await Workbench.serving { bench in
                try bench.handler("one", "echo \"[$WHO]\"")
                try bench.handler("other", "echo fine")
            } _: { bench in
                #expect(try await bench.output(of: "one").text == "[]\n")
                try bench.policy("one", "environment: {WHO: me}\ndescription: mine\n")
                #expect(
                    try await bench.eventually {
                        try await bench.plugin("one")?.text("description") == "mine"
                    }
                )
                #expect(try await bench.output(of: "one").text == "[me]\n")

                try bench.policy("one", "enviroment: {WHO: me}\n")
                #expect(try await bench.eventually { try await !bench.isUsable("one") })
                let problem = try await bench.plugin("one")?["problems"]?.array?.first?.string ?? ""
                #expect(problem.contains("policies/one.yaml:1:1") && problem.contains("environment"))
                let refused = try await bench.bulkhead("submit", "one")
                #expect(refused.code == 4 && refused.err.contains("policies/one.yaml:1:1"))
                #expect(try await bench.output(of: "other").text == "fine\n")

                try bench.policy("one", "environment: {WHO: you}\n")
                #expect(try await bench.eventually { try await bench.isUsable("one") })
                #expect(try await bench.output(of: "one").text == "[you]\n")
            }
        }

        // MARK: Submit

        @Test("submit prints the id, the result, the output or the whole task", .timeLimit(.minutes(5)))
        func submitForms() async throws {
            try await Workbench.serving { bench in
                try bench.handler("plain", "exit 0")
                try bench.handler(
                    "talk",
                    """
                    echo to stdout
                    echo to stderr >&2
                    echo '{"progress":{"fraction":0.5,"message":"half"}}' >&3
                    echo '{"result":{"n":1}}' >&3
                    echo '{"result":{"n":2,"text":"last wins"}}' >&3
                    """
                )
                try bench.handler(
                    "fail",
                    #"echo bad; echo '{"error":{"message":"no such page","hint":"ask again"}}' >&3; exit 65"#
                )
            } _: { bench in
                let plain = try await bench.bulkhead("submit", "talk")
                #expect(plain.code == 0 && plain.err.isEmpty)
                #expect(plain.out.count == 37 && UUID(uuidString: String(plain.out.dropLast())) != nil)

                let waited = try await bench.bulkhead("submit", "talk", "--wait")
                #expect(waited.code == 0 && waited.err.isEmpty)
                #expect(try JSONParser.parse(waited.stdout) == ["n": 2, "text": "last wins"])

                let followed = try await bench.bulkhead("submit", "talk", "--follow")
                #expect(followed.code == 0 && followed.out == "to stdout\n" && followed.err == "to stderr\n")

                let whole = try await bench.bulkhead("submit", "talk", "--wait", "--json")
                let task = try JSONParser.parse(whole.stdout)
                #expect(task.text("status") == "completed" && task["result"]?["n"] == 2)
                #expect(task["progress"] == ["fraction": .decimal(0.5), "message": "half"])
                #expect(task["output"] == ["stdoutBytes": 10, "stderrBytes": 10, "droppedBytes": 0])
                #expect(task["error"] == nil && task["notBefore"] == nil)
                #expect(try await bench.ownWarnings(of: task) == [])

                let queued = try await bench.bulkhead("submit", "talk", "--json", "--caller", "me")
                #expect(try JSONParser.parse(queued.stdout).text("caller") == "me")

                let failed = try await bench.bulkhead("submit", "fail", "--wait")
                #expect(failed.code == 1 && failed.out.isEmpty)
                #expect(failed.err.contains("no such page") && failed.err.contains("ask again"))
                let failedFollow = try await bench.bulkhead("submit", "fail", "--follow")
                #expect(failedFollow.code == 1 && failedFollow.out == "bad\n")
            }
        }

        @Test(
            "params come as an argument, from a file and from stdin, and reach the handler",
            .timeLimit(.minutes(5))
        )
        func params() async throws {
            try await Workbench.serving { bench in
                try bench.handler("echo", "cat")
                try bench.write(#"{"from":"file","deep":[1,{"a":null}]}"#, to: "params.json")
            } _: { bench in
                let id = "0192F3A4-0000-4000-8000-0000000000AB"
                let task = try await bench.ended(
                    bench.submit("echo", params: "@params.json", "--id", id, "--metadata", #"{"k":"v"}"#)
                )
                #expect(task.text("id") == id.lowercased())
                let input = try JSONParser.parse(await bench.bulkhead("logs", id).stdout)
                #expect(
                    input.object?.names == [
                        "protocol", "id", "type", "run", "attempt", "params", "metadata", "deadline",
                    ]
                )
                #expect(input["protocol"] == 1 && input["run"] == 1 && input["attempt"] == 1)
                #expect(input.text("id") == id.lowercased() && input.text("type") == "echo")
                #expect(input["params"] == ["from": "file", "deep": [1, ["a": .null]]])
                #expect(input["metadata"] == ["k": "v"] && task["metadata"] == ["k": "v"])
                let started = try #require(task.milliseconds("startedAt"))
                #expect(input.milliseconds("deadline") == started + 3_600_000)

                let fromInput = try await bench.bulkhead(
                    ["submit", "echo", "--params", "-", "--follow"],
                    stdin: #"{"from":"stdin"}"#
                )
                let second = try JSONParser.parse(fromInput.stdout)
                #expect(second["params"] == ["from": "stdin"] && second["metadata"] == nil)
            }
        }

        // MARK: Look

        @Test("list is newest first, filters, and pages by cursor", .timeLimit(.minutes(5)))
        func list() async throws {
            try await Workbench.serving { bench in
                try bench.handler("good", "exit 0")
                try bench.handler("bad", "exit 65")
                try bench.policy("bad", "pool: side\n")
            } _: { bench in
                #expect(try await bench.bulkhead("list").err == "no tasks\n")
                var ids: [String] = []
                for (type, caller) in [("good", "ann"), ("bad", "bob"), ("good", "bob")] {
                    ids.append(try await bench.submit(type, params: "{}", "--caller", caller))
                    _ = try await bench.ended(ids.last ?? "")
                }
                func listed(_ arguments: String...) async throws -> [String] {
                    let answer = try await bench.bulkhead(["list", "--json"] + arguments)
                    return try JSONParser.parse(answer.stdout)["tasks"]?.array?.map { $0.text("id") } ?? []
                }
                #expect(try await listed() == ids.reversed())
                #expect(try await listed("--type", "good") == [ids[2], ids[0]])
                #expect(try await listed("--status", "failed") == [ids[1]])
                #expect(try await listed("--pool", "side") == [ids[1]])
                #expect(try await listed("--caller", "bob") == [ids[2], ids[1]])
                #expect(try await listed("--caller", "bob", "--type", "good") == [ids[2]])
                #expect(try await listed("--limit", "2") == [ids[2], ids[1]])

                let page = try await bench.api("GET", "/v1/tasks?limit=2").json
                let cursor = try #require(page["cursor"]?.string)
                let rest = try await bench.api("GET", "/v1/tasks?limit=2&cursor=\(cursor)").json
                #expect(rest["tasks"]?.array?.map { $0.text("id") } == [ids[0]] && rest["cursor"] == nil)

                let table = try await bench.bulkhead("list")
                let lines = table.out.split(separator: "\n")
                #expect(lines.count == 4 && lines[0].hasPrefix("ID"))
                #expect(lines[2].hasPrefix(ids[1]) && lines[2].contains("failed"))
            }
        }

        @Test(
            "an id may be given by a unique beginning; what is not there is code 3",
            .timeLimit(.minutes(5))
        )
        func beginnings() async throws {
            try await Workbench.serving { bench in
                try bench.handler("good", "echo hi")
            } _: { bench in
                let ids = ["aaaaaaaa-0000-4000-8000-000000000001", "aaaaaabb-0000-4000-8000-000000000002"]
                for id in ids { _ = try await bench.finished("good", id: id) }
                let shown = try await bench.bulkhead("show", "AAAAAAB")
                #expect(shown.code == 0 && shown.out.contains(ids[1]) && shown.out.contains("completed"))
                #expect(try await bench.bulkhead("logs", "aaaaaaaa").out == "hi\n")
                let twice = try await bench.bulkhead("show", "aaaaaa")
                #expect(twice.code == 2 && ids.allSatisfy { twice.err.contains($0) })
                #expect(try await bench.bulkhead("show", "aaaaa").code == 2)
                for verb in ["show", "logs", "wait", "cancel", "remove"] {
                    let missing = try await bench.bulkhead(verb, "cccccccc")
                    #expect(missing.code == 3 && missing.out.isEmpty && missing.err.contains("cccccccc"))
                }
            }
        }

        @Test("logs come in order of arrival, by stream, as bytes and as chunks", .timeLimit(.minutes(5)))
        func logs() async throws {
            try await Workbench.serving { bench in
                try bench.gatedHandler(
                    "turns",
                    "echo one; gate a; echo two >&2; gate b; echo three; gate c; printf four >&2"
                )
            } _: { bench in
                let id = try await bench.submit("turns")
                let follower = try bench.run(["logs", id, "--follow", "--socket", bench.socket])
                for (gate, seen) in [("a", "one"), ("b", "two"), ("c", "three")] {
                    // The next line is written only when this one has been committed.
                    let lines = {
                        try await bench.api("GET", "/v1/tasks/\(id)/output", accept: "text/plain").text
                    }
                    #expect(try await bench.eventually { try await lines().contains(seen) })
                    try bench.open(gate)
                }
                let followed = await follower.result()
                #expect(followed.code == 0 && followed.out == "one\nthree\n" && followed.err == "two\nfour")
                let chunks = try await bench.answer("logs", id)
                #expect(chunks["end"] == true)
                let pieces = chunks["chunks"]?.array?.map { piece in
                    let bytes = Data(base64Encoded: piece.text("data")) ?? Data()
                    let offset = piece["offset"]?.integer ?? -1
                    return "\(piece.text("stream")) \(offset) \(String(decoding: bytes, as: UTF8.self))"
                }
                #expect(pieces == ["stdout 0 one\n", "stderr 0 two\n", "stdout 4 three\n", "stderr 4 four"])
                let errors = try await bench.bulkhead("logs", id, "--stream", "stderr")
                #expect(errors.out.isEmpty && errors.err == "two\nfour")
                let text = try await bench.api("GET", "/v1/tasks/\(id)/output", accept: "text/plain")
                #expect(text.status == 200 && text.text == "one\ntwo\nthree\nfour")
                let tail = try await bench.api("GET", "/v1/tasks/\(id)/output?stream=stdout&offset=6").json
                #expect(tail["chunks"]?.array?.first?["offset"] == 6)
            }
        }

        @Test("plugins, pools and status tell what there is", .timeLimit(.minutes(5)))
        func overview() async throws {
            try await Workbench.serving { bench in
                try bench.handler("good", "exit 0")
                try bench.policy("good", "description: does nothing\npool: side\n")
                try bench.policy("pools", "side: {concurrency: 3, queue-limit: 7}\n")
            } _: { bench in
                _ = try await bench.finished("good")
                let plugins = try await bench.bulkhead("plugins")
                #expect(plugins.code == 0)
                for word in ["good", "ready", "side", "good.yaml", "does nothing"] {
                    #expect(plugins.out.contains(word))
                }
                let pool = try await bench.pool("side")
                #expect(pool?["concurrency"] == 3 && pool?["queueLimit"] == 7 && pool?["failures"] == 0)
                #expect(try await bench.bulkhead("pools").out.contains("side"))
                let status = try await bench.answer("status")
                #expect(status.text("phase") == "ready" && status["counts"]?["completed"] == 1)
                #expect(status.text("stateFolder") == bench.state && status["problems"] == nil)
                #expect(status["spool"]?["cap"] == .integer(64 << 20))
                #expect(try await bench.bulkhead("status").out.contains("ready"))
                for path in ["/livez", "/healthz", "/v0/livez", "/v0/healthz"] {
                    #expect(try await bench.api("GET", path).status == 200)
                }
            }
        }

        @Test(
            "without a supervisor every verb ends with 69 and says how to start one",
            .timeLimit(.minutes(5))
        )
        func noSupervisor() async throws {
            let bench = try Workbench()
            let id = "aaaaaaaa-0000-4000-8000-000000000001"
            for arguments in [
                ["submit", "x"], ["list"], ["show", id], ["logs", id], ["wait", id], ["cancel", id],
                ["remove", id], ["pools"], ["plugins"], ["status"],
            ] {
                let result = try await bench.bulkhead(arguments)
                #expect(result.code == 69 && result.out.isEmpty && result.err.contains("bulkhead serve"))
            }
        }
    }
}
