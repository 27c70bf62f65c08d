import BulkheadAPI
import BulkheadCore
import Testing

@Suite("SubmissionJSON")
struct SubmissionJSONTests {
    @Test("a type alone is enough: params are {} and the id is made")
    func typeAlone() throws {
        let expected = Submission(id: try TaskID(Samples.id), type: try TaskType("checksum"))
        #expect(try Samples.submission(#"{"type": "checksum"}"#) == expected)
        #expect(expected.params == .object(JSONObject()))
    }

    @Test("every member is read")
    func everyMember() throws {
        let submission = try Samples.submission(
            """
            {"id": "0192F3A4-5B6C-7D8E-9FA0-B1C2D3E4F5AA", "type": "checksum", "params": [1, 2.50],
             "metadata": "m", "priority": -1000000, "caller": "née+1",
             "notBefore": "2026-11-21T08:30:00.250Z", "expiresAt": "2026-11-21T09:30:00Z"}
            """
        )
        #expect(submission.id.text == "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f5aa")
        #expect(submission.params.text == "[1,2.50]")
        #expect(submission.metadata == .string("m"))
        #expect(submission.priority == -1_000_000)
        #expect(submission.caller == "née+1")
        #expect(submission.notBefore == Samples.moment)
        #expect(submission.expiresAt.map { $0 - Samples.moment } == .milliseconds(3_599_750))
    }

    @Test("params keep every digit and the order of members")
    func exactParams() throws {
        let params = #"{"z":1.0,"a":12345678901234567890.000100,"e":1E400,"n":null}"#
        #expect(try Samples.submission(#"{"type":"t","params":\#(params)}"#).params.text == params)
    }

    @Test(
        "what is wrong is refused with its name",
        arguments: [
            ("", "the body is empty"),
            ("{", "this is not JSON that Bulkhead takes"),
            ("[]", "a JSON object should be here, not an array"),
            ("7", "a JSON object should be here, not the number 7"),
            (#"{"params":{}}"#, #""type" is missing"#),
            (#"{"type":null}"#, #""type" is null, not a text"#),
            (#"{"type":"../x"}"#, #""../x" is not a task type"#),
            (#"{"type":"a\u0000b"}"#, #""a\u0000b" is not a task type"#),
            (#"{"type":"pools"}"#, "cannot be a task type"),
            (#"{"type":"t","id":"12"}"#, #""12" is not a UUID"#),
            (#"{"type":"t","id":12}"#, #""id" is the number 12, not a text"#),
            (#"{"type":"t","prio":1}"#, #""prio" is no member of a task"#),
            (#"{"type":"t","priority":"1"}"#, #""priority" is a text, not a whole number"#),
            (#"{"type":"t","priority":1.5}"#, #""priority" is the number 1.5, not a whole number"#),
            (#"{"type":"t","priority":1000001}"#, #""priority" is the number 1000001"#),
            (#"{"type":"t","caller":""}"#, #""caller" is empty"#),
            (#"{"type":"t","caller":"a\nb"}"#, #""caller" has a control character"#),
            (#"{"type":"t","caller":true}"#, #""caller" is true, not a text"#),
            (#"{"type":"t","notBefore":"soon"}"#, #""notBefore": "soon" is not a time"#),
            (#"{"type":"t","expiresAt":5}"#, #""expiresAt" is the number 5, not a text"#),
            (#"{"type":"t","type":"u"}"#, "this is not JSON that Bulkhead takes"),
            (
                #"{"type":"t","notBefore":"2026-11-21T08:30:00Z","expiresAt":"2026-11-21T08:29:59Z"}"#,
                "expiresAt is before notBefore"
            ),
        ]
    )
    func refused(text: String, message: String) throws {
        let error = try #require(throws: BulkheadError.self) { try Samples.submission(text) }
        #expect(error.code == .malformed)
        #expect(error.message.contains(message), "\(error.message)")
    }

    @Test("an unknown member comes with the nearest right word")
    func nearestMember() throws {
        let error = try #require(throws: BulkheadError.self) {
            try Samples.submission(#"{"type":"t","prority":1}"#)
        }
        #expect(error.advice == #"did you mean "priority"?"#)
    }

    @Test("null is said to be left out")
    func nullAdvice() throws {
        let error = try #require(throws: BulkheadError.self) {
            try Samples.submission(#"{"type":"t","caller":null}"#)
        }
        #expect(error.advice == "leave it out instead of sending null")
    }

    @Test("JSON that nests too deep is malformed, to 64 it is taken")
    func depth() throws {
        func text(_ depth: Int) -> String {
            let open = String(repeating: "[", count: depth - 1)
            let close = String(repeating: "]", count: depth - 1)
            return #"{"type":"t","params":\#(open)\#(close)}"#
        }
        #expect(try Samples.submission(text(Limits.jsonDepth)).type.name == "t")
        for depth in [Limits.jsonDepth + 1, 100_000] {
            let error = try #require(throws: BulkheadError.self) { try Samples.submission(text(depth)) }
            #expect(error.code == .malformed)
            #expect(error.cause?.contains("nests deeper than 64") == true)
        }
    }

    @Test("params are bounded as they were sent, escapes included", arguments: ["params", "p\\u0061rams"])
    func paramsLimit(name: String) throws {
        func text(_ bytes: Int) -> String {
            let escape = #"\u0041"#
            let filling = String(repeating: "x", count: bytes - 2 - escape.utf8.count)
            return #"{"type":"t", "\#(name)" : "\#(escape + filling)" }"#
        }
        #expect(throws: Never.self) { try Samples.submission(text(Limits.paramsBytes)) }
        let error = try #require(throws: BulkheadError.self) {
            try Samples.submission(text(Limits.paramsBytes + 1))
        }
        #expect(error.code == .tooLarge)
        #expect(error.message == "params has 1048577 bytes, the limit is 1MiB")
    }

    @Test("metadata is bounded at 16 KiB, whatever else is there")
    func metadataLimit() throws {
        func text(_ bytes: Int) -> String {
            #"{"type":"t","metadata":"\#(String(repeating: "x", count: bytes - 2))","params":"}]\"{["}"#
        }
        #expect(throws: Never.self) { try Samples.submission(text(Limits.metadataBytes)) }
        let error = try #require(throws: BulkheadError.self) {
            try Samples.submission(text(Limits.metadataBytes + 1))
        }
        #expect(error.code == .tooLarge)
        #expect(error.message == "metadata has 16385 bytes, the limit is 16KiB")
    }

    @Test("a caller's name is bounded in bytes, not in characters")
    func callerLimit() throws {
        let text = { (count: Int) in #"{"type":"t","caller":"\#(String(repeating: "é", count: count))"}"# }
        #expect(try Samples.submission(text(64)).caller?.utf8.count == Limits.callerBytes)
        let error = try #require(throws: BulkheadError.self) { try Samples.submission(text(65)) }
        #expect(error.code == .tooLarge)
    }
}

@Suite("SubmissionJSON, batches")
struct BatchJSONTests {
    @Test("tasks come in order, and a wrong one costs only itself")
    func onlyItself() throws {
        let outcomes = try Samples.batch(
            #"""
            { "tasks" : [ {"type":"a"}, {"type":nope}, {"typ":"x"}, 7 , {"type":"b","type":"b"},
                {"type":"}]\"","params":[{}]}, {"type":"c","params":{"q":"\\"}} ] }
            """#
        )
        let types = outcomes.map { (try? $0.get())?.type.name }
        #expect(types == ["a", nil, nil, nil, nil, nil, "c"])
        let codes = outcomes.compactMap { outcome -> BulkheadError.Code? in
            guard case .failure(let error) = outcome else { return nil }
            return error.code
        }
        #expect(codes == Array(repeating: .malformed, count: 5))
    }

    @Test("an empty batch is a batch")
    func empty() throws {
        #expect(try Samples.batch(#"{"tasks":[ ]}"#).isEmpty)
    }

    @Test(
        "a batch whose tasks cannot be told apart is malformed as a whole",
        arguments: [
            "", "[]", "{}", #"{"tasks":{}}"#, #"{"tasks":["#, #"{"tasks":[{]}"#, #"{"tasks":[,]}"#,
            #"{"tasks":[1 2]}"#, #"{"tasks":[1,]}"#, #"{"tasks":[]} x"#, #"{"tasks":[],"tasks":[]}"#,
            #"{"tasks":[],"more":1}"#, #"{"tasks":["a]}"#, #"{"tasks":["a\"#, #"{"tasks"}"#, #"{tasks:[]}"#,
            #"{"tasks":}"#,
        ]
    )
    func malformed(text: String) throws {
        let error = try #require(throws: BulkheadError.self) { try Samples.batch(text) }
        #expect(error.code == .malformed)
    }

    @Test("a batch has 1,000 tasks at most")
    func countLimit() throws {
        let text = { (count: Int) in
            #"{"tasks":[\#(Array(repeating: #"{"type":"t"}"#, count: count).joined(separator: ","))]}"#
        }
        #expect(try Samples.batch(text(Limits.batchTasks)).count == 1_000)
        let error = try #require(throws: BulkheadError.self) {
            try Samples.batch(text(Limits.batchTasks + 1))
        }
        #expect(error.code == .tooLarge)
        #expect(error.message == "the batch has 1001 tasks, the limit is 1000")
    }

    @Test("one task of a batch is bounded as a single submit is")
    func taskLimit() throws {
        let filling = String(repeating: " ", count: Limits.bodyBytes)
        let outcomes = try Samples.batch(#"{"tasks":[{"type":"a"\#(filling)},{"type":"b"}]}"#)
        #expect(throws: BulkheadError.self) { try outcomes[0].get() }
        #expect(try outcomes[1].get().type.name == "b")
    }
}
