import BulkheadLaunch
import Testing

@Suite("MessageCodec")
struct MessageCodecTests {
    static let secret = [UInt8](repeating: 7, count: LaunchLimits.secretBytes)

    static let supervisorMessages: [SupervisorMessage] =
        [
            .prepare(Preparation(slot: 3, secret: secret)),
            .launch(LaunchHeader(attempt: 1 << 40, specBytes: 512)),
            .outputAck(attempt: 9, stream: .stderr, offset: .max),
            .outcomeAck(attempt: 10),
            .prepare(Preparation(slot: 4, secret: secret, name: "0123456789abcdef")),
            .dismiss,
            .adopt(nonce: secret, proof: secret.reversed()),
            .resume(attempt: 11, stdout: 12, stderr: .max),
            .eventAck(attempt: 8, meanings: EventMeaning.allCases),
        ]
        + StopReason.allCases.map { .stop(attempt: 8, reason: $0) }

    static let launcherMessages: [LauncherMessage] =
        [
            .ready(version: 1, pid: 4711),
            .executing(attempt: 1 << 33),
            .started(attempt: 1, pid: 4712, startTime: 99),
            .output(attempt: 1, stream: .stdout, offset: 17, bytes: [0, 10, 255]),
            .output(attempt: 1, stream: .stderr, offset: 0, bytes: []),
            .event(attempt: 1, line: Array("{}".utf8), truncated: false, length: 2),
            .event(attempt: 1, line: [1], truncated: true, length: 1 << 33),
            .denied(attempt: 1, syscall: 83, count: 100_000),
            .leftBehind(attempt: 1, processes: 3, holdsPipes: true),
            .finished(attempt: 1, outcome: LaunchOutcome(ending: .exited(code: 75))),
            .finished(attempt: 1, outcome: fullOutcome),
            .challenge(nonce: secret),
            .adopted(proof: secret, state: state),
            .adopted(proof: secret, state: stateBeforeExec),
        ] + LaunchStage.allCases.map { .refused(attempt: 2, stage: $0, errno: 2, detail: "/a/ü") }

    static let state = AttemptState(
        task: "0190b5a0-0000-7000-8000-000000000000",
        attempt: 3,
        process: .init(pid: 4713, startTime: 100),
        stdout: .init(produced: 10, acknowledged: 5, dropped: 2),
        stderr: .init(produced: UInt64(Int64.max), acknowledged: 0, dropped: 0),
        refusedVisitors: 4
    )

    static var stateBeforeExec: AttemptState {
        var state = state
        state.process = nil
        return state
    }

    static var fullOutcome: LaunchOutcome {
        var outcome = LaunchOutcome(ending: .signaled(signal: 9), stop: .syscallDenied)
        outcome.killedBySyscall = 101
        outcome.stdoutBytes = 1
        outcome.stderrBytes = 2
        outcome.stdoutDroppedBytes = 3
        outcome.stderrDroppedBytes = 4
        outcome.drainIncomplete = true
        outcome.eventLinesTruncated = 5
        outcome.eventLinesDropped = 6
        outcome.deniedTotal = 7
        outcome.deniedUnnamed = 8
        outcome.oomKills = 9
        outcome.survivors = 10
        outcome.wallNanoseconds = 11
        outcome.userMicroseconds = 12
        outcome.systemMicroseconds = 13
        outcome.maxRSSBytes = 14
        return outcome
    }

    @Test("every message of a supervisor comes back as it went", arguments: supervisorMessages)
    func supervisorRoundTrip(message: SupervisorMessage) throws {
        #expect(try MessageCodec.supervisorMessage(MessageCodec.encode(message)[...]) == message)
    }

    @Test("every message of a launcher comes back as it went", arguments: launcherMessages)
    func launcherRoundTrip(message: LauncherMessage) throws {
        #expect(try MessageCodec.launcherMessage(MessageCodec.encode(message)[...]) == message)
    }

    @Test("a message that lacks its end is truncated", arguments: supervisorMessages)
    func truncated(message: SupervisorMessage) {
        let bytes = MessageCodec.encode(message)
        for count in 0..<bytes.count {
            #expect(throws: CodecError.self) { try MessageCodec.supervisorMessage(bytes[..<count]) }
        }
    }

    @Test("whatever one byte is changed to, a message is rejected or encodes to the same bytes again")
    func everyByte() {
        let messages =
            Self.supervisorMessages.map(MessageCodec.encode) + Self.launcherMessages.map(MessageCodec.encode)
        for message in messages {
            for index in message.indices {
                for other in [0, 1, 2, 0x7f, 0x80, 0xff, message[index] ^ 0x10] {
                    var bytes = message
                    bytes[index] = other
                    if let read = try? MessageCodec.supervisorMessage(bytes[...]) {
                        #expect(MessageCodec.encode(read) == bytes, "byte \(index) as \(other)")
                    }
                    if let read = try? MessageCodec.launcherMessage(bytes[...]) {
                        #expect(MessageCodec.encode(read) == bytes, "byte \(index) as \(other)")
                    }
                }
            }
        }
    }

    @Test("bytes after the last field are rejected", arguments: supervisorMessages)
    func trailing(message: SupervisorMessage) {
        let bytes = MessageCodec.encode(message) + [0]
        #expect(throws: CodecError.trailingBytes(count: 1)) { try MessageCodec.supervisorMessage(bytes[...]) }
    }

    @Test("a message that comes the wrong way round is of unknown kind")
    func wrongDirection() {
        let bytes = MessageCodec.encode(LauncherMessage.ready(version: 1, pid: 1))
        #expect(throws: CodecError.unknownKind(found: 65)) { try MessageCodec.supervisorMessage(bytes[...]) }
        let other = MessageCodec.encode(SupervisorMessage.outcomeAck(attempt: 1))
        #expect(throws: CodecError.unknownKind(found: 5)) { try MessageCodec.launcherMessage(other[...]) }
    }

    @Test("another version is rejected by its number")
    func version() {
        var bytes = MessageCodec.encode(SupervisorMessage.outcomeAck(attempt: 1))
        bytes[4] = 9
        #expect(throws: CodecError.unknownVersion(found: 9)) {
            try MessageCodec.supervisorMessage(bytes[...])
        }
    }

    @Test("another magic number is rejected")
    func magic() {
        #expect(throws: CodecError.wrongMagic(found: 0)) {
            try MessageCodec.supervisorMessage([0, 0, 0, 0, 1, 0, 1])
        }
    }

    @Test("a value without meaning is rejected by its field")
    func unknownValue() {
        var bytes = MessageCodec.encode(SupervisorMessage.stop(attempt: 1, reason: .timeout))
        bytes[bytes.count - 1] = 99
        #expect(throws: CodecError.unknownValue(field: "reason", value: 99)) {
            try MessageCodec.supervisorMessage(bytes[...])
        }
    }

    @Test(
        "a number that nobody could count on from is rejected by its field",
        arguments: [
            (LauncherMessage.output(attempt: 1, stream: .stdout, offset: 1 << 63, bytes: []), "offset"),
            (.output(attempt: 1, stream: .stdout, offset: (1 << 63) - 2, bytes: [1, 2]), "offset"),
            (.event(attempt: 1, line: [], truncated: true, length: .max), "line length"),
            (.denied(attempt: 1, syscall: 1, count: .max), "count"),
            (.started(attempt: 1, pid: -1, startTime: 1), "pid"),
            (.ready(version: 1, pid: 0), "pid"),
            (.finished(attempt: 1, outcome: beyondCounting), "largest resident set"),
        ]
    )
    func unusableNumber(message: LauncherMessage, field: String) {
        let error = #expect(throws: CodecError.self) {
            try MessageCodec.launcherMessage(MessageCodec.encode(message)[...])
        }
        guard case .unknownValue(field, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    private static var beyondCounting: LaunchOutcome {
        var outcome = fullOutcome
        outcome.maxRSSBytes = 1 << 63
        return outcome
    }

    @Test("a spec size beyond its bound is rejected before anything is read")
    func specSize() {
        let header = LaunchHeader(attempt: 1, specBytes: UInt32(LaunchLimits.specBytes) + 1)
        #expect(throws: CodecError.self) {
            try MessageCodec.supervisorMessage(MessageCodec.encode(.launch(header))[...])
        }
    }

    @Test("output beyond one packet's payload is rejected")
    func outputTooLong() {
        let bytes = [UInt8](repeating: 0, count: LaunchLimits.outputPacketBytes + 1)
        let packet = MessageCodec.encode(.output(attempt: 1, stream: .stdout, offset: 0, bytes: bytes))
        #expect(throws: CodecError.self) { try MessageCodec.launcherMessage(packet[...]) }
    }

    @Test("the longest message fits the packet bound")
    func packetBound() {
        let line = [UInt8](repeating: 0, count: LaunchLimits.eventLineCeiling)
        let event = MessageCodec.encode(.event(attempt: 1, line: line, truncated: false, length: 1))
        #expect(event.count <= LaunchLimits.packetBytes)
    }

    @Test("a detail that is too long is cut, not refused")
    func longDetail() throws {
        let detail = String(repeating: "ü", count: LaunchLimits.detailBytes)
        let packet = MessageCodec.encode(.refused(attempt: 1, stage: .exec, errno: 2, detail: detail))
        guard case .refused(_, _, _, let cut) = try MessageCodec.launcherMessage(packet[...]) else {
            Issue.record("another message")
            return
        }
        #expect(cut.utf8.count <= LaunchLimits.detailBytes)
        #expect(detail.hasPrefix(cut))
    }
}
