public import BulkheadCore
import Yams

/// Reads the small part of YAML that Bulkhead's files use: one document, UTF-8, bounded, without anchors,
/// aliases, tags, merge keys and repeated keys.
public enum YAMLSource {
    /// Lists and mappings that may nest; the deepest key of any file is at 3.
    public static let depth = 16

    /// Reads a file's text into a tree.
    /// - Parameters:
    ///   - bytes: The text.
    ///   - file: The file's name, for messages.
    ///   - limit: Bytes that the text may have; more are refused before anything is read.
    /// - Returns: The document; nil where the file holds nothing but white space and comments.
    /// - Throws: What is wrong, and where.
    public static func read(
        _ bytes: [UInt8],
        file: String,
        limit: Int = Limits.policyFileBytes
    ) throws(PolicyDiagnostics) -> YAMLNode? {
        do {
            return try YAMLDocument(bytes, limit: limit).root()
        } catch {
            let place = error.position
            throw PolicyDiagnostics(
                PolicyDiagnostic(file: file, line: place.line, column: place.column, message: error.message)
            )
        }
    }
}

/// What is wrong with a text as YAML.
private struct YAMLProblem: Error {
    let message: String
    let position: YAMLPosition
}

/// A text whose bytes have passed, with its lines for looking at single characters.
private struct YAMLDocument {
    private let text: String
    private let lines: [[Unicode.Scalar]]

    init(_ bytes: [UInt8], limit: Int) throws(YAMLProblem) {
        let start = YAMLPosition(line: 1, column: 1)
        guard bytes.count <= limit else {
            throw YAMLProblem(
                message: "the file has \(bytes.count) bytes, and \(limit) are the most",
                position: start
            )
        }
        let mark: [UInt8] = [0xef, 0xbb, 0xbf]
        let bytes = bytes.starts(with: mark) ? Array(bytes.dropFirst(mark.count)) : bytes
        guard let text = String(validating: bytes, as: UTF8.self) else {
            let line = 1 + Self.validPrefix(of: bytes).count { $0 == "\n" }
            throw YAMLProblem(
                message: "the file is not UTF-8",
                position: YAMLPosition(line: line, column: 1)
            )
        }
        self.text = text
        lines = Self.lines(of: text)
        try checkCharacters()
    }

    func root() throws(YAMLProblem) -> YAMLNode? {
        try refuseAnchors()
        guard let node = try compose(text) else { return nil }
        let root = try converted(node, depth: 1)
        return root.content == .empty ? nil : root
    }

    /// Finds anchors before anything can follow them.
    ///
    /// Yams puts what an alias stands for in its place, so that a small text can grow without bound where keys
    /// are compared. With every `&` read as `!` an anchor is a tag of the same length: nothing is ever anchored,
    /// each alias is an error of its own, and the tags stand where the anchors do.
    private func refuseAnchors() throws(YAMLProblem) {
        guard text.utf8.contains(UInt8(ascii: "&")) else { return }
        let bytes = text.utf8.map { $0 == UInt8(ascii: "&") ? UInt8(ascii: "!") : $0 }
        if let node = try compose(String(decoding: bytes, as: UTF8.self)) {
            _ = try converted(node, depth: 1)
        }
    }

    /// The encoding is named, since Yams else asks the environment for it.
    private func compose(_ yaml: String) throws(YAMLProblem) -> Node? {
        do {
            return try Yams.compose(yaml: yaml, .basic, .default, .utf8)
        } catch {
            throw problem(of: error)
        }
    }

    private func converted(_ node: Node, depth: Int) throws(YAMLProblem) -> YAMLNode {
        let position = YAMLPosition(node.mark)
        if let message = refusal(at: position) { throw YAMLProblem(message: message, position: position) }
        guard depth <= YAMLSource.depth || node.scalar != nil else {
            throw YAMLProblem(message: "this nests deeper than \(YAMLSource.depth)", position: position)
        }
        switch node {
        case .scalar(let scalar):
            let isEmpty = scalar.string.isEmpty && scalar.style == .plain
            return YAMLNode(isEmpty ? .empty : .scalar(scalar.string), at: position)
        case .sequence(let sequence):
            var elements: [YAMLNode] = []
            for element in sequence { elements.append(try converted(element, depth: depth + 1)) }
            return YAMLNode(.sequence(elements), at: position)
        case .mapping(let mapping):
            return YAMLNode(.mapping(try members(of: mapping, depth: depth)), at: position)
        case .alias:
            throw YAMLProblem(message: Self.noAliases, position: position)
        }
    }

    private func members(of mapping: Node.Mapping, depth: Int) throws(YAMLProblem) -> [YAMLMember] {
        var members: [YAMLMember] = []
        var seen: Set<String> = []
        for (key, value) in mapping {
            let position = YAMLPosition(key.mark)
            guard case .scalar(let name) = try converted(key, depth: depth + 1).content else {
                throw YAMLProblem(message: "a key is a single word", position: position)
            }
            guard name != "<<" else {
                throw YAMLProblem(message: "merge keys (<<) are not taken", position: position)
            }
            guard seen.insert(name).inserted else {
                throw YAMLProblem(message: Self.twice(name), position: position)
            }
            let value = try converted(value, depth: depth + 1)
            members.append(YAMLMember(key: name, at: position, value: value))
        }
        return members
    }

    private func problem(of error: any Error) -> YAMLProblem {
        let start = YAMLPosition(line: 1, column: 1)
        switch error as? YamlError {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            return self.problem(problem, at: mark, context: context)
        case .duplicatedKeysInMapping(let keys, let context):
            return YAMLProblem(
                message: Self.twice(keys.first ?? "") + ", first here",
                position: YAMLPosition(context.mark)
            )
        case .some(let other):
            return YAMLProblem(message: "this is not YAML: \(other)", position: start)
        case nil:
            return YAMLProblem(message: "this is not YAML: \(error)", position: start)
        }
    }

    private func problem(_ problem: String, at mark: Mark, context: YamlError.Context?) -> YAMLProblem {
        let position = YAMLPosition(mark)
        if let message = refusal(at: position) { return YAMLProblem(message: message, position: position) }
        if let before = context.map({ YAMLPosition($0.mark) }), let message = refusal(at: before) {
            return YAMLProblem(message: message, position: before)
        }
        switch problem {
        case "but found another document":
            return YAMLProblem(
                message: "a second document begins here, and one is the most",
                position: position
            )
        case let nesting where nesting.contains("nesting"):
            return YAMLProblem(message: "this nests deeper than \(YAMLSource.depth)", position: position)
        default:
            let place = context.map { " \($0.text)" } ?? ""
            return YAMLProblem(message: "this is not YAML: \(problem)\(place)", position: position)
        }
    }

    /// Why what begins at a position is not taken; nothing else begins with these characters.
    private func refusal(at position: YAMLPosition) -> String? {
        guard lines.indices.contains(position.line - 1) else { return nil }
        let line = lines[position.line - 1]
        guard line.indices.contains(position.column - 1) else { return nil }
        switch line[position.column - 1] {
        case "&": return "anchors (&) are not taken; write the value out at each place"
        case "*": return Self.noAliases
        case "\t": return "a tab cannot indent; use spaces"
        case "!": return "tags (!) are not taken; put a text that begins with \"!\" in quotes"
        default: return nil
        }
    }

    private static let noAliases =
        "aliases (*) are not taken; write the value out, or put a text that begins with \"*\" in quotes"

    private static func twice(_ key: String) -> String { "the key \"\(key.prefix(64))\" is there twice" }
}

// MARK: Characters and lines as libyaml sees them

extension YAMLDocument {
    private func checkCharacters() throws(YAMLProblem) {
        for (row, line) in lines.enumerated() {
            guard let column = line.firstIndex(where: { !Self.isAllowed($0) }) else { continue }
            let code = String(line[column].value, radix: 16, uppercase: true)
            throw YAMLProblem(
                message: "the character U+\(String(repeating: "0", count: max(0, 4 - code.count)))\(code)"
                    + " may not stand in the file; write it as an escape in double quotes",
                position: YAMLPosition(line: row + 1, column: column + 1)
            )
        }
    }

    /// The printable characters of YAML 1.2, section 5.1, but for a byte order mark within the text.
    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0xfeff: false
        case 0x09, 0x20...0x7e, 0x85, 0xa0...0xd7ff, 0xe000...0xfffd, 0x1_0000...0x10_ffff: true
        default: false
        }
    }

    /// The lines, cut where libyaml counts a new one.
    private static func lines(of text: String) -> [[Unicode.Scalar]] {
        var lines: [[Unicode.Scalar]] = [[]]
        var previous: Unicode.Scalar = " "
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n" where previous == "\r": break
            case "\n", "\r", "\u{85}", "\u{2028}", "\u{2029}": lines.append([])
            default: lines[lines.count - 1].append(scalar)
            }
            previous = scalar
        }
        return lines
    }

    private static func validPrefix(of bytes: [UInt8]) -> String.UnicodeScalarView.SubSequence {
        String(decoding: bytes, as: UTF8.self).unicodeScalars.prefix { $0 != "\u{fffd}" }
    }
}

extension YAMLPosition {
    /// The place of a node; Yams gives one to every node that it has read.
    fileprivate init(_ mark: Mark?) {
        self.init(line: mark?.line ?? 1, column: mark?.column ?? 1)
    }
}
