import BulkheadLaunch

/// What libFuzzer calls with every input: no bytes may trap a decoder, and what one accepts must encode to the
/// very same bytes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzLaunchMessage(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    if let message = try? MessageCodec.supervisorMessage(bytes[...]) {
        precondition(MessageCodec.encode(message) == bytes)
    }
    if let message = try? MessageCodec.launcherMessage(bytes[...]) {
        precondition(MessageCodec.encode(message) == bytes)
    }
    if let spec = try? LaunchSpec(decoding: bytes[...]) {
        precondition((try? spec.encoded()) == bytes)
    }
    fuzzRecord(bytes)
    if let reports = try? ChildReport.reports(in: bytes[...]) {
        precondition(reports.flatMap(\.bytes) == bytes)
    }
    _ = ProcessStat(bytes[...])
    _ = CgroupOOM.kills(in: bytes[...])
    fuzzLines(bytes)
    return 0
}

/// A record is read with the checksum that its other bytes have, which no mutation would ever meet.
private func fuzzRecord(_ bytes: [UInt8]) {
    let whole = OutcomeRecord.sealed(bytes.dropLast(8))
    if let record = try? OutcomeRecord(decoding: whole[...]) {
        precondition(record.encoded() == whole)
    }
    if let record = try? OutcomeRecord(decoding: bytes[...]) {
        precondition(record.encoded() == bytes)
    }
}

/// Lines must be the same however the bytes were cut.
private func fuzzLines(_ bytes: [UInt8]) {
    var whole = EventLines(bound: 8, head: 3)
    var cut = EventLines(bound: 8, head: 3)
    var wholeLines = whole.append(bytes[...])
    var cutLines = bytes.indices.flatMap { cut.append(bytes[$0...$0]) }
    if let line = whole.finish() { wholeLines.append(line) }
    if let line = cut.finish() { cutLines.append(line) }
    precondition(wholeLines == cutLines)
}
