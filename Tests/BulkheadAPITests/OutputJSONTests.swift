import BulkheadAPI
import BulkheadCore
import Testing

@Suite("OutputJSON")
struct OutputJSONTests {
    static let pieces = [
        OutputPiece(sequence: 3, channel: .stdout, attempt: 2, offset: 0, content: .gap(1 << 40)),
        OutputPiece(sequence: 4, channel: .stderr, attempt: 2, offset: 5, content: .bytes(Array(0...255))),
        OutputPiece(sequence: 5, channel: .stdout, attempt: 2, offset: 1 << 40, content: .bytes([])),
    ]

    @Test("a page reads back as it was, whatever its bytes")
    func roundTrip() throws {
        let page = OutputPage(attempt: 2, pieces: Self.pieces, isEnd: true)
        let sent = try JSONParser.parse(OutputJSON.value(page).bytes)
        #expect(try OutputJSON.page(sent) == page)
    }

    @Test("the members are those of the contract")
    func members() {
        let page = OutputPage(
            attempt: 1,
            pieces: [
                OutputPiece(sequence: 1, channel: .stdout, attempt: 1, offset: 0, content: .gap(10)),
                OutputPiece(
                    sequence: 2,
                    channel: .stderr,
                    attempt: 1,
                    offset: 0,
                    content: .bytes([0xff, 0, 0x41])
                ),
            ],
            isEnd: false
        )
        #expect(
            OutputJSON.value(page).text
                == #"{"attempt":1,"chunks":[{"sequence":1,"stream":"stdout","attempt":1,"offset":0,"gap":10},"#
                + #"{"sequence":2,"stream":"stderr","attempt":1,"offset":0,"data":"/wBB"}],"end":false}"#
        )
    }

    @Test("a task without an attempt has an empty page")
    func noAttempt() throws {
        let page = OutputPage(attempt: 0, pieces: [], isEnd: false)
        #expect(OutputJSON.value(page).text == #"{"chunks":[],"end":false}"#)
        #expect(try OutputJSON.page(OutputJSON.value(page)) == page)
    }

    @Test(
        "what is no page is not read as one",
        arguments: [
            "{}", #"{"chunks":[]}"#, #"{"chunks":[{}],"end":true}"#,
            #"{"chunks":[{"sequence":1,"stream":"stdin","attempt":1,"offset":0,"gap":1}],"end":true}"#,
            #"{"chunks":[{"sequence":1,"stream":"stdout","attempt":1,"offset":0}],"end":true}"#,
            #"{"chunks":[{"sequence":1,"stream":"stdout","attempt":1,"offset":0,"data":"?"}],"end":true}"#,
        ]
    )
    func unreadable(text: String) throws {
        let json = try JSONParser.parse(text)
        #expect(throws: BulkheadError.self) { try OutputJSON.page(json) }
    }
}

@Suite("OutputText")
struct OutputTextTests {
    private func text(_ contents: OutputPiece.Content...) -> String {
        var text = OutputText()
        var bytes: [UInt8] = []
        for content in contents {
            bytes += text.append(
                OutputPiece(sequence: 1, channel: .stderr, attempt: 1, offset: 7, content: content)
            )
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("bytes pass unchanged and join where a character was split")
    func joined() {
        #expect(text(.bytes([0xc3]), .bytes([0xa9, 0x0a])) == "é\n")
    }

    @Test("a gap stands on a line of its own")
    func gapLines() {
        let line = "[12 bytes of stderr from byte 7 on are gone]\n"
        #expect(text(.gap(12), .bytes([0x61])) == line + "a")
        #expect(text(.bytes([0x61]), .gap(12)) == "a\n" + line)
        #expect(text(.bytes([0x61, 0x0a]), .bytes([]), .gap(12)) == "a\n" + line)
    }
}
