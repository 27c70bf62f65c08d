import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// The API's calls on one task and on the supervisor, and who may make them.
    @Suite("API of tasks")
    struct APITaskTests {
        private static let nobody = "0192f3a4-0000-7000-8000-000000000000"

        private static func submit(_ bench: Workbench, _ type: String) async throws -> String {
            let answer = try await bench.api("POST", "/v1/tasks", .object(["type": .string(type)]))
            try #require(answer.status == 201, "\(answer.text)")
            return answer.json.text("id")
        }

        @Test("cancel, wait and delete answer by the task's state", .timeLimit(.minutes(5)))
        func life() async throws {
            try await Workbench.serving { bench in
                try bench.policy("pools", "one: {concurrency: 1}\n")
                try bench.gatedHandler("gated", "gate go", policy: "pool: one\n")
            } _: { bench in
                let running = try await Self.submit(bench, "gated")
                #expect(try await bench.waits(for: running, toBe: .running))
                let queued = try await Self.submit(bench, "gated")
                for id in [running, queued] {
                    try await bench.api("DELETE", "/v1/tasks/\(id)").expectProblem(409, "wrong-state", id)
                }
                let cancelled = try await bench.api("POST", "/v1/tasks/\(queued)/cancel")
                #expect(cancelled.status == 202 && cancelled.json.text("status") == "cancelled")
                try await bench.api("POST", "/v1/tasks/\(queued)/cancel").expectProblem(
                    409,
                    "wrong-state",
                    queued
                )

                #expect(try await bench.api("POST", "/v1/tasks/\(running)/cancel").status == 202)
                let ended = try await bench.api("GET", "/v1/tasks/\(running)/wait")
                #expect(ended.status == 200 && ended.json.text("status") == "cancelled")
                #expect(ended.json.reason == "cancelled")
                #expect(try await bench.api("DELETE", "/v1/tasks/\(running)").status == 204)
                let third = try await Self.submit(bench, "gated")
                #expect(try await bench.api("DELETE", "/v1/tasks/\(third)?cancel=true").status == 204)
                for id in [running, third, Self.nobody] {
                    for (method, path) in [
                        ("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/wait"),
                        ("GET", "/output"),
                    ] {
                        try await bench.api(method, "/v1/tasks/\(id)\(path)")
                            .expectProblem(404, "not-found", "there is no task \(id)")
                    }
                }
                #expect(
                    try await bench.api("GET", "/v1/tasks/\(queued)").status == 200,
                    "the other one is kept"
                )
            }
        }

        @Test("output comes as chunks with offsets, and as plain bytes", .timeLimit(.minutes(5)))
        func output() async throws {
            try await Workbench.serving { bench in
                try bench.handler("talks", "printf 'out\\0put'; printf 'err' >&2")
            } _: { bench in
                let id = try await Self.submit(bench, "talks")
                _ = try await bench.ended(id)
                let path = "/v1/tasks/\(id)/output"
                let page = try await bench.api("GET", path).json
                #expect(page["end"]?.bool == true && page["attempt"]?.integer == 1)
                func bytes(_ page: JSONValue, _ stream: String) -> String {
                    (page["chunks"]?.array ?? []).filter { $0.text("stream") == stream }
                        .compactMap { Data(base64Encoded: $0.text("data")) }
                        .map { String(decoding: $0, as: UTF8.self) }.joined()
                }
                #expect(bytes(page, "stdout") == "out\0put" && bytes(page, "stderr") == "err")
                let rest = try await bench.api("GET", path + "?stream=stdout&offset=3&attempt=1").json
                #expect(bytes(rest, "stdout") == "\0put" && bytes(rest, "stderr").isEmpty)
                #expect(rest["chunks"]?.array?.first?["offset"]?.integer == 3)
                let plain = try await bench.api("GET", path + "?stream=stdout", accept: "text/plain")
                #expect(plain.status == 200 && plain.body == Array("out\0put".utf8))
                #expect(plain.head.lowercased().contains("content-type: text/plain"))
                #expect(plain.head.lowercased().contains("x-content-type-options: nosniff"))
                for (query, words) in [
                    ("offset=3", "an offset counts within one stream"),
                    ("stream=stdin", #"cannot be "stdin""#),
                    ("attempt=0", #"cannot be "0""#), ("stream=stdout&offset=-1", #"cannot be "-1""#),
                    ("limit=99999999", "cannot be"), ("stram=stdout", #"no query parameter "stram""#),
                ] {
                    try await bench.api("GET", path + "?" + query).expectProblem(400, "malformed", words)
                }
            }
        }

        @Test(
            "a path, method, query or body that the API does not have is refused as a problem",
            .timeLimit(.minutes(5))
        )
        func wrongCalls() async throws {
            try await Workbench.serving { bench in
                typealias Case = (
                    method: String, path: String, status: Int, kind: String, words: String, advice: String
                )
                let cases: [Case] = [
                    ("GET", "/", 404, "not-found", "there is nothing at /", "/v1/tasks"),
                    ("GET", "/v2/tasks", 404, "not-found", "there is nothing at /v2/tasks", ""),
                    ("GET", "/v1/tasks/../../etc/passwd", 404, "not-found", "there is nothing at", ""),
                    ("PUT", "/v1/tasks", 405, "method-not-allowed", "PUT", "GET, HEAD, POST, OPTIONS"),
                    ("DELETE", "/v1/tasks", 405, "method-not-allowed", "DELETE", "POST"),
                    ("POST", "/v1/status", 405, "method-not-allowed", "POST", "GET"),
                    ("PROPFIND", "/v1/tasks", 501, "method-unknown", "PROPFIND", "OPTIONS"),
                    ("GET", "/v1/tasks?stauts=queued", 400, "malformed", "\"stauts\"", "\"status\""),
                    ("GET", "/v1/tasks?status=done", 400, "malformed", "cannot be \"done\"", "completed"),
                    ("GET", "/v1/tasks?limit=1001", 400, "malformed", "\"limit\"", "from 1 to 1000"),
                    ("GET", "/v1/tasks?limit=1&limit=2", 400, "malformed", "is there twice", ""),
                    ("GET", "/v1/tasks?type=..%2Fx", 400, "malformed", "\"../x\" is not a task type", ""),
                    ("GET", "/v1/tasks?type=%zz", 400, "malformed", "percent-encoded", ""),
                    ("GET", "/v1/status?x=1", 400, "malformed", "no query parameter \"x\"", ""),
                    ("GET", "/v1/tasks/abc", 400, "malformed", "\"abc\" is not a task's id", "6 characters"),
                    (
                        "GET", "/v1/tasks/\(Self.nobody)/wait?timeout=2h", 400, "malformed", "\"2h\"",
                        "at most 1h"
                    ),
                    ("POST", "/v1/tasks?wait=-5s", 400, "malformed", "\"-5s\" is not a duration", "such as"),
                    ("PATCH", "/v1/pools/x", 404, "not-found", "does not have /v1/pools/x yet", ""),
                ]
                for wanted in cases {
                    try await bench.api(wanted.method, wanted.path)
                        .expectProblem(wanted.status, wanted.kind, wanted.words, advice: wanted.advice)
                }
                let refused = try await bench.api("PUT", "/v1/tasks")
                #expect(refused.head.contains("llow: GET, HEAD, POST, OPTIONS"))
                let asked = try await bench.api("OPTIONS", "/v1/tasks")
                #expect(asked.status == 204 && asked.head.contains("llow: GET, HEAD, POST, OPTIONS"))
                try await bench.api("GET", "/v1/tasks", .object([:])).expectProblem(
                    400,
                    "malformed",
                    "takes no body"
                )
                #expect(try await bench.api("GET", "/v1/tasks").json["tasks"]?.array == [])
            }
        }

        @Test("HEAD answers as GET does, without the body", .timeLimit(.minutes(5)))
        func head() async throws {
            try await Workbench.serving { bench in
                try bench.handler("works", "echo fine")
            } _: { bench in
                let id = try await Self.submit(bench, "works")
                _ = try await bench.ended(id)
                for path in ["/v1/tasks/\(id)", "/v1/tasks", "/v1/plugins", "/livez", "/v1/nothing"] {
                    let (get, head) = (try await bench.api("GET", path), try await bench.api("HEAD", path))
                    #expect(head.status == get.status && head.body.isEmpty, "\(path)")
                    #expect(head.head.lowercased().contains("content-length: \(get.body.count)"), "\(path)")
                }
            }
        }

        @Test(
            "livez, healthz, status, pools and plugins answer, also under v0 where they should",
            .timeLimit(.minutes(5))
        )
        func operators() async throws {
            try await Workbench.serving { bench in
                try bench.handler("works", "echo fine")
                try bench.policy("pools", "media: {concurrency: 3, queue-limit: 5}\n")
                try bench.policy("works", "pool: media\ndescription: It works\n")
            } _: { bench in
                for path in ["/livez", "/v0/livez"] {
                    #expect(try await bench.api("GET", path).json.text("status") == "alive")
                }
                for path in ["/healthz", "/v0/healthz"] {
                    #expect(try await bench.api("GET", path).json.text("status") == "ready")
                }
                let status = try await bench.api("GET", "/v1/status").json
                #expect(status.text("phase") == "ready" && status.text("stateFolder") == bench.state)
                #expect(status["counts"]?["queued"]?.integer == 0)
                let pools = try await bench.api("GET", "/v1/pools").json["pools"]?.array
                let media = pools?.first { $0.text("name") == "media" }
                #expect(media?["concurrency"]?.integer == 3 && media?["queueLimit"]?.integer == 5)
                let plugin = try await bench.api("GET", "/v1/plugins").json["plugins"]?.array?.first
                #expect(plugin?.text("type") == "works" && plugin?.text("pool") == "media")
                #expect(plugin?.text("digest").count == 64 && plugin?.text("description") == "It works")
            }
        }

        @Test(
            "while it drains it is alive, not healthy, takes no work and still answers",
            .timeLimit(.minutes(5))
        )
        func draining() async throws {
            let bench = try Workbench()
            try bench.gatedHandler("gated", "gate go; echo fine")
            let server = try await bench.start(["--drain", "50s"])
            #expect(try await bench.eventually { try await bench.isUsable("gated") })
            let id = try await Self.submit(bench, "gated")
            #expect(try await bench.waits(for: id, toBe: .running))
            server.send(SIGTERM)
            #expect(try await bench.eventually { try await bench.api("GET", "/healthz").status == 503 })
            try await bench.api("GET", "/healthz").expectProblem(503, "unavailable", "not ready")
            #expect(try await bench.api("GET", "/livez").status == 200)
            let refused = try await bench.api("POST", "/v1/tasks", .object(["type": .string("gated")]))
            refused.expectProblem(503, "unavailable", "takes no new work", advice: "started again")
            #expect(refused.head.contains("etry-After: "))
            #expect(try await bench.api("GET", "/v1/tasks/\(id)").json.text("status") == "running")
            try bench.open("go")
            #expect(await server.result().code == 0)
            try await bench.serving { bench throws in
                #expect(try await bench.task(id).text("status") == "completed")
                #expect(try await bench.api("GET", "/v1/tasks").json["tasks"]?.array?.count == 1)
            }
        }

        // MARK: Handlers as callers

        /// Asks the API for its status, from itself and from a process that has left it behind.
        private static let caller = """
            #!/usr/bin/env python3
            import json, os, socket, sys
            path = json.load(sys.stdin)["params"]
            def ask():
                try:
                    peer = socket.socket(socket.AF_UNIX)
                    peer.connect(path)
                    peer.sendall(b"GET /v1/tasks HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
                    return peer.recv(65536).split(b" ")[1].decode()
                except OSError as error:
                    return type(error).__name__
            print("itself:", ask(), flush=True)
            left, leaving = os.pipe()
            done, doing = os.pipe()
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.close(leaving)
                    os.read(left, 1)
                    print("orphan:", ask(), flush=True)
                os._exit(0)
            os.close(leaving)
            os.close(doing)
            os.read(done, 1)
            """

        @Test(
            "a handler is refused by the API, however free it is, and may not even connect by default",
            .timeLimit(.minutes(5))
        )
        func handlersAreRefused() async throws {
            let user = geteuid() == 0 ? "user: root\n" : "timeout: 1m\n"
            let bench = try Workbench()
            try bench.handler("caged", Self.caller)
            try bench.handler("free", Self.caller)
            try bench.policy("caged", user)
            try bench.policy("free", user + "sandbox: {preset: unconfined}\n")
            // The state folder does not exist for a handler in a namespace, however free it is.
            let visible = bench.folder + "/visible.sock"
            let listen = ["--listen", "unix:" + bench.socket, "--listen", "unix:" + visible]
            try await bench.serving(listen) { bench in
                let params = JSONValue.string(visible).text
                let free = try await bench.output(of: "free", params: params)
                #expect(free.text == "itself: 403\norphan: 403\n", "\(free.task.text)")
                let hidden = try await bench.output(of: "free", params: JSONValue.string(bench.socket).text)
                #expect(
                    ["itself: 403\norphan: 403\n", "itself: FileNotFoundError\norphan: FileNotFoundError\n"]
                        .contains(hidden.text),
                    "\(hidden.task.text)"
                )
                let caged = try await bench.output(of: "caged", params: params)
                #expect(
                    caged.text == "itself: PermissionError\norphan: PermissionError\n",
                    "\(caged.task.text)"
                )
                #expect(try await bench.api("GET", "/v1/tasks").status == 200, "everybody else is answered")
            }
        }
    }
}
