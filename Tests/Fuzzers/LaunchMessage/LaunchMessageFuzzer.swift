import BulkheadLaunch

@testable import BulkheadHost

/// What libFuzzer calls with every input: no bytes may trap a decoder, and what one accepts must encode to the
/// very same bytes; nor may a handler's file or the kernel's own tables trap who reads them.
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
    fuzzFile(bytes)
    fuzzTables(String(decoding: bytes, as: UTF8.self))
    return 0
}

/// A handler's first bytes; sizes beyond them are those of a file that goes on.
private func fuzzFile(_ bytes: [UInt8]) {
    for size in [UInt64(bytes.count), .max] {
        if ELFHeader.isELF(bytes) { _ = try? ELFHeader.read(bytes, size: size) }
        let header = [0x7F, 0x45, 0x4C, 0x46, 2, 1] + bytes
        if let read = try? ELFHeader.read(header, size: max(size, UInt64(header.count))) {
            precondition((read.interpreter?.utf8.count ?? 0) <= header.count * 3)
        }
    }
    guard let line = try? Shebang.read(Array("#!".utf8) + bytes) else { return }
    precondition(line.interpreter.utf8.first == UInt8(ascii: "/") && line.argument != "")
    if case .program(let name, _) = line.envCommand { precondition(!name.contains("=")) }
}

private func fuzzTables(_ text: String) {
    _ = CgroupLayout.parse(mountInfo: text, membership: text)
    _ = MountTable.parse(text)
    _ = HostFeatures.effectiveCapabilities(status: text)
    if let report = NamespaceReport(text: text) { precondition(NamespaceReport(text: report.text) == report) }
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
