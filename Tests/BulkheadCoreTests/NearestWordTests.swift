import BulkheadCore
import Testing

@Suite("NearestWord") struct NearestWordTests {
    private static let keys = [
        "pool", "timeout", "grace", "environment", "on-denied", "open-files", "memory", "read", "write",
    ]

    @Test(
        "a slip of the pen finds its word",
        arguments: [
            ("tiemout", "timeout"), ("timeuot", "timeout"), ("time-out", "timeout"), ("timout", "timeout"),
            ("on_denied", "on-denied"), ("onDenied", "on-denied"), ("OPEN_FILES", "open-files"),
            ("env", "environment"),
            ("raed", "read"), ("wrote", "write"), ("mem", "memory"), ("pools", "pool"),
        ]
    )
    func slips(word: String, right: String) {
        #expect(NearestWord.of(word, among: Self.keys) == right)
    }

    @Test(
        "a word that is like none finds none",
        arguments: [
            "", "x", "colour", "zzzzzzz", String(repeating: "timeout", count: 20), "co", "é",
        ]
    )
    func strangers(word: String) {
        #expect(NearestWord.of(word, among: Self.keys) == nil)
    }

    @Test("among equals the first by spelling is given, whatever the order")
    func equals() {
        #expect(NearestWord.of("cat", among: ["hat", "bat"]) == "bat")
        #expect(NearestWord.of("cat", among: ["bat", "hat"]) == "bat")
    }

    @Test("fewer slips win, and half a word counts for least")
    func order() {
        #expect(NearestWord.of("red", among: ["redirect", "read"]) == "read")
        #expect(NearestWord.of("read", among: ["reads", "read"]) == "read")
    }

    @Test("advice names the nearest word, else every right one, else says to leave it out")
    func advice() {
        #expect(NearestWord.advice(for: "xyzzy", among: ["limit", "cursor"]) == "known are limit, cursor")
        #expect(NearestWord.advice(for: "limt", among: ["limit", "cursor"]) == #"did you mean "limit"?"#)
        #expect(NearestWord.advice(for: "x", among: []) == "leave it out")
    }

    @Test("a very long word is near nothing")
    func longWord() {
        #expect(NearestWord.of(String(repeating: "a", count: 100_000), among: Self.keys) == nil)
    }
}
