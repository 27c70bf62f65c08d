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
        stdoutBytes = try reader.number(UInt64.self, "stdout bytes")
        stderrBytes = try reader.number(UInt64.self, "stderr bytes")
        stdoutDroppedBytes = try reader.number(UInt64.self, "dropped stdout bytes")
        stderrDroppedBytes = try reader.number(UInt64.self, "dropped stderr bytes")
        drainIncomplete = try reader.flag("incomplete drain")
        eventLinesTruncated = try reader.number(UInt64.self, "truncated event lines")
        eventLinesDropped = try reader.number(UInt64.self, "dropped event lines")
        deniedTotal = try reader.number(UInt64.self, "denied calls")
        deniedUnnamed = try reader.number(UInt64.self, "unnamed denied calls")
        oomKills = try reader.number(UInt64.self, "out-of-memory kills")
        survivors = try reader.number(UInt32.self, "survivors")
        wallNanoseconds = try reader.number(UInt64.self, "wall time")
        userMicroseconds = try reader.number(UInt64.self, "user time")
        systemMicroseconds = try reader.number(UInt64.self, "system time")
        maxRSSBytes = try reader.number(UInt64.self, "largest resident set")
    }
}
