/// Why bytes are no message, spec or record of this protocol.
public enum CodecError: Error, Sendable, Equatable {
    /// The bytes do not begin with the magic number of what was expected.
    case wrongMagic(found: UInt32)
    /// The other end speaks another version.
    case unknownVersion(found: UInt16, known: UInt16 = LaunchLimits.protocolVersion)
    /// No message has this kind in this direction.
    case unknownKind(found: UInt8)
    /// A field holds a value that has no meaning.
    case unknownValue(field: String, value: UInt64)
    /// The bytes end inside a field.
    case truncated(field: String)
    /// Bytes follow the last field.
    case trailingBytes(count: Int)
    /// A length is beyond its bound.
    case tooLong(field: String, bytes: UInt64, limit: UInt64)
    /// A text is not UTF-8.
    case notUTF8(field: String)
    /// A text for the kernel holds a NUL byte.
    case nulByte(field: String)
    /// The checksum does not fit the bytes.
    case wrongChecksum
}

extension CodecError: CustomStringConvertible {
    /// The fault as a sentence without its full stop.
    public var description: String {
        switch self {
        case .wrongMagic(let found): "unknown magic number 0x\(String(found, radix: 16))"
        case .unknownVersion(let found, let known): "unknown version \(found), this end speaks \(known)"
        case .unknownKind(let found): "unknown message kind \(found)"
        case .unknownValue(let field, let value): "unknown value \(value) of \(field)"
        case .truncated(let field): "the bytes end inside \(field)"
        case .trailingBytes(let count): "\(count) bytes follow the last field"
        case .tooLong(let field, let bytes, let limit): "\(field) has \(bytes) bytes, the limit is \(limit)"
        case .notUTF8(let field): "\(field) is not UTF-8"
        case .nulByte(let field): "\(field) holds a NUL byte"
        case .wrongChecksum: "the checksum does not fit"
        }
    }
}
