import BulkheadCore
import Testing

@Suite("HandlerEvents")
struct HandlerEventsTests {
    private func take(_ lines: String..., limit: Int = 64) -> HandlerEvents {
        var events = HandlerEvents(resultLimit: limit)
        for line in lines { events.take(Array(line.utf8), length: line.utf8.count) }
        return events
    }

    @Test("the last result, progress and error are the ones that hold")
    func lastOneWins() {
        let events = take(
            #"{"result":1}"#,
            #"{"progress":{"fraction":0.4,"message":"half way"}}"#,
            #"{"error":{"message":"first"}}"#,
            #"{"result":{"pages":[1,2.50]}}"#,
            #"{"progress":{"message":"nearly"}}"#,
            #"{"error":{"message":"second","retryable":true,"hint":"wait"}}"#
        )
        #expect(events.result?.text == #"{"pages":[1,2.50]}"#)
        #expect(events.progress == TaskProgress(fraction: nil, message: "nearly"))
        #expect(events.error == HandlerError(message: "second", retryable: true, hint: "wait"))
        #expect(events.warnings == Warnings())
    }

    @Test(
        "a line that is not understood is kept as a warning and changes nothing",
        arguments: [
            "nonsense", "[1]", "{}", #"{"result":1,"progress":{}}"#, #"{"state":"done"}"#,
            #"{"progress":{"fraction":1.5}}"#, #"{"progress":{"fraction":"half"}}"#, #"{"progress":3}"#,
            #"{"error":{"hint":"no message"}}"#, #"{"error":{"message":"m","retryable":"yes"}}"#,
            #"{"error":"text"}"#, #"{"result":1"#,
        ]
    )
    func notUnderstood(line: String) {
        let events = take(line)
        #expect(events.result == nil && events.progress == nil && events.error == nil)
        #expect(events.warnings.kept.count == 1)
        #expect(events.warnings.kept.first?.contains(line) == true)
    }

    @Test("a result of exactly the limit is kept, one byte more is cut and says so")
    func resultLimit() throws {
        let fits = "\"" + String(repeating: "x", count: 62) + "\""
        #expect(take("{\"result\": \(fits) }").result?.text == fits)
        let over = "\"" + String(repeating: "x", count: 63) + "\""
        let events = take("{\"result\": \(over) }")
        #expect(events.result?["truncated"] == true)
        #expect(events.result?["bytes"]?.integer == 65)
        #expect(events.result?["head"]?.string == over)
        #expect(events.warnings.kept.count == 1)
    }

    @Test("the head of a line that was too long is a cut result, with the bytes of the whole value")
    func tooLongLine() {
        var events = HandlerEvents(resultLimit: 64)
        let head = Array("{\"result\":\"äää".utf8).dropLast()
        events.take(Array(head), length: 1_000_000)
        #expect(events.result?["bytes"]?.integer == 999_989)
        #expect(events.result?["head"]?.string == "\"ää")
    }

    @Test("a line that was too long and is no result is a warning")
    func tooLongOther() {
        var events = HandlerEvents(resultLimit: 64)
        events.take(Array("{\"progress\":{".utf8), length: 1_000_000)
        #expect(events.result == nil && events.progress == nil)
        #expect(events.warnings.kept.first?.contains("1000000") == true)
    }

    @Test("of lines without end that mean nothing 32 are kept, and the rest is counted")
    func flood() {
        var events = HandlerEvents(resultLimit: 64)
        for number in 0..<10_000 {
            let line = Array("nonsense \(number)".utf8)
            #expect(events.take(line, length: line.count) == .notUnderstood)
        }
        #expect(events.warnings.kept.count == Limits.warnings)
        #expect(events.warnings.omitted == 10_000 - Int64(Limits.warnings))
    }

    @Test("empty lines are nothing")
    func emptyLines() {
        #expect(take("", " ", "\r").warnings == Warnings())
    }
}
