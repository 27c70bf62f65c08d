import BulkheadCore
import Foundation
import Testing
import SeededRandom

extension EndToEnd {
    @Suite("Outbox")
    struct OutboxTests {
        @Test(
            "over kills of the supervisor and of the controller every message comes at least once and none after its ack",
            .timeLimit(.minutes(5)),
            arguments: [UInt64(1)]
        )
        func recordingController(seed: UInt64) async throws {
            let bench = try Workbench()
            try bench.handler("talk", "echo begin; sleep 0.05; echo middle >&2; sleep 0.05; echo end")
            var random = SeededRandom(seed: seed)
            let controller = RecordingController(bench)
            var server = try await bench.start(["--outbox", "on", "--on-stop", "leave"])
            var tasks: [String] = []
            for round in 0..<4 {
                for _ in 0..<3 where round < 3 { tasks.append(try await bench.submit("talk")) }
                for _ in 0..<3 {
                    guard let page = await controller.read(limit: 4) else { continue }
                    // Some are acknowledged; with the others the controller dies before it could.
                    let some = page.filter { _ in random.next() % 2 == 0 }
                    if !some.isEmpty { _ = await controller.acknowledge(some) }
                }
                server.send(SIGKILL)
                _ = await server.result()
                server = try await bench.start(["--outbox", "on", "--on-stop", "leave"])
            }
            for task in tasks { _ = try await bench.ended(task) }
            while let page = await controller.read(limit: 5), !page.isEmpty {
                #expect(await controller.acknowledge(page), "seed \(seed)")
            }
            #expect(await controller.toldAfterAcknowledgement.isEmpty, "seed \(seed)")
            let messages = await controller.messages
            for task in tasks {
                let ofTask = messages.filter { $0.task == task }
                let kinds = ofTask.map(\.kind)
                #expect(kinds.first == "received" && kinds.last == "final", "seed \(seed): \(kinds)")
                for once in ["received", "started", "final"] {
                    #expect(kinds.count { $0 == once } == 1, "seed \(seed): \(kinds)")
                }
                // A kill between an attempt's row and its launch interrupts the task, which then wrote nothing.
                let isCompleted = ofTask.last?.text.contains("\"status\":\"completed\"") ?? false
                let (stdout, stderr) = try (Self.output(ofTask, "stdout"), Self.output(ofTask, "stderr"))
                #expect(stdout == (isCompleted ? "begin\nend\n" : ""), "seed \(seed)")
                #expect(stderr == (isCompleted ? "middle\n" : ""), "seed \(seed)")
            }
            // The same name never told two things.
            let texts = Dictionary(grouping: await controller.record, by: \.id).mapValues {
                Set($0.map(\.text))
            }
            #expect(texts.values.allSatisfy { $0.count == 1 }, "seed \(seed)")
            #expect(await bench.stop(server).code == 0)
        }

        private static func output(_ messages: [RecordingController.Told], _ stream: String) throws -> String
        {
            var bytes: [UInt8] = []
            for message in messages where message.kind == "output" {
                let json = try JSONParser.parse(Array(message.text.utf8))
                guard json.text("stream") == stream else { continue }
                #expect(json["offset"] == .integer(bytes.count))
                bytes += try #require(Data(base64Encoded: json.text("data")))
            }
            return String(decoding: bytes, as: UTF8.self)
        }

        @Test(
            "a task that a crash interrupts has one final with one name, however often recovery is killed",
            .timeLimit(.minutes(5))
        )
        func interrupted() async throws {
            let bench = try Workbench()
            try bench.handler("endless", "sleep 1000")
            let options = ["--outbox", "on", "--on-stop", "leave"]
            var server = try await bench.start(options)
            let id = try await bench.submit("endless")
            #expect(try await bench.waits(for: id, toBe: .running))
            server.send(SIGKILL)
            _ = await server.result()
            for pid in bench.launchers { kill(pid, SIGKILL) }
            let controller = RecordingController(bench)
            for _ in 0..<3 {
                // Some of these are killed before recovery is over, some after.
                server = try bench.launchServer(options)
                _ = await server.says("ready")
                _ = await controller.read()
                server.send(SIGKILL)
                _ = await server.result()
            }
            server = try await bench.start(options)
            #expect(try await bench.ended(id).text("status") == "interrupted")
            _ = await controller.read()
            let finals = await controller.record.filter { $0.kind == "final" }
            #expect(!finals.isEmpty && Set(finals.map(\.id)).count == 1)
            await bench.stop(server)
        }

        @Test(
            "with no controller for long, submits are refused before any final is dropped, and taken again after acks",
            .timeLimit(.minutes(5))
        )
        func controllerIsAway() async throws {
            let options = ["--spool-cap", "128KiB", "--terminal-reserve", "64KiB", "--result-limit", "4KiB"]
            try await Workbench.serving(["--outbox", "on"] + options) { bench in
                let result = "{\"result\":\"\(String(repeating: "r", count: 4_000))\"}"
                try bench.handler("talk", "head -c 30000 /dev/zero; echo '\(result)' >&3")
            } _: { bench in
                var tasks: [String] = []
                var refusal: APICall.Answer?
                while refusal == nil, tasks.count < 100 {
                    let answer = try await bench.api("POST", "/v1/tasks?wait=20s", ["type": "talk"])
                    if answer.status == 201 { tasks.append(answer.json.text("id")) } else { refusal = answer }
                }
                try #require(refusal).expectProblem(507, "no-reserve", "reserve")
                #expect(refusal?.head.lowercased().contains("retry-after: ") == true)
                #expect(tasks.count > 5)
                let controller = RecordingController(bench)
                let finals = try #require(await controller.read()).filter { $0.kind == "final" }
                #expect(finals.map(\.task) == tasks)
                #expect(finals.allSatisfy { $0.text.contains(String(repeating: "r", count: 4_000)) })
                let spool = try await bench.api("GET", "/v1/snapshot").json["spool"]
                let held = (spool?["bytes"]?.integer ?? 0) + (spool?["finalBytes"]?.integer ?? 0)
                #expect(held <= 128 << 10)
                #expect(await controller.acknowledge(finals))
                #expect(try await bench.api("POST", "/v1/tasks", ["type": "talk"]).status == 201)
            }
        }

        @Test("a reader that waits has a message as soon as there is one", .timeLimit(.minutes(5)))
        func longPoll() async throws {
            try await Workbench.serving(["--outbox", "on"]) { bench in
                try bench.handler("quick", "exit 0")
            } _: { bench in
                let controller = RecordingController(bench)
                async let waited = controller.read(wait: "30s")
                let began = ContinuousClock.now
                let id = try await bench.submit("quick")
                let first = try #require(await waited)
                #expect(first.first?.task == id && first.first?.kind == "received")
                #expect(ContinuousClock.now - began < .seconds(10))
                let last = try await bench.api("GET", "/v1/outbox?after=1000000&wait=50ms")
                #expect(last.json == ["messages": [], "next": 1_000_000])
            }
        }

        @Test(
            "a stream of messages goes on where its last id was, also after a restart",
            .timeLimit(.minutes(5))
        )
        func stream() async throws {
            let bench = try Workbench()
            try bench.handler("quick", "echo hi")
            try await bench.serving(["--outbox", "on"]) { bench in
                let stream = try StreamClient(bench, "/v1/outbox")
                let id = try await bench.submit("quick")
                #expect(try await bench.eventually { stream.events.last?.kind == "final" })
                #expect(stream.events.map(\.kind) == ["received", "started", "output", "final"])
                #expect(stream.events.allSatisfy { $0.data.text("taskId") == id })
                stream.hangUp()
                let rest = try StreamClient(bench, "/v1/outbox", lastEventID: stream.events[1].id)
                #expect(try await bench.eventually { rest.events.count == 2 })
                #expect(rest.events.map(\.id) == stream.events[2...].map(\.id))
                rest.hangUp()
                let foreign = try StreamClient(bench, "/v1/outbox", lastEventID: "00000000-999999")
                #expect(try await bench.eventually { foreign.events.count == 4 })
                foreign.hangUp()
                let wrong = try StreamClient(bench, "/v1/outbox", lastEventID: "x")
                #expect(try await bench.eventually { wrong.text.contains("400 Bad Request") })
            }
            try await bench.serving(["--outbox", "on"]) { bench in
                let again = try StreamClient(bench, "/v1/outbox")
                #expect(try await bench.eventually { again.events.count == 4 })
            }
        }

        @Test(
            "with the outbox off nothing is kept, and its calls say how to switch it on",
            .timeLimit(.minutes(5))
        )
        func off() async throws {
            try await Workbench.serving { bench in
                try bench.handler("quick", "echo hi")
            } _: { bench in
                let id = try await bench.finished("quick").text("id")
                for (method, path) in [
                    ("GET", "/v1/outbox"), ("GET", "/v1/outbox?wait=1s"), ("POST", "/v1/outbox/ack"),
                ] {
                    let body: JSONValue? = method == "POST" ? ["messageIds": []] : nil
                    try await bench.api(method, path, body)
                        .expectProblem(409, "wrong-state", "the outbox is off", advice: "--outbox on")
                }
                let listed = try await bench.bulkhead("outbox")
                #expect(listed.code == 4 && listed.err.contains("--outbox on"))
                let snapshot = try await bench.api("GET", "/v1/snapshot").json
                #expect(
                    snapshot["outbox"] == "off" && snapshot["finals"] == []
                        && snapshot["pendingMessages"] == 0
                )
                #expect(try await bench.bulkhead("remove", id).code == 0)
            }
        }

        @Test(
            "outbox lists and acknowledges; what is not acknowledged keeps its task",
            .timeLimit(.minutes(5))
        )
        func verb() async throws {
            try await Workbench.serving(["--outbox", "on"]) { bench in
                try bench.handler("quick", "printf '\\033[31mhi'; exit 3")
            } _: { bench in
                let id = try await bench.finished("quick").text("id")
                let table = try await bench.bulkhead("outbox")
                #expect(table.code == 0)
                let rows = table.out.split(separator: "\n")
                #expect(rows.count == 5 && rows[0].hasPrefix("SEQUENCE"))
                #expect(rows[3].contains("7 B of stdout from byte 0"))
                #expect(rows[4].hasSuffix("failed (exit): the handler exited with 3"))
                let kept = try await bench.bulkhead("remove", id)
                #expect(kept.code == 4 && kept.err.contains("not acknowledged"))
                let messages = try #require(try await bench.answer("outbox", "list")["messages"]?.array)
                let names = messages.map { $0.text("messageId") }
                let page = try await bench.answer(
                    "outbox",
                    "--limit",
                    "1",
                    "--after",
                    "\(messages[0]["sequence"]?.integer ?? 0)"
                )
                #expect(page["messages"]?.array == [messages[1]] && page["next"] == messages[1]["sequence"])
                let followed = try await bench.bulkhead("outbox", "--follow", "--json", "--limit", "4")
                #expect(followed.out == messages.map { $0.text + "\n" }.joined())
                let some = try await bench.bulkhead(["outbox", "ack"] + names.dropLast() + ["other"])
                #expect(some.code == 3 && some.err.contains("1 of 4 messages are not there: other"))
                #expect(try await bench.bulkhead("remove", id).code == 4)
                let last = try await bench.answer("outbox", "ack", names[3], names[3])
                #expect(last == ["acknowledged": [.string(names[3]), .string(names[3])], "unknown": []])
                #expect(try await bench.bulkhead("outbox").err.contains("no messages"))
                #expect(try await bench.bulkhead("remove", id).code == 0)
            }
        }

        @Test(
            "what is not a list of messageIds is refused, and nothing is acknowledged by it",
            .timeLimit(.minutes(5))
        )
        func badAcknowledgement() async throws {
            try await Workbench.serving(["--outbox", "on"]) { bench in
                try bench.handler("quick", "exit 0")
            } _: { bench in
                _ = try await bench.finished("quick")
                let bodies: [(JSONValue, String)] = [
                    ([:], "is not there"), (["messageIds": "x"], "is not there"),
                    (["messageIds": [1]], "is a text"), (["messageIds": [], "x": 1], "no member \"x\""),
                ]
                for (body, words) in bodies {
                    try await bench.api("POST", "/v1/outbox/ack", body)
                        .expectProblem(400, "malformed", words, advice: "messageIds")
                }
                let unknown = try await bench.api("POST", "/v1/outbox/ack", ["messageIds": ["x", "\u{0}"]])
                #expect(unknown.json == ["acknowledged": [], "unknown": ["x", "\u{0}"]])
                for query in ["limit=0", "limit=1001", "after=-1", "after=x", "wait=2h", "more=1"] {
                    #expect(try await bench.api("GET", "/v1/outbox?\(query)").status == 400)
                }
                #expect(try await bench.api("GET", "/v1/outbox").json["messages"]?.array?.count == 3)
            }
        }
    }
}
