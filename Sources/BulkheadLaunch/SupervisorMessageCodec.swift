extension SupervisorMessage {
    fileprivate enum Kind: UInt8 {
        case prepare = 1, launch, stop, outputAck, outcomeAck, eventAck, dismiss, adopt, resume
    }

    func write(to writer: inout ByteWriter) {
        switch self {
        case .prepare(let preparation):
            writer.put(Kind.prepare.rawValue)
            writer.put(preparation.version)
            writer.put(preparation.slot)
            writer.put(preparation.secret)
            writer.put(preparation.name)
        case .launch(let launch):
            writer.put(Kind.launch.rawValue)
            writer.put(launch.attempt)
            writer.put(launch.specBytes)
        case .stop(let attempt, let reason):
            writer.put(Kind.stop.rawValue)
            writer.put(attempt)
            writer.put(reason.rawValue)
        case .outputAck(let attempt, let stream, let offset):
            writer.put(Kind.outputAck.rawValue)
            writer.put(attempt)
            writer.put(stream.rawValue)
            writer.put(offset)
        case .outcomeAck(let attempt):
            writer.put(Kind.outcomeAck.rawValue)
            writer.put(attempt)
        case .eventAck(let attempt, let meanings):
            writer.put(Kind.eventAck.rawValue)
            writer.put(attempt)
            writer.put(meanings.map(\.rawValue))
        case .dismiss:
            writer.put(Kind.dismiss.rawValue)
        case .adopt(let nonce, let proof):
            writer.put(Kind.adopt.rawValue)
            writer.put(nonce)
            writer.put(proof)
        case .resume(let attempt, let stdout, let stderr):
            writer.put(Kind.resume.rawValue)
            writer.put(attempt)
            writer.put(stdout)
            writer.put(stderr)
        }
    }

    init(from reader: inout ByteReader) throws(CodecError) {
        let kind = try reader.number(UInt8.self, "kind")
        switch Kind(rawValue: kind) {
        case .prepare:
            let version = try reader.number(UInt16.self, "version")
            let slot = try reader.number(UInt32.self, "slot")
            let secret = try reader.bytes("secret", limit: LaunchLimits.secretBytes)
            guard secret.count == LaunchLimits.secretBytes else { throw .truncated(field: "secret") }
            let name = try reader.kernelText("name", limit: LaunchLimits.nameBytes)
            self = .prepare(Preparation(version: version, slot: slot, secret: secret, name: name))
        case .launch:
            let attempt = try reader.number(UInt64.self, "attempt")
            let size = try reader.number(UInt32.self, "spec size")
            guard size <= LaunchLimits.specBytes else {
                throw .tooLong(field: "spec", bytes: UInt64(size), limit: UInt64(LaunchLimits.specBytes))
            }
            self = .launch(LaunchHeader(attempt: attempt, specBytes: size))
        case .stop:
            self = .stop(
                attempt: try reader.number(UInt64.self, "attempt"),
                reason: try reader.value(StopReason.self, "reason")
            )
        case .outputAck:
            self = .outputAck(
                attempt: try reader.number(UInt64.self, "attempt"),
                stream: try reader.value(OutputStream.self, "stream"),
                offset: try reader.number(UInt64.self, "offset")
            )
        case .outcomeAck:
            self = .outcomeAck(attempt: try reader.number(UInt64.self, "attempt"))
        case .eventAck:
            let attempt = try reader.number(UInt64.self, "attempt")
            self = .eventAck(attempt: attempt, meanings: try Self.meanings(&reader))
        case .dismiss:
            self = .dismiss
        case .adopt:
            self = .adopt(
                nonce: try reader.whole("nonce", count: LaunchLimits.nonceBytes),
                proof: try reader.whole("proof", count: LaunchLimits.proofBytes)
            )
        case .resume:
            self = .resume(
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
}
