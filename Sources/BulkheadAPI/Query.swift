public import BulkheadCore

/// The parameters behind the question mark of one call, read strictly.
public struct Query: Sendable {
    private let values: [String: String]

    /// Reads the parameters of a call.
    /// - Parameters:
    ///   - text: What stands behind the question mark; nil where nothing does.
    ///   - names: The parameters that the call knows.
    /// - Throws: ``BulkheadError`` with the code `malformed` for one that is unknown, repeated or not UTF-8.
    public init(_ text: String?, names: [String]) throws(BulkheadError) {
        var values: [String: String] = [:]
        for pair in (text ?? "").split(separator: "&") {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decoded(halves[0]), let value = Self.decoded(halves.dropFirst().first ?? "")
            else {
                throw BulkheadError(
                    .malformed,
                    "the query is not percent-encoded UTF-8: \(String(pair).cut(toBytes: 64))"
                )
            }
            guard names.contains(name) else {
                throw BulkheadError(
                    .malformed,
                    "this call has no query parameter \"\(name.cut(toBytes: 64))\"",
                    advice: NearestWord.advice(for: name, among: names)
                )
            }
            guard values.updateValue(value, forKey: name) == nil else {
                throw BulkheadError(.malformed, "the query parameter \"\(name)\" is there twice")
            }
        }
        self.values = values
    }

    /// The text of a parameter; nil where it is absent.
    public func text(_ name: String) -> String? { values[name] }

    /// A parameter that is `true` or `false`; false where it is absent.
    /// - Throws: ``BulkheadError`` with the code `malformed`.
    public func flag(_ name: String) throws(BulkheadError) -> Bool {
        switch values[name] {
        case nil, "false": false
        case "true": true
        case let text?: throw wrong(name, text, "true or false")
        }
    }

    /// A whole number within bounds; nil where it is absent.
    /// - Throws: ``BulkheadError`` with the code `malformed`.
    public func number(_ name: String, in bounds: ClosedRange<Int64>) throws(BulkheadError) -> Int64? {
        guard let text = values[name] else { return nil }
        guard let number = Int64(text), bounds.contains(number) else {
            let upper = bounds.upperBound == .max ? "on" : "to \(bounds.upperBound)"
            throw wrong(name, text, "a whole number from \(bounds.lowerBound) \(upper)")
        }
        return number
    }

    /// One of the words of a type; nil where it is absent.
    /// - Throws: ``BulkheadError`` with the code `malformed`.
    public func word<Word>(_ name: String, as type: Word.Type) throws(BulkheadError) -> Word?
    where Word: RawRepresentable<String> & CaseIterable {
        guard let text = values[name] else { return nil }
        guard let word = Word(rawValue: text) else {
            throw wrong(name, text, Word.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return word
    }

    /// A time to wait, at most ``Limits/waitSeconds``; nil where it is absent.
    /// - Throws: ``BulkheadError`` with the code `malformed`.
    public func duration(_ name: String) throws(BulkheadError) -> Duration? {
        guard let text = values[name] else { return nil }
        let duration: Duration
        do { duration = try Quantities.duration(text) } catch {
            throw BulkheadError(.malformed, "\"\(name)\": \(error.message)", advice: error.advice)
        }
        guard duration <= .seconds(Limits.waitSeconds) else {
            throw wrong(name, text, "at most \(Quantities.text(.seconds(Limits.waitSeconds)))")
        }
        return duration
    }

    private func wrong(_ name: String, _ text: String, _ right: String) -> BulkheadError {
        BulkheadError(
            .malformed,
            "the query parameter \"\(name)\" cannot be \"\(text.cut(toBytes: 64))\"",
            advice: "it takes \(right)"
        )
    }

    /// Undoes percent-encoding, and the plus sign that HTML forms write for a space.
    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(0x20)
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap(hexadecimal),
                    let low = rest.popFirst().flatMap(hexadecimal)
                else { return nil }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        Character(Unicode.Scalar(byte)).hexDigitValue.map { UInt8($0) }
    }
}
