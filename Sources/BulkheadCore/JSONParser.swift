/// Why a text is not JSON that Bulkhead takes.
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong, in plain words.
    public var reason: String
    /// The byte, counted from 0, at which it is wrong.
    public var offset: Int

    /// The reason and where.
    public var description: String { "\(reason) at byte \(offset)" }
}

/// Reads JSON (RFC 8259) strictly: one value, valid UTF-8, no duplicate members, bounded nesting.
public enum JSONParser {
    /// Reads one JSON value that fills the whole text.
    /// - Parameters:
    ///   - bytes: The text in UTF-8; its length is the caller's to bound.
    ///   - depthLimit: Arrays and objects that may nest.
    /// - Returns: The value.
    /// - Throws: ``JSONError`` with what is wrong and where.
    public static func parse(
        _ bytes: [UInt8],
        depthLimit: Int = Limits.jsonDepth
    ) throws(JSONError) -> JSONValue {
        try JSONReading.read(bytes, depthLimit: depthLimit)
    }

    /// Reads one JSON value from a text.
    /// - Throws: ``JSONError`` with what is wrong and where.
    public static func parse(_ text: String) throws(JSONError) -> JSONValue {
        try parse(Array(text.utf8))
    }

    /// Reads one JSON value that fills the whole text, and where each of its parts stands.
    /// - Parameters:
    ///   - bytes: The text in UTF-8; its length is the caller's to bound.
    ///   - depthLimit: Arrays and objects that may nest.
    /// - Returns: The value with its places.
    /// - Throws: ``JSONError`` with what is wrong and where.
    public static func parseLocated(
        _ bytes: [UInt8],
        depthLimit: Int = Limits.jsonDepth
    ) throws(JSONError) -> LocatedJSON {
        try JSONReading.read(bytes, depthLimit: depthLimit)
    }
}

/// What a text is read into: data, or data that knows where it stood.
protocol JSONTree {
    associatedtype Member
    static func scalar(_ value: JSONValue, at offset: Int) -> Self
    static func array(_ elements: [Self], at offset: Int) -> Self
    static func object(_ members: [Member], at offset: Int) -> Self
    static func member(_ name: String, at offset: Int, _ value: Self) -> Member
}

/// One reading of a text.
private struct JSONReading<Tree: JSONTree>: ~Copyable {
    private let bytes: [UInt8]
    private let depthLimit: Int
    private var position = 0

    static func read(_ bytes: [UInt8], depthLimit: Int) throws(JSONError) -> Tree {
        var reading = JSONReading(bytes: bytes, depthLimit: depthLimit)
        return try reading.document()
    }

    private init(bytes: [UInt8], depthLimit: Int) {
        self.bytes = bytes
        self.depthLimit = depthLimit
    }

    private mutating func document() throws(JSONError) -> Tree {
        skipWhiteSpace()
        let value = try value(depth: 0)
        skipWhiteSpace()
        guard position == bytes.count else { throw error("there is something behind the value") }
        return value
    }

    private mutating func value(depth: Int) throws(JSONError) -> Tree {
        guard let byte = peek else { throw error("the text ends where a value should be") }
        let start = position
        switch byte {
        case UInt8(ascii: "{"): return .object(try object(depth: depth + 1), at: start)
        case UInt8(ascii: "["): return .array(try array(depth: depth + 1), at: start)
        default: return .scalar(try scalar(byte), at: start)
        }
    }

    private mutating func scalar(_ first: UInt8) throws(JSONError) -> JSONValue {
        switch first {
        case UInt8(ascii: "\""): .string(try string())
        case UInt8(ascii: "t"): try word("true", .bool(true))
        case UInt8(ascii: "f"): try word("false", .bool(false))
        case UInt8(ascii: "n"): try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): .number(try number())
        default: throw error("no value begins like this")
        }
    }

    private mutating func object(depth: Int) throws(JSONError) -> [Tree.Member] {
        try enter(depth)
        var members: [Tree.Member] = []
        var names = MemberNames()
        skipWhiteSpace()
        if take(UInt8(ascii: "}")) { return [] }
        repeat {
            skipWhiteSpace()
            let start = position
            guard peek == UInt8(ascii: "\"") else { throw error("a member's name should be here") }
            let name = try string()
            guard names.insert(name) else {
                throw JSONError(
                    reason: "the member \"\(name.cut(toBytes: 64))\" is there twice",
                    offset: start
                )
            }
            skipWhiteSpace()
            guard take(UInt8(ascii: ":")) else { throw error("a colon should be here") }
            skipWhiteSpace()
            members.append(Tree.member(name, at: start, try value(depth: depth)))
            skipWhiteSpace()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw error("a comma or a closing brace should be here") }
        return members
    }

    private mutating func array(depth: Int) throws(JSONError) -> [Tree] {
        try enter(depth)
        var elements: [Tree] = []
        skipWhiteSpace()
        if take(UInt8(ascii: "]")) { return [] }
        repeat {
            skipWhiteSpace()
            elements.append(try value(depth: depth))
            skipWhiteSpace()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw error("a comma or a closing bracket should be here") }
        return elements
    }

    /// Steps over the opening bracket, if it may nest this deep.
    private mutating func enter(_ depth: Int) throws(JSONError) {
        guard depth <= depthLimit else { throw error("it nests deeper than \(depthLimit)") }
        position += 1
    }

    private mutating func word(_ text: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        for byte in "\(text)".utf8 {
            guard take(byte) else { throw error("no value begins like this") }
        }
        return value
    }

    private mutating func number() throws(JSONError) -> JSONNumber {
        let start = position
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { try digits() }
        if take(UInt8(ascii: ".")) { try digits() }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try digits()
        }
        return JSONNumber(unchecked: String(decoding: bytes[start..<position], as: UTF8.self))
    }

    private mutating func digits() throws(JSONError) {
        let start = position
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        guard position > start else { throw error("a digit should be here") }
    }

    private mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        while let byte = peek, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 {
            position += 1
        }
        if peek == UInt8(ascii: "\"") {
            defer { position += 1 }
            return try text(Array(bytes[start..<position]), from: start)
        }
        return try stringWithEscapes(from: start)
    }

    private mutating func stringWithEscapes(from start: Int) throws(JSONError) -> String {
        var unescaped = Array(bytes[start..<position])
        while let byte = peek {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return try text(unescaped, from: start)
            case UInt8(ascii: "\\"): unescaped.append(contentsOf: try escape())
            case 0..<0x20:
                throw JSONError(
                    reason: "a control character stands unescaped in a text",
                    offset: position - 1
                )
            default: unescaped.append(byte)
            }
        }
        throw error("the text ends within a string")
    }

    private mutating func escape() throws(JSONError) -> [UInt8] {
        guard let byte = peek else { throw error("the text ends within a string") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0c]
        case UInt8(ascii: "n"): return [0x0a]
        case UInt8(ascii: "r"): return [0x0d]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"): return Array(String(try escapedScalar()).utf8)
        default: throw JSONError(reason: "no escape is written like this", offset: position - 2)
        }
    }

    private mutating func escapedScalar() throws(JSONError) -> Character {
        let start = position - 2
        var code = try fourHexadecimalDigits()
        if (0xd800..<0xdc00).contains(code), take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) {
            let low = try fourHexadecimalDigits()
            guard (0xdc00..<0xe000).contains(low) else {
                throw JSONError(reason: "half of a surrogate pair is missing", offset: start)
            }
            code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
        }
        guard let scalar = Unicode.Scalar(code) else {
            throw JSONError(reason: "half of a surrogate pair is missing", offset: start)
        }
        return Character(scalar)
    }

    private mutating func fourHexadecimalDigits() throws(JSONError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw error("four hexadecimal digits should be here")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }

    private func text(_ unescaped: [UInt8], from start: Int) throws(JSONError) -> String {
        guard let text = String(validating: unescaped, as: UTF8.self) else {
            throw JSONError(reason: "a text is not UTF-8", offset: start)
        }
        return text
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        position += 1
        return true
    }

    private mutating func skipWhiteSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    private func error(_ reason: String) -> JSONError {
        JSONError(reason: reason, offset: position)
    }
}

/// The names of an object's members so far, told apart to the byte.
private struct MemberNames {
    private var names: Set<String> = []
    /// The same names as bytes, from the first on that `String` takes for one that is there, as it does with
    /// names that Unicode calls equivalent.
    private var exact: Set<[UInt8]>?

    /// Takes a name; false where it is there already.
    mutating func insert(_ name: String) -> Bool {
        if exact == nil {
            if names.insert(name).inserted { return true }
            exact = Set(names.map { Array($0.utf8) })
        }
        return exact?.insert(Array(name.utf8)).inserted ?? false
    }
}
