import BulkheadCore
import Testing

@Suite("PruneCursor")
struct PruneCursorTests {
    @Test("a cursor comes back as it was given")
    func roundTrip() {
        let cursor = PruneCursor(completedAt: .min, key: .max, passed: 17)
        #expect(PruneCursor(cursor.description) == cursor)
    }

    @Test(
        "what was never given is no cursor, a count on which nobody could count among it",
        arguments: [
            "", "1.2", "1.2.3.4", "a.b.c", "1.2.-1", "1.2.9223372036854775807", "1.2.9223372036854775808",
        ]
    )
    func refused(text: String) {
        #expect(PruneCursor(text) == nil)
    }
}
