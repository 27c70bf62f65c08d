extension LaunchOutcome {
    func write(to writer: inout ByteWriter) {
        switch ending {
        case .exited(let code):
            writer.put(UInt8(1))
            writer.put(code)
        case .signaled(let signal):
            writer.put(UInt8(2))
            writer.put(signal)
        }
        writer.put(stop) { $0.put($1.rawValue) }
        writer.put(killedBySyscall) { $0.put($1) }
        for number in [stdoutBytes, stderrBytes, stdoutDroppedBytes, stderrDroppedBytes] {
            writer.put(number)
        }
        writer.put(drainIncomplete)
        for number in [eventLinesTruncated, eventLinesDropped, deniedTotal, deniedUnnamed, oomKills] {
            writer.put(number)
        }
        writer.put(survivors)
        for number in [wallNanoseconds, userMicroseconds, systemMicroseconds, maxRSSBytes] {
            writer.put(number)
        }
    }

    init(from reader: inout ByteReader) throws(CodecError) {
        let kind = try reader.number(UInt8.self, "ending")
        let value = try reader.signed("ending")
        switch kind {
        case 1: self.init(ending: .exited(code: value))
        case 2: self.init(ending: .signaled(signal: value))
        default: throw .unknownValue(field: "ending", value: UInt64(kind))
        }
        stop = try reader.optional("stop") { reader throws(CodecError) in
            try reader.value(StopReason.self, "stop")
        }
        killedBySyscall = try reader.optional("killing call") { reader throws(CodecError) in
            try reader.number(UInt32.self, "killing call")
        }
        stdoutBytes = try reader.count("stdout bytes")
        stderrBytes = try reader.count("stderr bytes")
        stdoutDroppedBytes = try reader.count("dropped stdout bytes")
        stderrDroppedBytes = try reader.count("dropped stderr bytes")
        drainIncomplete = try reader.flag("incomplete drain")
        eventLinesTruncated = try reader.count("truncated event lines")
        eventLinesDropped = try reader.count("dropped event lines")
        deniedTotal = try reader.count("denied calls")
        deniedUnnamed = try reader.count("unnamed denied calls")
        oomKills = try reader.count("out-of-memory kills")
        survivors = try reader.number(UInt32.self, "survivors")
        wallNanoseconds = try reader.count("wall time")
        userMicroseconds = try reader.count("user time")
        systemMicroseconds = try reader.count("system time")
        maxRSSBytes = try reader.count("largest resident set")
    }
}
