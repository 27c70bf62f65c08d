import BulkheadLaunch
import Testing

@Suite("OutcomeRecord")
struct OutcomeRecordTests {
    static let record = OutcomeRecord(
        attempt: 5,
        outcome: MessageCodecTests.fullOutcome,
        tails: [
            .init(stream: .stdout, offset: 100, bytes: [1, 2, 3]),
            .init(stream: .stderr, offset: 0, bytes: []),
        ]
    )

    @Test("a record comes back as it was left")
    func roundTrip() throws {
        #expect(try OutcomeRecord(decoding: Self.record.encoded()[...]) == Self.record)
    }

    @Test("a record that was torn anywhere is rejected")
    func torn() {
        let bytes = Self.record.encoded()
        for count in 0..<bytes.count {
            #expect(throws: CodecError.self) { try OutcomeRecord(decoding: bytes[..<count]) }
        }
    }

    @Test("one flipped bit anywhere is found")
    func flipped() {
        let bytes = Self.record.encoded()
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 1 << UInt8(index % 8)
            #expect(throws: CodecError.wrongChecksum) { try OutcomeRecord(decoding: damaged[...]) }
        }
    }
}
