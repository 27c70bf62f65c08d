import BulkheadCore

/// Reads arbitrary bytes as JSON; what is taken must be the same when it is written and read again.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzJSON(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    do {
        let value = try JSONParser.parse(bytes)
        check(value, written: value.bytes)
        check(value, written: Array(value.prettyText.utf8))
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
