/// Builds little-endian bytes, field after field.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    init(reserving count: Int = 64) {
        bytes.reserveCapacity(count)
    }

    mutating func put<Number: FixedWidthInteger>(_ number: Number) {
        var rest = Number.Magnitude(truncatingIfNeeded: number)
        for _ in 0..<(Number.bitWidth / 8) {
            bytes.append(UInt8(truncatingIfNeeded: rest))
            rest = Number.bitWidth > 8 ? rest >> 8 : 0
        }
    }

    mutating func put(_ flag: Bool) {
        bytes.append(flag ? 1 : 0)
    }

    /// Bytes to the end of the message, without a length.
    mutating func putRest(_ rest: [UInt8]) {
        bytes.append(contentsOf: rest)
    }

    mutating func put(_ counted: [UInt8]) {
        put(UInt32(counted.count))
        bytes.append(contentsOf: counted)
    }

    mutating func put(_ text: String) {
        put(UInt32(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    mutating func put(_ texts: [String]) {
        put(UInt32(texts.count))
        for text in texts { put(text) }
    }

    mutating func put<Value>(_ optional: Value?, _ putValue: (inout ByteWriter, Value) -> Void) {
        put(optional != nil)
        if let value = optional { putValue(&self, value) }
    }
}
