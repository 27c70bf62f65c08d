import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// What a caller sends and is wrong: refused with what is wrong and what to do, and nothing changes.
    @Suite("Bad input")
    struct BadInputTests {
        private typealias Wrong = (body: String, status: Int, kind: String, words: String, advice: String)

        private static let wrongSubmits: [Wrong] = [
            ("", 400, "malformed", "the body is empty", "send a JSON object"),
            (#"{"type":"#, 400, "malformed", "ends where a value should be at byte 8", ""),
            ("[]", 400, "malformed", "a JSON object should be here, not an array", ""),
            ("{\"type\":\"checksum\"}x", 400, "malformed", "at byte 19", ""),
            ("{}", 400, "malformed", #""type" is missing"#, "which handler"),
            (nested(65), 400, "malformed", "nests deeper than 64", ""),
            (nested(100_000), 400, "malformed", "nests deeper than 64", ""),
            (#"{"type":"checksum","type":"checksum"}"#, 400, "malformed", #""type" is there twice"#, ""),
            (
                #"{"type":"checksum","params":{"a":1,"\u0061":2}}"#, 400, "malformed", #""a" is there twice"#,
                ""
            ),
            (#"{"type":"checksum","parms":{}}"#, 400, "malformed", #""parms" is no member"#, "\"params\""),
            (#"{"type":7}"#, 400, "malformed", #""type" is the number 7, not a text"#, ""),
            (#"{"type":"checksum","id":"42"}"#, 400, "malformed", #""42" is not a UUID"#, "looks like"),
            (
                #"{"type":"checksum","id":"0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f5ag"}"#, 400, "malformed",
                "is not a UUID", ""
            ),
            (#"{"type":"chekcsum"}"#, 422, "unknown-type", #"did you mean "checksum"?"#, "plugins folder"),
            (#"{"type":"zzz"}"#, 422, "unknown-type", "there is no handler for the type zzz", "plugins"),
            (#"{"type":"../plugins/checksum"}"#, 400, "malformed", "is not a task type", "a-z, 0-9"),
            (#"{"type":"check\u0000sum"}"#, 400, "malformed", #""check\u0000sum" is not a task type"#, ""),
            ("{\"type\":\"check\0sum\"}", 400, "malformed", "a control character stands unescaped", ""),
            (#"{"type":"pools"}"#, 400, "malformed", #""pools" cannot be a task type"#, ""),
            (
                #"{"type":"checksum","priority":1000001}"#, 400, "malformed", "from -1000000 to 1000000", ""
            ),
            (#"{"type":"checksum","notBefore":"soon"}"#, 400, "malformed", "is not a time", "RFC 3339"),
            (#"{"type":"checksum","caller":"a\u001b[2J"}"#, 400, "malformed", "control character", "name"),
            (
                #"{"type":"checksum","caller":"\#(text(129))"}"#, 413, "too-large",
                "129 bytes, the limit is 128B",
                ""
            ),
            (
                #"{"type":"checksum","params":"\#(text(1 << 20))"}"#, 413, "too-large",
                "params has 1048578 bytes, the limit is 1MiB", "send its path"
            ),
            (
                #"{"type":"checksum","metadata":"\#(text(16 << 10))"}"#, 413, "too-large",
                "metadata has 16386 bytes, the limit is 16KiB", ""
            ),
        ]

        @Test("a submit that is wrong is refused by name and changes nothing", .timeLimit(.minutes(5)))
        func wrongSubmits() async throws {
            try await Workbench.serving { bench in
                try bench.handler("checksum", "echo fine")
            } _: { bench in
                _ = try await bench.finished("checksum")
                let before = try await bench.api("GET", "/v1/tasks").text
                for wrong in Self.wrongSubmits {
                    let answers = try await bench.raw(RawHTTP.post("/v1/tasks", wrong.body))
                    try #require(answers.count == 1, "\(wrong.body.prefix(64))")
                    answers[0].expectProblem(wrong.status, wrong.kind, wrong.words, advice: wrong.advice)
                }
                #expect(try await bench.api("GET", "/v1/tasks").text == before)
                let deepest = try await bench.raw(RawHTTP.post("/v1/tasks", Self.nested(64)))
                #expect(deepest.map(\.status) == [201], "what is within its bounds is taken")
                let full = #"{"type":"checksum","params":"\#(Self.text((1 << 20) - 2))"}"#
                #expect(try await bench.raw(RawHTTP.post("/v1/tasks", full)).map(\.status) == [201])
                #expect(try await bench.finished("checksum").text("status") == "completed")
            }
        }

        @Test("a body of 100 MB is refused before memory is taken for it", .timeLimit(.minutes(5)))
        func hugeBody() async throws {
            try await Workbench.serving { bench in
                try bench.handler("checksum", "echo fine")
            } _: { bench in
                _ = try await bench.finished("checksum")
                let pid = try #require(try await bench.answer("status")["pid"]?.integer.flatMap(pid_t.init))
                let before = try #require(ProcessTable.status("VmHWM", of: pid))
                let piece = [UInt8](repeating: UInt8(ascii: "["), count: 1 << 16)
                let chunk = Array("10000\r\n".utf8) + piece + Array("\r\n".utf8)
                for (path, limit) in [("/v1/tasks", "2MiB"), ("/v1/tasks/batch", "16MiB")] {
                    let announced = RawHTTP.head("POST", path, "Content-Length: 104857600")
                    let chunked = RawHTTP.head("POST", path, "Transfer-Encoding: chunked")
                    for (head, piece, isStubborn) in [
                        (announced, piece, false), (chunked, chunk, false), (chunked, chunk, limit == "2MiB"),
                    ] {
                        let answers = try await bench.raw.flood(
                            head,
                            piece,
                            times: 1_600,
                            isStubborn: isStubborn
                        )
                        try #require(answers.count == 1)
                        answers[0].expectProblem(413, "too-large", "the body is larger than \(limit)")
                    }
                }
                let after = try #require(ProcessTable.status("VmHWM", of: pid))
                #expect(after - before < 64 << 10, "kB: the batch's 16 MiB and its copies, never 100 MB")
                #expect(try await bench.finished("checksum").text("status") == "completed")
                #expect(try await bench.api("GET", "/v1/tasks").json["tasks"]?.array?.count == 2)
            }
        }

        @Test(
            "an id that belongs to another task is refused and that task stays as it is",
            .timeLimit(.minutes(5))
        )
        func takenID() async throws {
            let id = "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f5a6"
            try await Workbench.serving { bench in
                try bench.handler("checksum", "echo fine")
                try bench.handler("other", "echo other")
            } _: { bench in
                _ = try await bench.finished("checksum", params: #"{"a":1,"b":[2]}"#, id: id)
                let before = try await bench.api("GET", "/v1/tasks/\(id)").text
                func submit(_ type: String, _ params: String) async throws -> APICall.Answer {
                    let body = #"{"type":"\#(type)","id":"\#(id.uppercased())","params":\#(params)}"#
                    return try #require(try await bench.raw(RawHTTP.post("/v1/tasks", body)).first)
                }
                #expect(try await submit("checksum", #"{ "b": [2.0], "a": 1e0 }"#).status == 200)
                for params in [#"{"a":1,"b":[3]}"#, #"{"a":1}"#, #"{"a":1,"b":[2],"c":0}"#, "null"] {
                    try await submit("checksum", params)
                        .expectProblem(
                            409,
                            "conflict",
                            "of type checksum with other params",
                            advice: "another id"
                        )
                }
                try await submit("other", #"{"a":1,"b":[2]}"#)
                    .expectProblem(409, "conflict", "of type checksum, not other", advice: "another id")
                let refused = try await bench.bulkhead("submit", "checksum", "--id", id, "--params", "{}")
                #expect(refused.code == 4 && refused.out.isEmpty && refused.err.contains("with other params"))
                #expect(try await bench.api("GET", "/v1/tasks/\(id)").text == before)
                #expect(try await bench.api("GET", "/v1/tasks").json["tasks"]?.array?.count == 1)
            }
        }

        @Test("what is no HTTP is refused, and the connections beside it go on", .timeLimit(.minutes(5)))
        func wrongHTTP() async throws {
            try await Workbench.serving { bench in
                let raw = bench.raw
                let wrong: [(bytes: String, status: Int, kind: String, words: String)] = [
                    ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n", 400, "malformed", "this is not HTTP/1.1"),
                    ("BREW /v1/tasks HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed", "invalid HTTP method"),
                    ("GET /livez HTTP/9.9\r\n\r\n", 400, "malformed", "invalid HTTP version"),
                    (
                        "POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{    }",
                        400, "malformed", "content-length"
                    ),
                    (
                        RawHTTP.head("POST", "/v1/tasks", "Content-Length: 90") + #"{"type":"#, 400,
                        "malformed",
                        "the body"
                    ),
                    (
                        RawHTTP.head("POST", "/v1/tasks", "Transfer-Encoding: chunked") + "zz\r\n", 400,
                        "malformed",
                        "chunk size"
                    ),
                    (RawHTTP.head("GET", "/livez", "X: \(Self.text(40_000))"), 431, "too-large", "32KiB"),
                    (RawHTTP.head("GET", "/" + Self.text(40_000)), 431, "too-large", "32KiB"),
                ]
                for wrong in wrong {
                    let answers = try await raw(Array(wrong.bytes.utf8))
                    try #require(answers.count == 1, "\(wrong.bytes.prefix(64))")
                    answers[0].expectProblem(wrong.status, wrong.kind, wrong.words)
                }
                let fields = (0..<1_100).map { "X-\($0): x\r\n" }.joined()
                let flood = "GET /livez HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n"
                try #require(try await raw(Array(flood.utf8)).first)
                    .expectProblem(431, "too-large", "1000 fields")

                let good = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
                let pipelined = try await raw(Array((good + good + "garbage\r\n\r\n").utf8))
                #expect(pipelined.map(\.status) == [200, 200, 400], "each gets its answer, in order")
                #expect(try await bench.api("GET", "/livez").status == 200)
                #expect(try await bench.api("GET", "/v1/tasks").json["tasks"]?.array == [])
            }
        }

        // MARK: Texts

        private static func text(_ length: Int) -> String { String(repeating: "x", count: length) }

        /// A submit that nests so deep, the object itself counted.
        private static func nested(_ depth: Int) -> String {
            let open = String(repeating: "[", count: depth - 1)
            return #"{"type":"checksum","params":\#(open)\#(open.replacing("[", with: "]"))}"#
        }
    }
}
