import BulkheadCore

/// A value of an OCI profile and the name under which it stands; each reading of it returns nil after a finding.
struct ProfileValue {
    let json: LocatedJSON
    /// The name with those above it: `syscalls.args.op`; empty for the whole file.
    let key: String
    let notes: ProfileNotes

    /// The line at which it stands, from 1.
    var line: Int { notes.position(of: json.offset).line }

    /// Notes that something is wrong with the value.
    func refuse(_ message: String) { notes.refuse(shown(message), at: json.offset) }

    /// Notes something that is worth knowing, and no mistake.
    func warn(_ message: String) { notes.warn(shown(message), at: json.offset) }

    /// The text, where this is one.
    func text(_ wanted: String = "a text", bytes most: Int = 256) -> String? {
        guard case .scalar(.string(let text), _) = json else {
            refuseKind(wanted)
            return nil
        }
        guard text.utf8.count <= most else {
            refuse("this has \(text.utf8.count) bytes, and \(most) are the most")
            return nil
        }
        return text
    }

    /// A whole number without sign, fraction or exponent, up to a bound.
    func number(most: UInt64 = .max) -> UInt64? {
        guard case .scalar(.number(let number), _) = json else {
            refuseKind("a whole number")
            return nil
        }
        guard let value = UInt64(number.literal), value <= most else {
            refuse("\(number.literal.prefix(24)) is not a whole number from 0 to \(most)")
            return nil
        }
        return value
    }

    /// One of a fixed set of words.
    func word(among words: [String]) -> String? {
        guard let text = text("one of \(words.joined(separator: ", "))") else { return nil }
        guard words.contains(text) else {
            let nearest = NearestWord.question(text, among: words)
            refuse("\(KeyedValue.quoted(text)) is not known\(nearest)")
            return nil
        }
        return text
    }

    /// The elements of a list, each under this name.
    func list(_ wanted: String, most: Int) -> [ProfileValue]? {
        guard case .array(let elements, _) = json else {
            refuseKind("a list of \(wanted)")
            return nil
        }
        guard elements.count <= most else {
            refuse("the list has \(elements.count) entries, and \(most) are the most")
            return nil
        }
        return elements.map { ProfileValue(json: $0, key: key, notes: notes) }
    }

    /// The members of an object, of which every name must be one of the known ones; null counts as not there.
    func members(_ known: [String]) -> [String: ProfileValue]? {
        guard case .object(let members, _) = json else {
            refuseKind("an object")
            return nil
        }
        var found: [String: ProfileValue] = [:]
        for member in members {
            guard known.contains(member.name) else {
                let advice = NearestWord.advice(for: member.name, among: known)
                notes.refuse("unknown member \(KeyedValue.quoted(member.name)); \(advice)", at: member.offset)
                continue
            }
            if case .scalar(.null, _) = member.value { continue }
            let path = key.isEmpty ? member.name : "\(key).\(member.name)"
            found[member.name] = ProfileValue(json: member.value, key: path, notes: notes)
        }
        return found
    }

    private func shown(_ message: String) -> String { key.isEmpty ? message : "\(key): \(message)" }

    private func refuseKind(_ wanted: String) { refuse("it wants \(wanted), not \(kind)") }

    private var kind: String {
        switch json {
        case .scalar(.null, _): "null"
        case .scalar(.bool, _): "a truth value"
        case .scalar(.number, _): "a number"
        case .scalar: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

/// What is wrong with a profile and what is worth knowing of it, while it is being read.
final class ProfileNotes {
    let findings: Findings
    let warnings: Findings
    private let places: TextPlaces

    init(_ bytes: [UInt8], file: String) {
        findings = Findings(file: file)
        warnings = Findings(file: file)
        places = TextPlaces(bytes)
    }

    func position(of offset: Int) -> YAMLPosition { places.position(of: offset) }
    func refuse(_ message: String, at offset: Int) { findings.add(message, at: position(of: offset)) }
    func warn(_ message: String, at offset: Int) { warnings.add(message, at: position(of: offset)) }
}
