import BulkheadAPI
import BulkheadCore
import Testing

@Suite("OutboxJSON")
struct OutboxJSONTests {
    private func message(_ content: OutboxMessage.Content, attempt: Int = 2) throws -> OutboxMessage {
        OutboxMessage(
            sequence: 17,
            messageID: "m",
            task: try TaskID("0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f5a6"),
            type: try TaskType("thumbnail"),
            run: 1,
            attempt: attempt,
            at: Timestamp(milliseconds: 1_800_000_000_000),
            content: content
        )
    }

    private static let beginning = """
        {"messageId":"m","sequence":17,"kind":"KIND","taskId":"0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f5a6",\
        "type":"thumbnail","run":1,"attempt":2,"at":"2027-01-15T08:00:00.000Z"
        """

    @Test("each kind of message has its own members, and what there is nothing to say about is absent")
    func kinds() throws {
        let final: JSONObject = ["status": "failed", "error": ["reason": "exit"]]
        let cases: [(OutboxMessage.Content, String)] = [
            (.started, ""),
            (
                .output(.stderr, offset: 3, bytes: [0, 255, 10]),
                #","stream":"stderr","offset":3,"data":"AP8K""#
            ),
            (.gap(.stdout, offset: 5, bytes: 9), #","stream":"stdout","offset":5,"bytes":9"#),
            (.final(final), #","status":"failed","error":{"reason":"exit"}"#),
        ]
        for (content, rest) in cases {
            let message = try message(content)
            let text = Self.beginning.replacing("KIND", with: message.kind.rawValue) + rest + "}"
            #expect(OutboxJSON.value(message).text == text)
        }
        let received = OutboxJSON.value(try message(.received, attempt: 0))
        #expect(received["attempt"] == nil && received["kind"] == "received")
        let page = OutboxPage(messages: [try message(.started)], next: 17)
        #expect(OutboxJSON.value(page)["messages"]?.array?.count == 1 && OutboxJSON.value(page)["next"] == 17)
    }

    @Test("what acknowledges is read strictly, and the names in it are passed on as they are")
    func acknowledgement() throws {
        let ids = try OutboxJSON.messageIDs(Array(#"{"messageIds":["a","","\u0000","a"]}"#.utf8))
        #expect(ids == ["a", "", "\u{0}", "a"])
        #expect(try OutboxJSON.messageIDs(Array(#"{"messageIds":[]}"#.utf8)) == [])
        for text in [
            "", "[]", "{}", "null", #"{"messageIds":"a"}"#, #"{"messageIds":[1]}"#,
            #"{"messageIds":["a",null]}"#,
            #"{"messageIds":[],"more":1}"#, #"{"ids":[]}"#, #"{"messageIds":[],"messageIds":[]}"#,
            #"{"messageIds":["a"]"#,
        ] {
            let error = #expect(throws: BulkheadError.self) { try OutboxJSON.messageIDs(Array(text.utf8)) }
            #expect(error?.code == .malformed && error?.advice?.contains("messageIds") ?? false, "\(text)")
        }
        let many =
            "[" + Array(repeating: "\"a\"", count: Limits.acknowledgedMessages + 1).joined(separator: ",")
            + "]"
        let error = #expect(throws: BulkheadError.self) {
            try OutboxJSON.messageIDs(Array("{\"messageIds\":\(many)}".utf8))
        }
        #expect(error?.code == .tooLarge)
    }

    @Test("the cursor of a snapshot is read back as it was given, and nothing else is")
    func cursor() throws {
        for place in [
            SpoolSnapshot.Place(running: 5, queued: nil, finals: 0), .beginning,
            SpoolSnapshot.Place(running: nil, queued: nil, finals: 9),
        ] {
            var page = SpoolSnapshot(sequence: 9, pendingMessages: 0, spoolBytes: 0, finalBytes: 0)
            page.next = place
            let report = SnapshotReport(page: page, phase: .ready, spoolCap: 1, outboxIsOn: true)
            let cursor = try #require(SnapshotJSON.value(report)["cursor"]?.string)
            #expect(try SnapshotJSON.place(ofCursor: cursor) == place)
        }
        let last = SpoolSnapshot(sequence: 9, pendingMessages: 0, spoolBytes: 0, finalBytes: 0)
        let report = SnapshotReport(page: last, phase: .ready, spoolCap: 1, outboxIsOn: true)
        #expect(SnapshotJSON.value(report)["cursor"] == nil)
        for text in ["", "1", "1.2", "1.2.3.4", "a.b.c", "-1..", "99999999999999999999.."] {
            #expect(throws: BulkheadError.self) { try SnapshotJSON.place(ofCursor: text) }
        }
    }

    @Test("a status event leaves out what makes a task large, and output is as a page of output has it")
    func events() throws {
        var task = TaskRecord(
            sequence: 1,
            id: try TaskID("0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f5a6"),
            type: try TaskType("thumbnail"),
            pool: .default,
            priority: 0,
            params: "large",
            submittedAt: Timestamp(milliseconds: 0)
        )
        task.metadata = "large"
        task.result = "large"
        let status = FeedEvent(sequence: 3, task: task.id, content: .status(task))
        #expect(EventJSON.name(of: status) == "status")
        #expect(!EventJSON.value(status).text.contains("large"))
        #expect(EventJSON.value(status)["status"] == "queued")
        let piece = OutputPiece(sequence: 4, channel: .stdout, attempt: 1, offset: 2, content: .gap(7))
        let output = EventJSON.value(FeedEvent(sequence: 4, task: task.id, content: .output(piece)))
        #expect(
            output == [
                "id": .string(task.id.text), "sequence": 4, "stream": "stdout", "attempt": 1, "offset": 2,
                "gap": 7,
            ]
        )
        let report = TaskProgress(fraction: 0.5, message: nil)
        let progress = FeedEvent(sequence: 5, task: task.id, content: .progress(report, attempt: 3))
        let expected: JSONValue = [
            "id": .string(task.id.text), "attempt": 3, "progress": ["fraction": .decimal(0.5)],
        ]
        #expect(EventJSON.value(progress) == expected)
    }
}
