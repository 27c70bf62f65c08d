import BulkheadCore
import BulkheadPolicy
import Testing

@Suite("YAMLSource") struct YAMLSourceTests {
    private func read(_ text: String) throws -> YAMLNode? {
        try YAMLSource.read(Array(text.utf8), file: "f.yaml")
    }

    private func message(_ text: String) -> String? {
        do {
            _ = try YAMLSource.read(Array(text.utf8), file: "f.yaml")
            return nil
        } catch {
            return error.description
        }
    }

    @Test("scalars stay text, whatever another reader would make of them")
    func scalarsStayText() throws {
        let root = try #require(try read("[off, no, 010, 1.0, ~, null, 2024-01-01, 'x', \"y\", <<]"))
        guard case .sequence(let elements) = root.content else {
            Issue.record("no list")
            return
        }
        #expect(
            elements.map(\.content)
                == ["off", "no", "010", "1.0", "~", "null", "2024-01-01", "x", "y", "<<"].map { .scalar($0) }
        )
    }

    @Test("positions count lines and characters from 1")
    func positions() throws {
        let root = try #require(try read("# é\na: 1\n\"ü\": [x, y]\n"))
        guard case .mapping(let members) = root.content else {
            Issue.record("no mapping")
            return
        }
        #expect(
            members.map(\.position) == [YAMLPosition(line: 2, column: 1), YAMLPosition(line: 3, column: 1)]
        )
        #expect(members.map(\.value.position.column) == [4, 6])
    }

    @Test("a byte order mark is no part of the text")
    func byteOrderMark() throws {
        #expect(try read("\u{feff}a: 1") == read("a: 1"))
    }

    @Test("a key without a value is empty, and a quoted nothing is a text")
    func emptyValues() throws {
        let root = try #require(try read("a:\nb: \"\"\n"))
        guard case .mapping(let members) = root.content else {
            Issue.record("no mapping")
            return
        }
        #expect(members.map(\.value.content) == [.empty, .scalar("")])
    }

    @Test(
        "a file of white space, comments or a mere marker holds nothing",
        arguments: ["", " \n", "# a\n", "---\n", "---\n...\n"]
    )
    func nothing(text: String) throws {
        #expect(try read(text) == nil)
    }

    @Test(
        "nesting beyond the bound is an error and never a deep recursion",
        arguments: [
            ("[", 100_000), ("[\n", 100_000), ("{a: ", 60_000), ("- ", 100_000), ("? ", 100_000),
            ("[a: ", 60_000), ("[? ", 60_000),
        ]
    )
    func nesting(opening: String, times: Int) {
        let message = message(String(repeating: opening, count: times))
        #expect(message?.hasSuffix("this nests deeper than 16") == true, "\(message ?? "taken")")
    }

    @Test("closed brackets and indented keys nest no deeper than others")
    func closedNesting() {
        let indented = (0..<600).map { String(repeating: " ", count: $0) + "a:\n" }.joined()
        for text in [nested(17), nested(100_000), indented] {
            #expect(message(text)?.hasSuffix("this nests deeper than 16") == true)
        }
    }

    private func nested(_ depth: Int) -> String {
        String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }

    @Test("nesting up to the bound is taken")
    func nestingWithinBound() throws {
        #expect(try read(nested(16)) != nil)
    }

    @Test("aliases that would grow without bound are refused at once, as values and as keys")
    func exponentialAliases() {
        var text = "a0: &a0 [x, x]\n"
        for level in 1...60 { text += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
        text += "? *a60\n: 1\n? [*a60]\n: 2\n"
        #expect(message(text)?.hasPrefix("f.yaml:2:10: aliases (*) are not taken") == true)
    }

    @Test("&, * and ! within a text are text", arguments: ["a & b", "a&b", "2 * 3", "stop!", "a !b &c *d"])
    func signsWithinTexts(text: String) throws {
        #expect(try read(text)?.content == .scalar(text))
        #expect(try read("'&\(text)'")?.content == .scalar("&\(text)"))
        #expect(try read("a: |\n  \(text)\n  *x\n").map { "\($0.content)".contains("*x") } == true)
    }

    @Test(
        "anchors, aliases and tags are found wherever they stand",
        arguments: [
            ("a: &b", 4), ("a: &b c", 4), ("&a b: c", 1), ("a: [x, &b]", 8), ("a: {b: &c d}", 8),
            ("a: !b &c d", 7),
            ("a: &b !c d", 7), ("a: *b", 4), ("*a : b", 1), ("a: [*b]", 5), ("a: !!str b", 4),
            ("a: !<tag:x> b", 4),
            ("a: ! b", 4), ("a: !b", 4), ("&b", 1), ("- &b", 3),
        ]
    )
    func signs(text: String, column: Int) {
        let message = message(text)
        #expect(message?.hasPrefix("f.yaml:1:\(column): ") == true, "\(message ?? "taken")")
        #expect(message?.contains("are not taken") == true, "\(message ?? "taken")")
    }

    @Test("the size is checked before the text is read")
    func size() throws {
        let bytes = Array(repeating: UInt8(ascii: "#"), count: Limits.policyFileBytes + 1)
        let error = try #require(throws: PolicyDiagnostics.self) {
            try YAMLSource.read(bytes, file: "f.yaml")
        }
        #expect(error.description == "f.yaml:1:1: the file has 262145 bytes, and 262144 are the most")
        #expect(try YAMLSource.read(Array(bytes.dropLast()), file: "f.yaml") == nil)
    }
}
