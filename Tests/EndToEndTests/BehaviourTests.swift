import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// How handlers end, or are ended.
    @Suite("Behaviour")
    struct BehaviourTests {
        // MARK: By themselves

        @Test("exit codes come back as they are, with what they mean", .timeLimit(.minutes(5)))
        func exitCodes() async throws {
            try await Workbench.serving { bench in
                try bench.behaviour("exit-with")
            } _: { bench in
                for code in [0, 1, 65, 75, 78, 126, 255] {
                    let task = try await bench.finished("exit-with", params: "\(code)")
                    guard code != 0 else {
                        #expect(task.text("status") == "completed" && task["error"] == nil)
                        continue
                    }
                    #expect(task.text("status") == "failed" && task.reason == "exit")
                    #expect(task["error"]?["exitCode"] == .integer(code) && task["error"]?["signal"] == nil)
                    #expect(task.message.contains("\(code)"))
                }
            }
        }

        @Test("a handler that a signal ends is told by its name, and leaves no core", .timeLimit(.minutes(5)))
        func signals() async throws {
            try await Workbench.serving { bench in
                for name in ["SEGV", "KILL", "ABRT"] {
                    try bench.handler("die-\(name.lowercased())", "echo on; kill -\(name) $$; echo off")
                }
                try bench.handler("core", "ulimit -Hc; ulimit -c; ulimit -c unlimited || echo refused")
            } _: { bench in
                for name in ["SEGV", "KILL", "ABRT"] {
                    let (task, text) = try await bench.output(of: "die-\(name.lowercased())")
                    #expect(task.reason == "signal" && task["error"]?.text("signal") == "SIG\(name)")
                    #expect(task["error"]?["exitCode"] == nil && task.message.contains("SIG\(name)"))
                    #expect(text == "on\n")
                }
                #expect(try await bench.output(of: "core").text == "0\n0\nrefused\n")
            }
        }

        @Test("what a handler leaves holding its pipes does not delay its end", .timeLimit(.minutes(5)))
        func forkAndLeave() async throws {
            try await Workbench.serving { bench in
                try bench.behaviour("fork-and-leave")
            } _: { bench in
                // The first one also waits for its launcher to start.
                _ = try await bench.finished("fork-and-leave")
                let (task, text) = try await bench.output(of: "fork-and-leave")
                #expect(task.text("status") == "completed" && task["result"] == "left" && text == "leaving\n")
                let start = try #require(task.milliseconds("startedAt"))
                let end = try #require(task.milliseconds("completedAt"))
                #expect(end - start <= 2_000, "the end came \(end - start) ms after the start")
                #expect(bench.handlerProcesses.isEmpty)
            }
        }

        @Test("processes in sessions of their own end with the attempt", .timeLimit(.minutes(5)))
        func setsidAndSurvive() async throws {
            try await Workbench.serving { bench in
                try bench.behaviour("setsid-and-survive")
            } _: { bench in
                let id = try await bench.submit("setsid-and-survive")
                // They are there while it runs.
                #expect(try await bench.eventually { bench.handlerProcesses.count > 3 })
                let task = try await bench.ended(id)
                #expect(task.text("status") == "completed")
                #expect(bench.handlerProcesses.isEmpty)
            }
        }

        @Test("one that closes all its descriptors hides no other's end", .timeLimit(.minutes(5)))
        func closeAll() async throws {
            try await Workbench.serving { bench in
                try bench.behaviour("close-all", policy: "pool: wide\ngrace: 1s\n")
                try bench.handler("quick", "exit 3")
                try bench.policy("quick", "pool: wide\n")
                try bench.policy("pools", "wide: {concurrency: 4}\n")
            } _: { bench in
                let closed = try await bench.submit("close-all")
                #expect(try await bench.waits(for: closed, toBe: .running))
                for _ in 0..<3 {
                    let task = try await bench.finished("quick")
                    #expect(task["error"]?["exitCode"] == 3)
                    let start = try #require(task.milliseconds("startedAt"))
                    #expect(try #require(task.milliseconds("completedAt")) - start <= 2_000)
                }
                #expect(try await bench.task(closed).text("status") == "running")
                #expect(try await bench.bulkhead("cancel", closed).code == 0)
                #expect(try await bench.ended(closed).text("status") == "cancelled")
            }
        }

        // MARK: Stopped

        @Test("one that hangs is ended at its timeout", .timeLimit(.minutes(5)))
        func hang() async throws {
            try await Workbench.serving { bench in
                try bench.behaviour("hang", policy: "timeout: 300ms\ngrace: 30s\n")
            } _: { bench in
                let (task, text) = try await bench.output(of: "hang")
                #expect(task.text("status") == "failed" && task.reason == "timeout" && text == "waiting\n")
                #expect(task.message.contains("300ms") && task["error"]?["signal"] == nil)
                // SIGTERM was enough: nothing waited for the grace.
                let wall = try #require(task["usage"]?["wallSeconds"]?.double)
                #expect((0.3..<10).contains(wall))
                #expect(bench.handlerProcesses.isEmpty)
            }
        }

        @Test("one that ignores SIGTERM is killed after the grace", .timeLimit(.minutes(5)))
        func ignoreTerm() async throws {
            try await Workbench.serving { bench in
                try bench.behaviour("ignore-term", policy: "timeout: 300ms\ngrace: 500ms\n")
            } _: { bench in
                let (task, text) = try await bench.output(of: "ignore-term")
                #expect(task.reason == "timeout" && text == "waiting\nTERM\n")
                let wall = try #require(task["usage"]?["wallSeconds"]?.double)
                #expect(wall >= 0.8, "the grace is between SIGTERM and SIGKILL")
                #expect(bench.handlerProcesses.isEmpty)
            }
        }

        @Test("one that stops itself is ended all the same", .timeLimit(.minutes(5)))
        func stopItself() async throws {
            try await Workbench.serving { bench in
                try bench.behaviour("stop-itself", policy: "timeout: 400ms\ngrace: 400ms\n")
            } _: { bench in
                let (task, text) = try await bench.output(of: "stop-itself")
                #expect(task.reason == "timeout" && text.hasPrefix("stopping\n"))
                #expect(bench.handlerProcesses.isEmpty)
            }
        }

        @Test(
            "a stop decides before the exit does, and a result sent before it is kept",
            .timeLimit(.minutes(5))
        )
        func stopBeforeExit() async throws {
            try await Workbench.serving { bench in
                try bench.handler(
                    "polite",
                    "trap 'exit 65' TERM\necho '{\"result\":\"half\"}' >&3\nwhile :; do sleep 0.02; done"
                )
                try bench.policy("polite", "timeout: 300ms\nretry: {limit: 1, delay: 1ms}\n")
            } _: { bench in
                let task = try await bench.finished("polite")
                #expect(task.reason == "timeout" && task["result"] == "half")
                #expect(task["attempt"] == 2, "65 would never have been tried again")
            }
        }

        // MARK: Descriptors

        @Test("stdin unread and descriptors closed early are no failure", .timeLimit(.minutes(5)))
        func descriptors() async throws {
            try await Workbench.serving { bench in
                try bench.handler("plain", "exit 0")
                try bench.handler("no-stdin", "exec <&-; echo fine")
                try bench.handler("no-stdout", "exec >&-; echo '{\"result\":1}' >&3; sleep 0.1")
                try bench.handler("no-events", "exec 3>&-; sleep 0.1; echo fine")
                try bench.handler("read-twice", "cat >/dev/null; read -r more || echo end")
                let params = "\"" + String(repeating: "x", count: 900_000) + "\""
                try bench.write(params, to: "large.json")
            } _: { bench in
                for type in ["no-stdin", "no-stdout", "no-events", "read-twice"] {
                    let (task, text) = try await bench.output(of: type, params: "@large.json")
                    #expect(task.text("status") == "completed")
                    #expect(try await bench.ownWarnings(of: task) == [])
                    #expect(text == ["no-stdout": "", "read-twice": "end\n"][type] ?? "fine\n")
                }
            }
        }

        @Test("event lines that make no sense become warnings and change nothing", .timeLimit(.minutes(5)))
        func malformedEvents() async throws {
            try await Workbench.serving { bench in
                try bench.handler("plain", "exit 0")
                try bench.behaviour("events")
            } _: { bench in
                let lines: [JSONValue] = [
                    "not json", #"{"progress":{"fraction":7}}"#, #"{"nosuch":1}"#, "[1]",
                    #"{"result":1,"progress":{}}"#, #"{"progress":{"fraction":0.25,"message":"on"}}"#, "",
                    #"{"result":"kept"}"#, #"{"result":}"#,
                ]
                let task = try await bench.finished("events", params: JSONValue.array(lines).text)
                #expect(task.text("status") == "completed" && task["result"] == "kept")
                #expect(task["progress"] == ["fraction": .decimal(0.25), "message": "on"])
                #expect(try await bench.ownWarnings(of: task).count == 6)
                for word in ["not json", "from 0 to 1", "nosuch", "exactly one member"] {
                    #expect(task.warnings.contains(word))
                }
                let many = (0..<100).map { JSONValue.string("line \($0)") }
                let noisy = try await bench.finished("events", params: JSONValue.array(many).text)
                let warnings = noisy["warnings"]?.array ?? []
                #expect(warnings.count <= 33 && warnings.allSatisfy { $0.string?.utf8.count ?? 0 <= 512 })
                #expect(noisy.warnings.contains("line 0") && warnings.last?.string?.contains("more") == true)
            }
        }

        @Test("a result over its limit is cut and said, the status stays", .timeLimit(.minutes(5)))
        func hugeResult() async throws {
            try await Workbench.serving { bench in
                try bench.handler("plain", "exit 0")
                try bench.behaviour("events")
            } _: { bench in
                for size in [65_534, 65_535, 300_000] {
                    let value = String(repeating: "é", count: size / 2) + (size % 2 == 1 ? "x" : "")
                    let line = "{\"result\":\"\(value)\"}"
                    try bench.write(JSONValue.array([.string(line)]).text, to: "line.json")
                    let task = try await bench.finished("events", params: "@line.json")
                    #expect(task.text("status") == "completed")
                    guard size > 65_534 else {
                        #expect(task["result"] == .string(value))
                        #expect(try await bench.ownWarnings(of: task) == [])
                        continue
                    }
                    #expect(task["result"]?["truncated"] == true)
                    #expect(task["result"]?["bytes"] == .integer(size + 2))
                    let head = task["result"]?.text("head") ?? ""
                    #expect(head.hasPrefix("\"éé") && (4_093...4_096).contains(head.utf8.count))
                    #expect(task.warnings.contains("\(size + 2) bytes"))
                }
            }
        }
    }
}
