import BulkheadAPI
import BulkheadCore

/// Reads arbitrary bytes as each part of a request that the API reads by itself: body, query, ids, names, times,
/// sizes, cursors, messages' names; and as what a handler says on its event channel and `runtime.json`, which are of
/// the same words.
///
/// Nothing may trap, every refusal is the caller's fault and says something of bounded length, and what is taken is
/// the same when it is written and read again.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRequest(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    fuzzBody(bytes)
    fuzzEvents(bytes)
    fuzzPools(bytes)
    guard let text = String(validating: bytes, as: UTF8.self) else { return 0 }
    fuzzQuery(text)
    fuzzNames(text)
    fuzzPlaces(text)
    fuzzQuantities(text)
    return 0
}

private func fuzzBody(_ bytes: [UInt8]) {
    guard let id = taken({ try TaskID("00000000-0000-7000-8000-000000000000") }) else { return }
    let submission = taken { try SubmissionJSON.submission(bytes) { id } }
    let batch = Array("{\"tasks\": [".utf8) + bytes + Array("]}".utf8)
    let tasks = taken { try SubmissionJSON.batch(batch) { id } }
    if let submission {
        precondition(tasks?.count == 1, "what is a task alone is none in a batch")
        precondition((try? tasks?.first?.get()) == submission, "a task is another one in a batch")
    }
    _ = taken { try SubmissionJSON.batch(bytes) { id } }
    if let names = taken({ try OutboxJSON.messageIDs(bytes) }) {
        precondition(names.count <= Limits.acknowledgedMessages)
    }
}

/// A handler's lines: whatever they are, what is kept of them is bounded.
private func fuzzEvents(_ bytes: [UInt8]) {
    let limit = 64
    var events = HandlerEvents(resultLimit: limit)
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
        events.take(Array(line), length: line.count)
        events.take(Array(line), length: line.count + 100)
    }
    let most = limit + Limits.resultHeadSlackBytes
    precondition((events.result?["head"]?.string?.utf8.count ?? 0) <= most, "a cut result is too long")
    precondition((events.error?.message.utf8.count ?? 0) <= Limits.messageBytes)
    precondition((events.error?.hint?.utf8.count ?? 0) <= Limits.hintBytes)
    precondition((events.progress?.message?.utf8.count ?? 0) <= Limits.messageBytes)
    precondition(events.progress?.fraction.map { (0...1).contains($0) } ?? true)
    precondition(events.warnings.kept.count <= Limits.warnings)
    precondition(events.warnings.kept.allSatisfy { $0.utf8.count <= Limits.warningBytes })
}

private func fuzzPools(_ bytes: [UInt8]) {
    guard let pools = try? PoolHealthText.read(bytes) else { return }
    let written = PoolHealthText.bytes(of: pools) ?? []
    let again = written.isEmpty ? [:] : try? PoolHealthText.read(written)
    precondition(again == pools.filter { $0.value != PoolHealth() }, "pools changed by being written")
}

private func fuzzQuery(_ text: String) {
    let names = ["id", "wait", "limit", "status", "flag"]
    guard let query = taken({ try Query(text, names: names) }) else { return }
    for name in names {
        _ = taken { try query.flag(name) }
        if let number = taken({ try query.number(name, in: 1...1_000) }) {
            precondition(number.map { (1...1_000).contains($0) } ?? true)
        }
        if let word = taken({ try query.word(name, as: TaskStatus.self) }) {
            precondition(word?.rawValue == query.text(name))
        }
        if let duration = taken({ try query.duration(name) }) {
            precondition(duration.map { $0 >= .zero && $0 <= .seconds(Limits.waitSeconds) } ?? true)
        }
        if let value = query.text(name) { fuzzNames(value) }
    }
}

private func fuzzNames(_ text: String) {
    if let id = taken({ try TaskID(text) }) {
        precondition(id.text.utf8.elementsEqual(text.lowercased().utf8) && TaskID.isBeginning(text))
    }
    if let type = taken({ try TaskType(text) }) {
        precondition(type.name.utf8.elementsEqual(text.utf8) && isPlain(text) && text != "pools")
    }
    if let pool = taken({ try PoolName(text) }) {
        precondition(pool.name.utf8.elementsEqual(text.utf8) && isPlain(text))
    }
}

/// Whether a name could be that of a file beside others: no dot, no slash, nothing unseen.
private func isPlain(_ text: String) -> Bool {
    (1...63).contains(text.utf8.count)
        && text.utf8.allSatisfy { "abcdefghijklmnopqrstuvwxyz0123456789-".utf8.contains($0) }
}

private func fuzzPlaces(_ text: String) {
    if let id = taken({ try EventID(text) }) {
        precondition(id.sequence >= 0 && taken { try EventID(id.description) } == id)
    }
    _ = taken { try TaskJSON.sequence(ofCursor: text) }
    _ = taken { try SnapshotJSON.place(ofCursor: text) }
    if let name = MessageName(text) {
        precondition(name.text.utf8.elementsEqual(text.utf8), "one name has two spellings")
    }
    if let cursor = PruneCursor(text) { precondition(PruneCursor(cursor.description) == cursor) }
}

private func fuzzQuantities(_ text: String) {
    if let moment = taken({ try Timestamp(text) }) {
        precondition(taken { try Timestamp(moment.description) } == moment)
    }
    if let duration = taken({ try Quantities.duration(text) }) {
        precondition(duration >= .zero && duration <= Quantities.longestDuration)
        precondition(taken { try Quantities.duration(Quantities.text(duration)) } == duration)
    }
    if let bytes = taken({ try Quantities.bytes(text) }) {
        precondition(bytes >= 0 && taken { try Quantities.bytes(Quantities.text(bytes: bytes)) } == bytes)
    }
}

/// What a reading gives; nil where it is refused, as a refusal should be.
private func taken<Value>(_ read: () throws -> Value) -> Value? {
    do { return try read() } catch let error as BulkheadError {
        precondition(error.code == .malformed || error.code == .tooLarge, "this is the caller's: \(error)")
        let words = [error.message, error.cause ?? "", error.advice ?? ""]
        precondition(!error.message.isEmpty && words.allSatisfy { $0.utf8.count <= 1_024 }, "\(error)")
        return nil
    } catch {
        preconditionFailure("this is no error of ours: \(error)")
    }
}
