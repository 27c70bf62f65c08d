import BulkheadCore

/// Reads arbitrary bytes as JSON; what is taken must be the same when it is written and read again, and equality
/// must not depend on the order in which two values are looked at.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzJSON(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    do {
        let value = try JSONParser.parse(bytes)
        check(value, written: value.bytes)
        check(value, written: Array(value.prettyText.utf8))
        look(at: value)
    } catch {
        precondition((0...count).contains(error.offset), "the error lies outside the text: \(error)")
    }
    return 0
}

private func check(_ value: JSONValue, written: [UInt8]) {
    do {
        let again = try JSONParser.parse(written)
        precondition(again == value, "the value changed by being written")
        precondition(again.bytes == value.bytes, "the text changed by being written again")
    } catch {
        preconditionFailure("what was written is refused: \(error)")
    }
}

/// Reads a value in each way that there is, and compares the parts that stand beside one another.
private func look(at value: JSONValue) {
    if let integer = value.integer { precondition(value == .integer(integer)) }
    _ = value.double
    let parts = value.array ?? value.object?.members.map(\.value) ?? []
    for part in parts { look(at: part) }
    for (left, right) in zip(parts, parts.dropFirst()) {
        precondition((left == right) == (right == left), "equality depends on the order")
        if left == right { precondition(left.integer == right.integer, "equal numbers are not") }
    }
    if let members = value.object?.members {
        var turned = JSONObject()
        for member in members.reversed() { turned[member.name] = member.value }
        precondition(turned.members.count < members.count || .object(turned) == value, "the order matters")
    }
}
