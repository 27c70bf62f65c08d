extension LauncherMessage {
    fileprivate enum Kind: UInt8 {
        case ready = 65, started, output, event, denied, finished, refused, challenge, adopted, executing,
            leftBehind
    }

    /// The bytes that a message may have beyond its fixed fields, to take its memory in one piece.
    var payloadBytes: Int {
        switch self {
        case .output(_, _, _, let bytes): bytes.count
        case .event(_, let line, _, _): line.count
        default: 0
        }
    }

    func write(to writer: inout ByteWriter) {
        switch self {
        case .ready(let version, let pid):
            writer.put(Kind.ready.rawValue)
            writer.put(version)
            writer.put(pid)
        case .executing(let attempt):
            writer.put(Kind.executing.rawValue)
            writer.put(attempt)
        case .started(let attempt, let pid, let startTime):
            writer.put(Kind.started.rawValue)
            writer.put(attempt)
            writer.put(pid)
            writer.put(startTime)
        case .output(let attempt, let stream, let offset, let bytes):
            writer.put(Kind.output.rawValue)
            writer.put(attempt)
            writer.put(stream.rawValue)
            writer.put(offset)
            writer.putRest(bytes)
        case .event(let attempt, let line, let truncated, let length):
            writer.put(Kind.event.rawValue)
            writer.put(attempt)
            writer.put(truncated)
            writer.put(length)
            writer.putRest(line)
        case .denied(let attempt, let syscall, let count):
            writer.put(Kind.denied.rawValue)
            writer.put(attempt)
            writer.put(syscall)
            writer.put(count)
        case .leftBehind(let attempt, let processes, let holdsPipes):
            writer.put(Kind.leftBehind.rawValue)
            writer.put(attempt)
            writer.put(processes)
            writer.put(holdsPipes)
        case .finished(let attempt, let outcome):
            writer.put(Kind.finished.rawValue)
            writer.put(attempt)
            outcome.write(to: &writer)
        case .refused(let attempt, let stage, let errno, let detail):
            writer.put(Kind.refused.rawValue)
            writer.put(attempt)
            writer.put(stage.rawValue)
            writer.put(errno)
            writer.put(Self.bounded(detail))
        case .challenge(let nonce):
            writer.put(Kind.challenge.rawValue)
            writer.put(nonce)
        case .adopted(let proof, let state):
            writer.put(Kind.adopted.rawValue)
            writer.put(state.attempt)
            writer.put(proof)
            state.write(to: &writer)
        }
    }

    init(from reader: inout ByteReader) throws(CodecError) {
        let kind = try reader.number(UInt8.self, "kind")
        switch Kind(rawValue: kind) {
        case .ready:
            let version = try reader.number(UInt16.self, "version")
            self = .ready(version: version, pid: try reader.process("pid"))
        case .challenge:
            self = .challenge(nonce: try reader.whole("nonce", count: LaunchLimits.nonceBytes))
        case .some(let kind):
            let attempt = try reader.number(UInt64.self, "attempt")
            self = try Self.message(kind, of: attempt, &reader)
        case nil:
            throw .unknownKind(found: kind)
        }
    }

    private static func message(
        _ kind: Kind,
        of attempt: UInt64,
        _ reader: inout ByteReader
    ) throws(CodecError) -> Self {
        switch kind {
        case .ready, .challenge: throw .unknownKind(found: kind.rawValue)
        case .executing: return .executing(attempt: attempt)
        case .started:
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
        case .adopted:
            let proof = try reader.whole("proof", count: LaunchLimits.proofBytes)
            return .adopted(proof: proof, state: try AttemptState(attempt: attempt, from: &reader))
        }
    }

    /// A detail is words for people: its end may go, the message may not.
    private static func bounded(_ detail: String) -> String {
        guard detail.utf8.count > LaunchLimits.detailBytes else { return detail }
        return String(decoding: detail.utf8.prefix(LaunchLimits.detailBytes - 4), as: UTF8.self)
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
