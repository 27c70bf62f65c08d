/// Reads little-endian bytes, field after field; every length is checked before memory is taken.
struct ByteReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) {
        rest = bytes
    }

    mutating func number<Number: FixedWidthInteger & UnsignedInteger>(
        _ type: Number.Type,
        _ field: String
    ) throws(CodecError) -> Number {
        let width = Number.bitWidth / 8
        guard rest.count >= width else { throw .truncated(field: field) }
        var number: Number = 0
        for index in 0..<width {
            number |= Number(rest[rest.startIndex + index]) << Number(8 * index)
        }
        rest = rest.dropFirst(width)
        return number
    }

    /// A count or an offset: small enough for a signed number, and to be added to another one.
    mutating func count(_ field: String) throws(CodecError) -> UInt64 {
        let count = try number(UInt64.self, field)
        guard count <= UInt64(Int64.max) else { throw .unknownValue(field: field, value: count) }
        return count
    }

    /// The number of a process; to kill(2) others would mean groups of processes, or all of them.
    mutating func process(_ field: String) throws(CodecError) -> Int32 {
        let number = try signed(field)
        guard number > 0 else {
            throw .unknownValue(field: field, value: UInt64(UInt32(bitPattern: number)))
        }
        return number
    }

    /// The number of a user or a group; the largest one tells setresuid(2) to leave things as they are.
    mutating func identity(_ field: String) throws(CodecError) -> UInt32 {
        let number = try number(UInt32.self, field)
        guard number < .max else { throw .unknownValue(field: field, value: UInt64(number)) }
        return number
    }

    mutating func signed(_ field: String) throws(CodecError) -> Int32 {
        Int32(bitPattern: try number(UInt32.self, field))
    }

    mutating func flag(_ field: String) throws(CodecError) -> Bool {
        switch try number(UInt8.self, field) {
        case 0: false
        case 1: true
        case let other: throw .unknownValue(field: field, value: UInt64(other))
        }
    }

    /// A value of an enumeration, rejected by name where it has none.
    mutating func value<Value: RawRepresentable>(
        _ type: Value.Type,
        _ field: String
    ) throws(CodecError) -> Value where Value.RawValue == UInt8 {
        let raw = try number(UInt8.self, field)
        guard let value = Value(rawValue: raw) else {
            throw .unknownValue(field: field, value: UInt64(raw))
        }
        return value
    }

    mutating func optional<Value>(
        _ field: String,
        _ read: (inout ByteReader) throws(CodecError) -> Value
    ) throws(CodecError) -> Value? {
        guard try flag(field) else { return nil }
        return try read(&self)
    }

    mutating func bytes(_ field: String, limit: Int) throws(CodecError) -> [UInt8] {
        Array(try counted(field, limit: limit))
    }

    /// Bytes of which there must be exactly so many.
    mutating func whole(_ field: String, count: Int) throws(CodecError) -> [UInt8] {
        let bytes = try bytes(field, limit: count)
        guard bytes.count == count else { throw .truncated(field: field) }
        return bytes
    }

    /// Everything that is left.
    mutating func remaining(_ field: String, limit: Int) throws(CodecError) -> [UInt8] {
        guard rest.count <= limit else {
            throw .tooLong(field: field, bytes: UInt64(rest.count), limit: UInt64(limit))
        }
        defer { rest = rest.suffix(0) }
        return Array(rest)
    }

    mutating func text(_ field: String, limit: Int = LaunchLimits.textBytes) throws(CodecError) -> String {
        let bytes = try counted(field, limit: limit)
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .notUTF8(field: field) }
        return text
    }

    /// A text that goes to the kernel, which ends it at the first NUL byte.
    mutating func kernelText(
        _ field: String,
        limit: Int = LaunchLimits.textBytes
    ) throws(CodecError) -> String {
        let text = try text(field, limit: limit)
        guard !text.utf8.contains(0) else { throw .nulByte(field: field) }
        return text
    }

    mutating func kernelTexts(_ field: String) throws(CodecError) -> [String] {
        try list(field) { reader throws(CodecError) in try reader.kernelText(field) }
    }

    mutating func list<Element>(
        _ field: String,
        _ read: (inout ByteReader) throws(CodecError) -> Element
    ) throws(CodecError) -> [Element] {
        let count = try number(UInt32.self, field)
        guard count <= LaunchLimits.listEntries else {
            throw .tooLong(field: field, bytes: UInt64(count), limit: UInt64(LaunchLimits.listEntries))
        }
        var elements: [Element] = []
        for _ in 0..<count { elements.append(try read(&self)) }
        return elements
    }

    func end() throws(CodecError) {
        guard rest.isEmpty else { throw .trailingBytes(count: rest.count) }
    }

    private mutating func counted(_ field: String, limit: Int) throws(CodecError) -> ArraySlice<UInt8> {
        let count = try number(UInt32.self, field)
        guard count <= limit else {
            throw .tooLong(field: field, bytes: UInt64(count), limit: UInt64(limit))
        }
        guard rest.count >= Int(count) else { throw .truncated(field: field) }
        defer { rest = rest.dropFirst(Int(count)) }
        return rest.prefix(Int(count))
    }
}
