import BulkheadCore
import Testing

@Suite("JSONParser")
struct JSONTests {
    @Test("what is read is written again, members in order and numbers to the digit")
    func roundTrip() throws {
        let text = #"{"b":[1,2.50,-0.0,1e400,12345678901234567890],"a":{"x":null,"y":true},"t":"\"\\\nä😀"}"#
        let value = try JSONParser.parse(text)
        #expect(value.text == text)
        #expect(try JSONParser.parse(value.prettyText) == value)
    }

    @Test(
        "numbers are equal by value",
        arguments: [
            ("1", "1.0"), ("1", "10e-1"), ("0", "-0.0"), ("100", "1E2"), ("0.5", "5e-1"),
            ("123456789012345678901234567890", "1.2345678901234567890123456789e29"),
        ]
    )
    func equalNumbers(left: String, right: String) throws {
        #expect(try JSONParser.parse(left) == JSONParser.parse(right))
    }

    @Test(
        "numbers that differ in the last digit differ",
        arguments: [("1", "2"), ("1", "-1"), ("9007199254740993", "9007199254740992"), ("1e400", "1e401")]
    )
    func differentNumbers(left: String, right: String) throws {
        #expect(try JSONParser.parse(left) != JSONParser.parse(right))
    }

    @Test("whole numbers are read in whatever way they were written")
    func integers() throws {
        #expect(try JSONParser.parse("5e3").integer == 5_000)
        #expect(try JSONParser.parse("5.0").integer == 5)
        #expect(try JSONParser.parse("0e5").integer == 0)
        #expect(try JSONParser.parse("5.5").integer == nil)
        #expect(try JSONParser.parse("9223372036854775808").integer == nil)
        #expect(try JSONParser.parse("1e999999999999999999999").integer == nil)
    }

    @Test(
        "what is not JSON is refused",
        arguments: [
            "", " ", "{", "[", "[1,]", "{\"a\"}", "{\"a\":1,}", "{a:1}", "01", "1.", ".5", "+1", "1e", "tru",
            "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\u{1}\"", "1 2", "{}x",
            "NaN",
            "[1 2]", "'a'", "{\"a\":1 \"b\":2}",
        ]
    )
    func refused(text: String) {
        #expect(throws: JSONError.self) { try JSONParser.parse(text) }
    }

    @Test("a member that is there twice is refused, with the place, also when one is escaped")
    func duplicates() throws {
        let error = #expect(throws: JSONError.self) { try JSONParser.parse(#"{"a":1,"\u0061":2}"#) }
        #expect(error?.offset == 7)
    }

    @Test("text that is not UTF-8 is refused")
    func notUTF8() {
        for bytes: [UInt8] in [
            [0x22, 0xff, 0x22], [0x22, 0xc0, 0x80, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22],
        ] {
            #expect(throws: JSONError.self) { try JSONParser.parse(bytes) }
        }
    }

    @Test("64 levels are read, 65 are refused, and so are 100,000")
    func depth() throws {
        func nested(_ levels: Int) -> String {
            String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
        }
        #expect(try JSONParser.parse(nested(64)).array?.count == 1)
        #expect(throws: JSONError.self) { try JSONParser.parse(nested(65)) }
        #expect(throws: JSONError.self) { try JSONParser.parse(nested(100_000)) }
    }

    @Test("objects are equal in whatever order, arrays only in the same one")
    func equality() throws {
        #expect(try JSONParser.parse(#"{"a":1,"b":2}"#) == JSONParser.parse(#"{"b":2,"a":1}"#))
        #expect(try JSONParser.parse(#"{"a":1}"#) != JSONParser.parse(#"{"a":1,"b":2}"#))
        #expect(try JSONParser.parse("[1,2]") != JSONParser.parse("[2,1]"))
    }

    @Test("values that differ deep down are told apart in a moment")
    func deepEquality() throws {
        func nested(_ leaf: String) -> String {
            String(repeating: #"{"a":"#, count: 64) + leaf + String(repeating: "}", count: 64)
        }
        #expect(try JSONParser.parse(nested("1")) != JSONParser.parse(nested("2")))
        #expect(try JSONParser.parse(nested("1")) == JSONParser.parse(nested("1.0")))
    }

    @Test("texts and names are told apart to the byte, also where Unicode calls them equivalent")
    func exactTexts() throws {
        let (composed, decomposed) = ("\u{e9}", "e\u{301}")
        #expect(try JSONParser.parse("\"\(composed)\"") != JSONParser.parse("\"\(decomposed)\""))
        #expect(try JSONParser.parse("{\"\(composed)\":1}") != JSONParser.parse("{\"\(decomposed)\":1}"))
        let both = "{\"\(composed)\":1,\"a\":2,\"\(decomposed)\":3}"
        let turned = "{\"\(decomposed)\":3,\"\(composed)\":1,\"a\":2}"
        #expect(try JSONParser.parse(both) == JSONParser.parse(turned))
        #expect(try JSONParser.parse(both) != JSONParser.parse(turned.replacing("3", with: "1")))
        let error = #expect(throws: JSONError.self) {
            try JSONParser.parse("\(both.dropLast()),\"\(decomposed)\":1}")
        }
        #expect(error?.offset == both.utf8.count)
    }

    @Test("exponents at the ends of what 64 bits hold are read like any other")
    func extremeExponents() throws {
        for exponent in ["-9223372036854775808", "9223372036854775807", "-9223372036854775809"] {
            let value = try JSONParser.parse("1e\(exponent)")
            #expect(value.integer == nil)
            #expect(try value != JSONParser.parse("1"))
            #expect(try value == JSONParser.parse("1.0e\(exponent)"))
            #expect(try JSONParser.parse("0e\(exponent)").integer == 0)
        }
    }

    @Test("a located value knows the byte at which each of its parts begins")
    func located() throws {
        let text = #" {"a": [1, "é"], "b": {"c": null}}"#
        let root = try JSONParser.parseLocated(Array(text.utf8))
        guard case .object(let members, at: 1) = root else {
            Issue.record("\(root)")
            return
        }
        #expect(members.map(\.name) == ["a", "b"])
        #expect(members.map(\.offset) == [2, 18])
        #expect(members.map(\.value.offset) == [7, 23])
        #expect(members[0].value == .array([.scalar(1, at: 8), .scalar("é", at: 11)], at: 7))
        let error = #expect(throws: JSONError.self) {
            try JSONParser.parseLocated(Array(#"{"a":1,"a":2}"#.utf8))
        }
        #expect(error?.offset == 7)
    }

    @Test("control characters are written escaped")
    func escapes() throws {
        let value = JSONValue.string("\u{1b}[31m\u{7f}\0")
        #expect(value.text == #""\u001b[31m"# + "\u{7f}" + #"\u0000""#)
        #expect(value.prettyText == #""\u001b[31m\u007f\u0000""#)
        #expect(try JSONParser.parse(value.text) == value)
    }

    @Test(
        "a value is never written longer than its sender wrote it",
        arguments: [
            #""\b\f\n\r\t\"\\\/""#, "\"\u{7f}\"", #""\u0001\u001F\u007f""#, #""\u00e9\ud83d\ude00""#,
            "[1e9,-0.0,1E+400,123456789012345678901234567890]", #"{"a":[],"b":{},"":null}"#, #""é😀""#,
        ]
    )
    func neverLonger(text: String) throws {
        let value = try JSONParser.parse(text)
        #expect(value.bytes.count <= text.utf8.count)
        #expect(try JSONParser.parse(value.text) == value)
    }
}
