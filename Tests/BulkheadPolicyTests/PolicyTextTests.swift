import BulkheadCore
import BulkheadPolicy
import Testing

@Suite("Policy.text") struct PolicyTextTests {
    private func readBack(_ policy: Policy) throws -> Policy {
        try PolicyReader.read(Array(policy.text.utf8), file: "p.yaml")
    }

    @Test("the built-in policy reads back the same, and every key is shown")
    func builtIn() throws {
        #expect(try readBack(Policy()) == Policy())
        let keys = Policy().text.split(separator: "\n").compactMap {
            $0.split(separator: ":").first.map(String.init)
        }
        #expect(
            keys == [
                "pool", "timeout", "grace", "priority", "recovery", "retry", "output", "sandbox", "  preset",
                "  syscalls", "    allow", "    deny", "    on-denied", "  read", "  write", "  network",
                "  enforcement", "limits", "  # no limit", "environment", "arguments", "user",
            ]
        )
    }

    @Test("a policy that sets everything reads back the same")
    func everything() throws {
        let policy = try PolicyReader.read(try Fixtures.bytes("valid/everything.yaml"), file: "p.yaml")
        #expect(try readBack(policy) == policy)
    }

    @Test("a policy without a timeout or a network reads back the same")
    func noTimeout() throws {
        var policy = Policy()
        policy.timeout = nil
        policy.sandbox.preset = .unconfined
        policy.user = .named("null")
        #expect(try readBack(policy) == policy)
    }

    @Test(
        "any text survives being shown and read",
        arguments: [
            "", " ", "a: b # c", "\"\\", "\n\r\t", "\u{1}\u{7f}\u{85}\u{9f}\u{a0}",
            "\u{2028}\u{2029}\u{feff}\u{fffe}",
            "ü 漢字 \u{1f600}\u{10ffff}", "&a *b !c", "- x", "'", "%", "~", "null", "e\u{301}",
        ]
    )
    func texts(text: String) throws {
        var policy = Policy()
        policy.description = text
        policy.arguments = [text, "x" + text]
        policy.environment = [EnvironmentVariable(name: "_A1", value: text)]
        let read = try readBack(policy)
        #expect(read == policy)
        #expect(read.arguments.map { Array($0.utf8) } == policy.arguments.map { Array($0.utf8) })
    }
}
