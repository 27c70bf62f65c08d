import BulkheadCore
import BulkheadPolicy
import Testing

@Suite("Files that are wrong") struct InvalidFilesTests {
    @Test("each wrong policy is refused with the diagnostic that expected.txt gives it")
    func policies() throws {
        let names = try Fixtures.names(in: "invalid")
        var actual: [String] = []
        for name in names {
            let bytes = try Fixtures.bytes("invalid/\(name)")
            let error = #expect(throws: PolicyDiagnostics.self, "\(name) was taken") {
                try PolicyReader.read(bytes, file: name)
            }
            if let error { actual.append(error.first.description) }
        }
        #expect(actual == (try Fixtures.lines("invalid/expected.txt")))
    }

    @Test("each wrong pools file is refused with the diagnostic that expected.txt gives it")
    func pools() throws {
        let names = try Fixtures.names(in: "invalid-pools")
        var actual: [String] = []
        for name in names {
            let bytes = try Fixtures.bytes("invalid-pools/\(name)")
            let error = #expect(throws: PolicyDiagnostics.self, "\(name) was taken") {
                try PoolsFile.read(bytes, file: name, cores: 2)
            }
            if let error { actual.append(error.first.description) }
        }
        #expect(actual == (try Fixtures.lines("invalid-pools/expected.txt")))
    }

    @Test("everything that is wrong is told at once, in the file's order")
    func allAtOnce() throws {
        let text = "timeout: -5s\nlimits: {scratch: 1KiB, memory: 1}\npool: A\nnothing: 1\n"
        let error = try #require(throws: PolicyDiagnostics.self) {
            try PolicyReader.read(Array(text.utf8), file: "p.yaml")
        }
        #expect(error.all.map(\.line) == [1, 2, 2, 3, 4])
        #expect(error.all.map(\.column) == [10, 19, 33, 7, 1])
    }

    @Test("a file of nothing but mistakes costs a bounded number of diagnostics")
    func boundedFindings() throws {
        let text = (0..<10_000).map { "wrong\($0): 1\n" }.joined()
        let error = try #require(throws: PolicyDiagnostics.self) {
            try PolicyReader.read(Array(text.utf8), file: "p.yaml")
        }
        #expect(error.all.count == 64)
    }

    @Test("what a message quotes cannot reach a terminal as a control sequence, and is bounded")
    func printable() throws {
        let text = #"timeout: "\e[2J\u202Ex"\n"#.replacing("\\n", with: "\n")
        let error = try #require(throws: PolicyDiagnostics.self) {
            try PolicyReader.read(Array(text.utf8), file: "p.yaml")
        }
        #expect(error.first.message.hasPrefix(#"timeout: "\u001b[2J\u202ex" is not a duration"#))
        let marks = "timeout: x" + String(repeating: "\u{301}", count: 50_000)
        let bounded = try #require(throws: PolicyDiagnostics.self) {
            try PolicyReader.read(Array(marks.utf8), file: "p.yaml")
        }
        #expect(bounded.first.message.unicodeScalars.count <= 1_025)
    }
}
