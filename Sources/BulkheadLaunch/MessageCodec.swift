/// Bytes of one packet to a message and back.
///
/// A packet is little-endian: magic (u32), version (u16), kind (u8), then the kind's fields. Kinds of the two
/// directions differ, so that a message that comes the wrong way round is unknown.
public enum MessageCodec {
    static let magic: UInt32 = 0x4C4B_4842  // "BHKL"

    enum SupervisorKind: UInt8 {
        case prepare = 1, launch, stop, outputAck, outcomeAck, eventAck, dismiss, adopt, resume
    }

    enum LauncherKind: UInt8 {
        case ready = 65, started, output, event, denied, finished, refused, challenge, adopted, executing,
            leftBehind
    }

    /// The bytes of a supervisor's message.
    public static func encode(_ message: SupervisorMessage) -> [UInt8] {
        switch message {
        case .prepare(let preparation):
            var writer = header(SupervisorKind.prepare.rawValue)
            writer.put(preparation.version)
            writer.put(preparation.slot)
            writer.put(preparation.secret)
            writer.put(preparation.name)
            return writer.bytes
        case .launch(let launch):
            var writer = header(SupervisorKind.launch.rawValue)
            writer.put(launch.attempt)
            writer.put(launch.specBytes)
            return writer.bytes
        case .stop(let attempt, let reason):
            var writer = header(SupervisorKind.stop.rawValue)
            writer.put(attempt)
            writer.put(reason.rawValue)
            return writer.bytes
        case .outputAck(let attempt, let stream, let offset):
            var writer = header(SupervisorKind.outputAck.rawValue)
            writer.put(attempt)
            writer.put(stream.rawValue)
            writer.put(offset)
            return writer.bytes
        case .outcomeAck(let attempt):
            var writer = header(SupervisorKind.outcomeAck.rawValue)
            writer.put(attempt)
            return writer.bytes
        case .eventAck(let attempt, let meanings):
            var writer = header(SupervisorKind.eventAck.rawValue)
            writer.put(attempt)
            writer.put(meanings.map(\.rawValue))
            return writer.bytes
        case .dismiss:
            return header(SupervisorKind.dismiss.rawValue).bytes
        case .adopt(let nonce, let proof):
            var writer = header(SupervisorKind.adopt.rawValue)
            writer.put(nonce)
            writer.put(proof)
            return writer.bytes
        case .resume(let attempt, let stdout, let stderr):
            var writer = header(SupervisorKind.resume.rawValue)
            writer.put(attempt)
            writer.put(stdout)
            writer.put(stderr)
            return writer.bytes
        }
    }

    /// The bytes of a launcher's message.
    public static func encode(_ message: LauncherMessage) -> [UInt8] {
        switch message {
        case .ready(let version, let pid):
            var writer = header(LauncherKind.ready.rawValue)
            writer.put(version)
            writer.put(pid)
            return writer.bytes
        case .executing(let attempt):
            var writer = header(LauncherKind.executing.rawValue)
            writer.put(attempt)
            return writer.bytes
        case .started(let attempt, let pid, let startTime):
            var writer = header(LauncherKind.started.rawValue)
            writer.put(attempt)
            writer.put(pid)
            writer.put(startTime)
            return writer.bytes
        case .output(let attempt, let stream, let offset, let bytes):
            var writer = header(LauncherKind.output.rawValue, payload: bytes.count)
            writer.put(attempt)
            writer.put(stream.rawValue)
            writer.put(offset)
            writer.putRest(bytes)
            return writer.bytes
        case .event(let attempt, let line, let truncated, let length):
            var writer = header(LauncherKind.event.rawValue, payload: line.count)
            writer.put(attempt)
            writer.put(truncated)
            writer.put(length)
            writer.putRest(line)
            return writer.bytes
        case .denied(let attempt, let syscall, let count):
            var writer = header(LauncherKind.denied.rawValue)
            writer.put(attempt)
            writer.put(syscall)
            writer.put(count)
            return writer.bytes
        case .leftBehind(let attempt, let processes, let holdsPipes):
            var writer = header(LauncherKind.leftBehind.rawValue)
            writer.put(attempt)
            writer.put(processes)
            writer.put(holdsPipes)
            return writer.bytes
        case .finished(let attempt, let outcome):
            var writer = header(LauncherKind.finished.rawValue)
            writer.put(attempt)
            outcome.write(to: &writer)
            return writer.bytes
        case .refused(let attempt, let stage, let errno, let detail):
            var writer = header(LauncherKind.refused.rawValue)
            writer.put(attempt)
            writer.put(stage.rawValue)
            writer.put(errno)
            writer.put(bounded(detail))
            return writer.bytes
        case .challenge(let nonce):
            var writer = header(LauncherKind.challenge.rawValue)
            writer.put(nonce)
            return writer.bytes
        case .adopted(let proof, let state):
            var writer = header(LauncherKind.adopted.rawValue)
            writer.put(state.attempt)
            writer.put(proof)
            state.write(to: &writer)
            return writer.bytes
        }
    }

    /// Reads a supervisor's message from one whole packet.
    ///
    /// - Parameter packet: The packet's bytes, all of them.
    /// - Returns: The message.
    /// - Throws: What is wrong with the bytes.
    public static func supervisorMessage(_ packet: ArraySlice<UInt8>) throws(CodecError) -> SupervisorMessage
    {
        var reader = ByteReader(packet)
        let message = try supervisorMessage(kind: try kind(&reader), &reader)
        try reader.end()
        return message
    }

    /// Reads a launcher's message from one whole packet.
    ///
    /// - Parameter packet: The packet's bytes, all of them.
    /// - Returns: The message.
    /// - Throws: What is wrong with the bytes.
    public static func launcherMessage(_ packet: ArraySlice<UInt8>) throws(CodecError) -> LauncherMessage {
        var reader = ByteReader(packet)
        let message = try launcherMessage(kind: try kind(&reader), &reader)
        try reader.end()
        return message
    }

    private static func header(_ kind: UInt8, payload: Int = 0) -> ByteWriter {
        var writer = ByteWriter(reserving: 64 + payload)
        writer.put(magic)
        writer.put(LaunchLimits.protocolVersion)
        writer.put(kind)
        return writer
    }

    private static func kind(_ reader: inout ByteReader) throws(CodecError) -> UInt8 {
        let found = try reader.number(UInt32.self, "magic")
        guard found == magic else { throw .wrongMagic(found: found) }
        let version = try reader.number(UInt16.self, "version")
        guard version == LaunchLimits.protocolVersion else { throw .unknownVersion(found: version) }
        return try reader.number(UInt8.self, "kind")
    }

    /// A detail is words for people: its end may go, the message may not.
    private static func bounded(_ detail: String) -> String {
        guard detail.utf8.count > LaunchLimits.detailBytes else { return detail }
        return String(decoding: detail.utf8.prefix(LaunchLimits.detailBytes - 4), as: UTF8.self)
    }

    private static func supervisorMessage(
        kind: UInt8,
        _ reader: inout ByteReader
    ) throws(CodecError) -> SupervisorMessage {
        switch SupervisorKind(rawValue: kind) {
        case .prepare:
            let version = try reader.number(UInt16.self, "version")
            let slot = try reader.number(UInt32.self, "slot")
            let secret = try reader.bytes("secret", limit: LaunchLimits.secretBytes)
            guard secret.count == LaunchLimits.secretBytes else { throw .truncated(field: "secret") }
            let name = try reader.kernelText("name", limit: LaunchLimits.nameBytes)
            return .prepare(Preparation(version: version, slot: slot, secret: secret, name: name))
        case .launch:
            let attempt = try reader.number(UInt64.self, "attempt")
            let size = try reader.number(UInt32.self, "spec size")
            guard size <= LaunchLimits.specBytes else {
                throw .tooLong(field: "spec", bytes: UInt64(size), limit: UInt64(LaunchLimits.specBytes))
            }
            return .launch(LaunchHeader(attempt: attempt, specBytes: size))
        case .stop:
            return .stop(
                attempt: try reader.number(UInt64.self, "attempt"),
                reason: try reader.value(StopReason.self, "reason")
            )
        case .outputAck:
            return .outputAck(
                attempt: try reader.number(UInt64.self, "attempt"),
                stream: try reader.value(OutputStream.self, "stream"),
                offset: try reader.number(UInt64.self, "offset")
            )
        case .outcomeAck:
            return .outcomeAck(attempt: try reader.number(UInt64.self, "attempt"))
        case .eventAck:
            let attempt = try reader.number(UInt64.self, "attempt")
            return .eventAck(attempt: attempt, meanings: try meanings(&reader))
        case .dismiss:
            return .dismiss
        case .adopt:
            return .adopt(
                nonce: try reader.whole("nonce", count: LaunchLimits.nonceBytes),
                proof: try reader.whole("proof", count: LaunchLimits.proofBytes)
            )
        case .resume:
            return .resume(
                attempt: try reader.number(UInt64.self, "attempt"),
                stdout: try reader.number(UInt64.self, "offset of stdout"),
                stderr: try reader.number(UInt64.self, "offset of stderr")
            )
        case nil:
            throw .unknownKind(found: kind)
        }
    }

    private static func meanings(_ reader: inout ByteReader) throws(CodecError) -> [EventMeaning] {
        var meanings: [EventMeaning] = []
        for raw in try reader.bytes("meanings", limit: LaunchLimits.eventAckLines) {
            guard let meaning = EventMeaning(rawValue: raw) else {
                throw .unknownValue(field: "meaning", value: UInt64(raw))
            }
            meanings.append(meaning)
        }
        return meanings
    }

    private static func launcherMessage(
        kind: UInt8,
        _ reader: inout ByteReader
    ) throws(CodecError) -> LauncherMessage {
        guard let known = LauncherKind(rawValue: kind) else { throw .unknownKind(found: kind) }
        if known == .ready {
            let version = try reader.number(UInt16.self, "version")
            return .ready(version: version, pid: try reader.process("pid"))
        }
        if known == .challenge {
            return .challenge(nonce: try reader.whole("nonce", count: LaunchLimits.nonceBytes))
        }
        let attempt = try reader.number(UInt64.self, "attempt")
        switch known {
        case .adopted:
            let proof = try reader.whole("proof", count: LaunchLimits.proofBytes)
            return .adopted(proof: proof, state: try AttemptState(attempt: attempt, from: &reader))
        case .executing: return .executing(attempt: attempt)
        case .ready, .challenge, .started:
            let pid = try reader.process("pid")
            let startTime = try reader.number(UInt64.self, "start time")
            return .started(attempt: attempt, pid: pid, startTime: startTime)
        case .output:
            let stream = try reader.value(OutputStream.self, "stream")
            let offset = try reader.count("offset")
            let bytes = try reader.remaining("output", limit: LaunchLimits.outputPacketBytes)
            guard offset + UInt64(bytes.count) <= UInt64(Int64.max) else {
                throw .unknownValue(field: "offset", value: offset)
            }
            return .output(attempt: attempt, stream: stream, offset: offset, bytes: bytes)
        case .event:
            let truncated = try reader.flag("truncated")
            let length = try reader.count("line length")
            let line = try reader.remaining("event line", limit: LaunchLimits.eventLineCeiling)
            return .event(attempt: attempt, line: line, truncated: truncated, length: length)
        case .denied:
            let syscall = try reader.number(UInt32.self, "system call")
            let count = try reader.count("count")
            return .denied(attempt: attempt, syscall: syscall, count: count)
        case .leftBehind:
            let processes = try reader.number(UInt32.self, "processes")
            let holdsPipes = try reader.flag("held pipes")
            return .leftBehind(attempt: attempt, processes: processes, holdsPipes: holdsPipes)
        case .finished:
            return .finished(attempt: attempt, outcome: try LaunchOutcome(from: &reader))
        case .refused:
            let stage = try reader.value(LaunchStage.self, "stage")
            let errno = try reader.signed("errno")
            let detail = try reader.text("detail", limit: LaunchLimits.detailBytes)
            return .refused(attempt: attempt, stage: stage, errno: errno, detail: detail)
        }
    }
}

extension AttemptState {
    fileprivate func write(to writer: inout ByteWriter) {
        writer.put(task)
        writer.put(process) { writer, process in
            writer.put(process.pid)
            writer.put(process.startTime)
        }
        for stream in [stdout, stderr] {
            writer.put(stream.produced)
            writer.put(stream.acknowledged)
            writer.put(stream.dropped)
        }
        writer.put(refusedVisitors)
    }

    fileprivate init(attempt: UInt64, from reader: inout ByteReader) throws(CodecError) {
        self.attempt = attempt
        task = try reader.text("task", limit: LaunchLimits.nameBytes)
        process = try reader.optional("process") { reader throws(CodecError) in
            Process(
                pid: try reader.process("pid"),
                startTime: try reader.number(UInt64.self, "start time")
            )
        }
        stdout = try Self.stream(&reader)
        stderr = try Self.stream(&reader)
        refusedVisitors = try reader.count("refused visitors")
    }

    private static func stream(_ reader: inout ByteReader) throws(CodecError) -> Stream {
        Stream(
            produced: try reader.count("produced"),
            acknowledged: try reader.count("acknowledged"),
            dropped: try reader.count("dropped")
        )
    }
}
