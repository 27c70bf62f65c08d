import BulkheadCore
import Testing

@Suite("PoolHealthText")
struct PoolHealthTextTests {
    @Test("what is written is read again, and nothing is written of pools without a failure")
    func written() throws {
        var failing = PoolHealth()
        failing.failures = 3
        failing.backoffs = 1
        failing.backoffUntil = Timestamp(milliseconds: 1_000)
        let media = try PoolName("media")
        let bytes = try #require(PoolHealthText.bytes(of: [media: failing, .default: PoolHealth()]))
        #expect(try PoolHealthText.read(bytes) == [media: failing])
        #expect(PoolHealthText.bytes(of: [.default: PoolHealth()]) == nil)
    }

    @Test("a pool that cannot be understood is left out")
    func malformed() throws {
        let text =
            #"{"pools":{"a":{"failures":1},"B!":{"failures":1,"backoffs":0},"c":{"failures":1e30,"backoffs":0}}}"#
        #expect(try PoolHealthText.read(Array(text.utf8)).isEmpty)
        #expect(throws: (any Error).self) { try PoolHealthText.read(Array("{".utf8)) }
    }
}
