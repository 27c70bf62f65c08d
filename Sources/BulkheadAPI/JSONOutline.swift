import BulkheadCore

/// Finds where the parts of a JSON text lie without reading them, so that a batch's tasks can be read one by
/// one, and a wrong one among them costs only itself.
struct JSONOutline {
    /// A member of an object.
    struct Member {
        /// Its name.
        var name: String
        /// Where its value lies, without the white space around it.
        var value: Range<Int>
    }

    private let bytes: [UInt8]
    private var position: Int

    /// The members of the object that fills the text; nil where their bounds cannot be made out.
    static func members(of bytes: [UInt8]) -> [Member]? {
        var outline = JSONOutline(bytes: bytes, position: 0)
        guard
            let members = outline.list(
                UInt8(ascii: "{"),
                UInt8(ascii: "}"),
                element: { outline in outline.member() }
            )
        else { return nil }
        outline.skipWhiteSpace()
        return outline.position == bytes.count ? members : nil
    }

    /// Where the elements of an array lie; nil where there is no array or their bounds cannot be made out.
    static func elements(of bytes: [UInt8], in range: Range<Int>) -> [Range<Int>]? {
        var outline = JSONOutline(bytes: bytes, position: range.lowerBound)
        let elements = outline.list(
            UInt8(ascii: "["),
            UInt8(ascii: "]"),
            element: { outline in outline.value() }
        )
        return outline.position == range.upperBound ? elements : nil
    }

    private mutating func list<Element>(
        _ open: UInt8,
        _ close: UInt8,
        element: (inout JSONOutline) -> Element?
    ) -> [Element]? {
        skipWhiteSpace()
        guard take(open) else { return nil }
        var elements: [Element] = []
        skipWhiteSpace()
        if take(close) { return elements }
        repeat {
            guard let next = element(&self) else { return nil }
            elements.append(next)
            skipWhiteSpace()
        } while take(UInt8(ascii: ","))
        return take(close) ? elements : nil
    }

    private mutating func member() -> Member? {
        skipWhiteSpace()
        let start = position
        guard peek == UInt8(ascii: "\""), skipString() else { return nil }
        let name = try? JSONParser.parse(Array(bytes[start..<position])).string
        skipWhiteSpace()
        guard let name, take(UInt8(ascii: ":")), let value = value() else { return nil }
        return Member(name: name, value: value)
    }

    /// Steps over a value: to its closing bracket or quote, or to what must follow a plain word.
    private mutating func value() -> Range<Int>? {
        skipWhiteSpace()
        let start = position
        switch peek {
        case UInt8(ascii: "{"), UInt8(ascii: "["): guard skipBrackets() else { return nil }
        case UInt8(ascii: "\""): guard skipString() else { return nil }
        default: skipWord()
        }
        return position > start ? start..<position : nil
    }

    private mutating func skipBrackets() -> Bool {
        var depth = 0
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                guard skipString() else { return false }
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            default: break
            }
            position += 1
            if depth == 0 { return true }
        }
        return false
    }

    private mutating func skipString() -> Bool {
        position += 1
        while let byte = peek {
            position += byte == UInt8(ascii: "\\") ? 2 : 1
            if byte == UInt8(ascii: "\"") { return true }
        }
        return false
    }

    private mutating func skipWord() {
        while let byte = peek, !Self.endsWord(byte) { position += 1 }
    }

    private static func endsWord(_ byte: UInt8) -> Bool {
        byte <= 0x20 || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "]") || byte == UInt8(ascii: "}")
    }

    private mutating func skipWhiteSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        position += 1
        return true
    }
}
