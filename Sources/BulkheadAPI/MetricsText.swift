/// Prometheus's text format, version 0.0.4, as far as Bulkhead needs it.
///
/// Labels take few values, each of them from files of the operator's or from a list of ours: pools, statuses,
/// reasons. Nothing that a caller of the API chooses is ever a label.
public struct MetricsText: Sendable {
    /// The media type of the text.
    public static let mediaType = "text/plain; version=0.0.4; charset=utf-8"

    /// What a family of metrics is.
    enum Kind: String {
        case counter
        case gauge
        case histogram
    }

    typealias Labels = KeyValuePairs<String, String>

    /// The text so far.
    public private(set) var text = ""

    private static let prefix = "bulkhead_"

    /// Begins a family, whose samples follow.
    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        text += "# HELP \(Self.prefix)\(name) \(Self.escaped(help, quotes: false))\n"
        text += "# TYPE \(Self.prefix)\(name) \(kind.rawValue)\n"
    }

    /// Adds a sample.
    mutating func sample(_ name: String, _ labels: Labels, _ value: Double) {
        let names = labels.map { "\($0)=\"\(Self.escaped($1, quotes: true))\"" }.joined(separator: ",")
        text += Self.prefix + name + (names.isEmpty ? "" : "{\(names)}") + " \(Self.number(value))\n"
    }

    /// Adds a sample without labels.
    mutating func sample(_ name: String, _ value: Double) { sample(name, [:], value) }

    /// Adds a family of one sample.
    mutating func single(_ name: String, _ kind: Kind, _ help: String, _ value: Double) {
        family(name, kind, help)
        sample(name, value)
    }

    /// Adds a family of one sample.
    mutating func single(_ name: String, _ kind: Kind, _ help: String, _ value: some BinaryInteger) {
        single(name, kind, help, Double(value))
    }

    /// A whole number without a fraction, any other as Swift writes it.
    static func number(_ value: Double) -> String {
        guard value.isFinite else { return value.isNaN ? "NaN" : value < 0 ? "-Inf" : "+Inf" }
        return Int64(exactly: value).map { "\($0)" } ?? "\(value)"
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var escaped = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}
