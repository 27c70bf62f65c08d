/// Texts as YAML and as messages, so that nothing in them is folded, refused, hidden or obeyed by a terminal.
enum YAMLText {
    /// A key and a list of texts on one line.
    static func list(_ key: String, _ elements: [String]) -> String {
        "\(key): [\(elements.map(quoted).joined(separator: ", "))]"
    }

    /// A text in double quotes, which every reader takes for the same text.
    static func quoted(_ text: String) -> String {
        let escaped = text.unicodeScalars.map { scalar in
            switch scalar {
            case "\"", "\\": "\\\(scalar)"
            case "\n": "\\n"
            case "\t": "\\t"
            default: isPlain(scalar) ? "\(scalar)" : escape(scalar)
            }
        }
        return "\"\(escaped.joined())\""
    }

    /// A message whose beginning is kept, with an escape for each character that does more than show itself.
    static func printable(_ text: String, most: Int) -> String {
        let scalars = text.unicodeScalars
        let head = scalars.prefix(most).map { isPlain($0) ? "\($0)" : escape($0) }.joined()
        return scalars.count > most ? head + "…" : head
    }

    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned:
            false
        default: true
        }
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16)
        let (letter, length) = scalar.value > 0xffff ? ("U", 8) : ("u", 4)
        return "\\\(letter)" + String(repeating: "0", count: length - digits.count) + digits
    }
}
