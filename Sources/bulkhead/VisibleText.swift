/// Other people's text made safe for a terminal: what would steer it is shown instead.
enum VisibleText {
    /// The text with every control character escaped, so that it stays on one line.
    static func ofLine(_ text: String) -> String {
        var shown = ""
        for scalar in text.unicodeScalars { shown += escaped(scalar) ?? String(scalar) }
        return shown
    }

    /// JSON whose control characters beyond the ASCII ones, which JSON escapes itself, are escaped too.
    static func ofJSON(_ text: String) -> String {
        var shown = ""
        for scalar in text.unicodeScalars {
            let isLayout = scalar == "\n"
            shown += !isLayout && isSteering(scalar) ? jsonEscape(scalar) : String(scalar)
        }
        return shown
    }

    /// The escape of a scalar that would steer a terminal; nil for all others.
    static func escaped(_ scalar: Unicode.Scalar) -> String? {
        guard isSteering(scalar) else { return nil }
        switch scalar {
        case "\n": return #"\n"#
        case "\r": return #"\r"#
        case "\t": return #"\t"#
        case _ where scalar.value < 0x80: return #"\x"# + padded(scalar.value, to: 2)
        default: return #"\u{"# + String(scalar.value, radix: 16) + "}"
        }
    }

    /// Whether a terminal would act on it: C0, DEL, C1, line separators and the marks that turn the direction
    /// of writing (Unicode Technical Report 36, section 2.6).
    static func isSteering(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7f..<0xa0, 0x061c, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069: true
        default: false
        }
    }

    private static func jsonEscape(_ scalar: Unicode.Scalar) -> String {
        #"\u"# + padded(scalar.value, to: 4)
    }

    private static func padded(_ value: UInt32, to digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(digits - text.count, 0)) + text
    }
}

/// A stream of bytes on its way to a terminal: lines and tabs pass, everything that steers is escaped.
///
/// Bytes come in pieces that may end within a character, so the beginning of one is kept for the next piece.
struct VisibleStream {
    private var pending: [UInt8] = []
    private var endedInReturn = false

    /// The text that may be shown after these bytes.
    mutating func feed(_ bytes: [UInt8]) -> String {
        pending += bytes
        let whole = pending.count - Self.unfinishedBytes(at: pending)
        let ready = Array(pending[..<whole])
        pending.removeFirst(whole)
        return show(ready)
    }

    /// The text for what is left at the end of the stream.
    mutating func finish() -> String {
        let rest = pending
        pending = []
        let text = show(rest)
        defer { endedInReturn = false }
        return endedInReturn ? text + #"\r"# : text
    }

    private mutating func show(_ bytes: [UInt8]) -> String {
        var shown = ""
        var rest = bytes[...]
        while let first = rest.first {
            let length = min(Self.length(ofSequenceBeginningWith: first), rest.count)
            let character = rest.prefix(length)
            if let text = String(validating: character, as: UTF8.self) {
                for scalar in text.unicodeScalars { append(scalar, to: &shown) }
                rest = rest.dropFirst(length)
            } else {
                append(bad: first, to: &shown)
                rest = rest.dropFirst()
            }
        }
        return shown
    }

    /// A carriage return before a line's end is that line's end; alone it would overwrite the line.
    private mutating func append(_ scalar: Unicode.Scalar, to shown: inout String) {
        if endedInReturn, scalar != "\n" { shown += #"\r"# }
        endedInReturn = scalar == "\r"
        switch scalar {
        case "\r": break
        case "\n", "\t": shown.unicodeScalars.append(scalar)
        default: shown += VisibleText.escaped(scalar) ?? String(scalar)
        }
    }

    private mutating func append(bad byte: UInt8, to shown: inout String) {
        if endedInReturn { shown += #"\r"# }
        endedInReturn = false
        shown += #"\x"# + String(byte, radix: 16)
    }

    /// How many bytes at the end begin a character that is not complete yet.
    private static func unfinishedBytes(at bytes: [UInt8]) -> Int {
        for back in 1...3 where back <= bytes.count {
            let byte = bytes[bytes.count - back]
            guard byte & 0xc0 != 0x80 else { continue }
            return length(ofSequenceBeginningWith: byte) > back ? back : 0
        }
        return 0
    }

    private static func length(ofSequenceBeginningWith byte: UInt8) -> Int {
        switch byte {
        case 0xc2...0xdf: 2
        case 0xe0...0xef: 3
        case 0xf0...0xf4: 4
        default: 1
        }
    }
}
