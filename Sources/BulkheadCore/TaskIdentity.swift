/// A task's id: a UUID of any version, held in lower case.
public struct TaskID: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The 36 characters of the id, in lower case.
    public let text: String

    /// The id in its usual written form.
    public var description: String { text }

    /// Reads an id in the form 8-4-4-4-12, in either case.
    /// - Parameter text: What the caller sent.
    /// - Throws: ``BulkheadError`` with the code `malformed`.
    public init(_ text: String) throws(BulkheadError) {
        let bytes = Array(text.utf8.prefix(37))
        let wellFormed =
            bytes.count == 36
            && bytes.enumerated().allSatisfy { index, byte in
                [8, 13, 18, 23].contains(index) ? byte == UInt8(ascii: "-") : Self.isHexadecimal(byte)
            }
        guard wellFormed else {
            throw BulkheadError(
                .malformed,
                "\"\(text.cut(toBytes: 64))\" is not a UUID",
                advice: "an id looks like 0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f5a6; leave it out to have one made"
            )
        }
        self.text = text.lowercased()
    }

    /// Makes a UUID of version 7: the time first, so that ids sort by their making (RFC 9562, section 5.7).
    /// - Parameters:
    ///   - milliseconds: Milliseconds since 1970 UTC.
    ///   - random: 74 of these 128 bits fill the rest.
    public init(milliseconds: Int64, random: (UInt64, UInt64)) {
        let time = UInt64(max(milliseconds, 0)) & 0xffff_ffff_ffff
        let high = time << 16 | 0x7000 | random.0 & 0x0fff
        let low = 0x8000_0000_0000_0000 | random.1 & 0x3fff_ffff_ffff_ffff
        let digits = Self.hexadecimal(high) + Self.hexadecimal(low)
        var text = ""
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { text.append("-") }
            text.append(digit)
        }
        self.text = text
    }

    /// Whether a text can be the beginning of an id: at least six of its characters.
    public static func isBeginning(_ text: String) -> Bool {
        let length = text.utf8.count
        return (Limits.idPrefixCharacters...36).contains(length)
            && text.utf8.allSatisfy { isHexadecimal($0) || $0 == UInt8(ascii: "-") }
    }

    /// Orders ids by their text, which for ids made here is the order of their making.
    public static func < (left: TaskID, right: TaskID) -> Bool { left.text < right.text }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// A name of the form `[a-z0-9]([a-z0-9-]{0,62})`, as task types and pools have it.
enum PlainName {
    static func isValid(_ text: String) -> Bool {
        let bytes = text.utf8
        guard (1...63).contains(bytes.count), bytes.first != UInt8(ascii: "-") else { return false }
        return bytes.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
        }
    }
}

/// What a task is of: the name of its handler's file, its last extension dropped.
public struct TaskType: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The name.
    public let name: String
    /// The name.
    public var description: String { name }

    /// Checks a task type's name.
    /// - Parameter name: `[a-z0-9]([a-z0-9-]{0,62})`, but not `pools`.
    /// - Throws: ``BulkheadError`` with the code `malformed`.
    public init(_ name: String) throws(BulkheadError) {
        guard PlainName.isValid(name), name != "pools" else {
            throw BulkheadError(
                .malformed,
                name == "pools"
                    ? "\"pools\" cannot be a task type, since policies/pools.yaml holds the pools"
                    : "\(JSONValue.string(name.cut(toBytes: 64)).text) is not a task type",
                advice: "a type has 1 to 63 of a-z, 0-9 and \"-\", and does not begin with \"-\""
            )
        }
        self.name = name
    }

    /// Orders types by name.
    public static func < (left: TaskType, right: TaskType) -> Bool { left.name < right.name }
}

/// The name of a pool.
public struct PoolName: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The name.
    public let name: String
    /// The name.
    public var description: String { name }

    /// The pool of tasks whose policy names none.
    public static let `default` = PoolName(unchecked: "default")

    /// Checks a pool's name.
    /// - Parameter name: `[a-z0-9]([a-z0-9-]{0,62})`.
    /// - Throws: ``BulkheadError`` with the code `malformed`.
    public init(_ name: String) throws(BulkheadError) {
        guard PlainName.isValid(name) else {
            throw BulkheadError(
                .malformed,
                "\(JSONValue.string(name.cut(toBytes: 64)).text) is not a pool's name",
                advice: "a pool's name has 1 to 63 of a-z, 0-9 and \"-\", and does not begin with \"-\""
            )
        }
        self.name = name
    }

    private init(unchecked name: String) { self.name = name }

    /// Orders pools by name.
    public static func < (left: PoolName, right: PoolName) -> Bool { left.name < right.name }
}
