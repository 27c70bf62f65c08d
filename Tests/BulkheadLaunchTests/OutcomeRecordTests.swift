import BulkheadLaunch
import Testing

@Suite("OutcomeRecord")
struct OutcomeRecordTests {
    static let record = OutcomeRecord(
        task: "a task",
        attempt: 5,
        messages: [
            .started(attempt: 5, pid: 10, startTime: 11),
            .event(attempt: 5, line: [1], truncated: false, length: 1),
            .output(attempt: 5, stream: .stdout, offset: 100, bytes: [1, 2, 3]),
            .finished(attempt: 5, outcome: MessageCodecTests.fullOutcome),
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

    @Test("a record without an end, or about another attempt, is none")
    func incomplete() {
        var endless = Self.record
        endless.messages.removeLast()
        #expect(throws: CodecError.self) { try OutcomeRecord(decoding: endless.encoded()[...]) }
        var foreign = Self.record
        foreign.attempt = 6
        #expect(throws: CodecError.self) { try OutcomeRecord(decoding: foreign.encoded()[...]) }
    }
}
