import BulkheadCore
import Testing

@Suite("BulkheadError")
struct BulkheadErrorTests {
    @Test("advice is in brackets, but never in the second ones in a row")
    func brackets() {
        let plain = BulkheadError(.host, "no pipe", cause: "out of files", advice: "raise the limit")
        #expect(plain.description == "no pipe: out of files (raise the limit)")
        let bracketed = BulkheadError(.host, "no pipe", cause: "out of files (errno 24)", advice: "raise it")
        #expect(bracketed.description == "no pipe: out of files (errno 24); raise it")
    }
}
