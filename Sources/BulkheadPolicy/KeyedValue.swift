import BulkheadCore

/// A value of a file and the key under which it stands; each reading of it returns nil after a finding.
struct KeyedValue {
    let node: YAMLNode
    /// The key with those above it: `sandbox.syscalls.allow`; empty for the whole file.
    let key: String
    let findings: Findings

    /// Notes that something is wrong with the value.
    func refuse(_ message: String) {
        findings.add(key.isEmpty ? message : "\(key): \(message)", at: node.position)
    }

    /// The text, where this is a single value; what it means is the caller's to read.
    func text(_ wanted: String = "a text", bytes most: Int = Limits.argumentBytes) -> String? {
        guard let text = scalar(wanted) else { return nil }
        guard text.utf8.count <= most else {
            refuse("this has \(text.utf8.count) bytes, and \(most) are the most")
            return nil
        }
        guard !text.utf8.contains(0) else {
            refuse("a text cannot hold NUL")
            return nil
        }
        return text
    }

    /// A whole number in decimal digits, within bounds.
    func integer(_ bounds: ClosedRange<Int>) -> Int? {
        guard let text = scalar("a whole number") else { return nil }
        guard Self.isDecimal(text) else {
            refuse("\(Self.quoted(text)) is not a whole number in decimal digits, without zeros before it")
            return nil
        }
        guard let value = Int(text), bounds.contains(value) else {
            refuse("\(text.prefix(24)) is not between \(bounds.lowerBound) and \(bounds.upperBound)")
            return nil
        }
        return value
    }

    /// A duration such as `250ms`, within bounds.
    func duration(
        _ bounds: ClosedRange<Duration> = .zero...Quantities.longestDuration
    ) -> Duration? {
        guard let value = quantity("a duration", Quantities.duration) else { return nil }
        guard bounds.contains(value) else {
            let most = Quantities.text(bounds.upperBound)
            refuse(
                "\(Quantities.text(value)) is not between \(Quantities.text(bounds.lowerBound)) and \(most)"
            )
            return nil
        }
        return value
    }

    /// A size such as `64KiB`, within bounds.
    func size(_ bounds: ClosedRange<Int64>) -> Int64? {
        guard let value = quantity("a size", Quantities.bytes) else { return nil }
        guard bounds.contains(value) else {
            let most = Quantities.text(bytes: bounds.upperBound)
            let least = Quantities.text(bytes: bounds.lowerBound)
            refuse("\(Quantities.text(bytes: value)) is not between \(least) and \(most)")
            return nil
        }
        return value
    }

    /// One of a fixed set of words.
    func choice<Word: RawRepresentable<String> & CaseIterable>(of _: Word.Type = Word.self) -> Word? {
        let words = Word.allCases.map(\.rawValue)
        guard let text = scalar("one of \(words.joined(separator: ", "))") else { return nil }
        guard let word = Word(rawValue: text) else {
            let question = NearestWord.question(text, among: words)
            refuse("\(Self.quoted(text)) is not one of \(words.joined(separator: ", "))\(question)")
            return nil
        }
        return word
    }

    /// The elements of a list, each under this key.
    func list(_ wanted: String, most: Int) -> [KeyedValue]? {
        guard case .sequence(let elements) = node.content else {
            refuseKind("a list of \(wanted)")
            return nil
        }
        guard elements.count <= most else {
            refuse("the list has \(elements.count) entries, and \(most) are the most")
            return nil
        }
        return elements.map { KeyedValue(node: $0, key: key, findings: findings) }
    }

    /// The members of a mapping, each under its own key.
    func members(
        _ wanted: String = "a mapping of keys and values"
    ) -> [(member: YAMLMember, value: KeyedValue)]? {
        guard case .mapping(let members) = node.content else {
            refuseKind(wanted)
            return nil
        }
        return members.map { member in
            let path = key.isEmpty ? member.key : "\(key).\(member.key)"
            return (member, KeyedValue(node: member.value, key: path, findings: findings))
        }
    }

    private func scalar(_ wanted: String) -> String? {
        guard case .scalar(let text) = node.content else {
            refuseKind(wanted)
            return nil
        }
        return text
    }

    private func refuseKind(_ wanted: String) {
        refuse(
            node.content == .empty
                ? "the value is missing; it wants \(wanted)" : "it wants \(wanted), not \(node.kind)"
        )
    }

    private func quantity<Value>(
        _ wanted: String,
        _ read: (String) throws(BulkheadError) -> Value
    ) -> Value? {
        guard let text = scalar(wanted) else { return nil }
        guard !text.hasPrefix("-") else {
            refuse("\(Self.quoted(text)) is negative, and \(wanted) never is")
            return nil
        }
        do {
            return try read(text)
        } catch {
            refuse(error.description)
            return nil
        }
    }

    /// Digits with an optional minus; a leading zero, which other languages read as octal, is refused.
    private static func isDecimal(_ text: String) -> Bool {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return false }
        return digits == "0" ? digits == text[...] : digits.first.map { $0 != "0" } ?? false
    }

    /// A text of the file for a message: bounded.
    static func quoted(_ text: String) -> String { "\"\(text.prefix(64))\"" }
}

/// The keys that a mapping may hold, and what each does to the value that is being read.
struct KeyTable<Target> {
    typealias Reading = @Sendable (KeyedValue, inout Target) -> Void

    /// The keys that are known and not enforced by this version, each with the sentence that says so.
    var unenforced: [String: String] = [:]
    let keys: KeyValuePairs<String, Reading>

    /// Reads a mapping into a target; an unknown key is a finding with the nearest right one.
    func read(_ value: KeyedValue, into target: inout Target) {
        guard let members = value.members() else { return }
        for (member, value) in members where !value.findings.isFull {
            if let reading = keys.first(where: { $0.key == member.key })?.value {
                reading(value, &target)
            } else if let sentence = unenforced[member.key] {
                value.findings.add("\(value.key): \(sentence)", at: member.position)
            } else {
                refuse(member, under: value)
            }
        }
    }

    private func refuse(_ member: YAMLMember, under value: KeyedValue) {
        let known = keys.map(\.key)
        let advice =
            NearestWord.of(member.key, among: known + unenforced.keys).map { "did you mean \"\($0)\"?" }
            ?? "the keys here are \(known.joined(separator: ", "))"
        value.findings.add("unknown key \(KeyedValue.quoted(member.key)); \(advice)", at: member.position)
    }
}
