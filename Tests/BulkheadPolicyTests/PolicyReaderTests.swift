import BulkheadCore
import BulkheadPolicy
import Testing

@Suite("PolicyReader") struct PolicyReaderTests {
    private func read(_ text: String) throws -> Policy {
        try PolicyReader.read(Array(text.utf8), file: "p.yaml")
    }

    @Test("an empty mapping is the built-in policy")
    func builtIn() throws {
        #expect(try PolicyReader.read(try Fixtures.bytes("valid/built-in.yaml"), file: "p.yaml") == Policy())
    }

    @Test("every key is read into the policy")
    func everything() throws {
        var expected = Policy()
        expected.pool = try PoolName("media")
        expected.description = "Make a thumbnail of an untrusted image"
        expected.timeout = .seconds(30)
        expected.grace = .seconds(5)
        expected.priority = -3
        expected.recovery.mode = .rehydrate
        expected.recovery.limit = 5
        expected.retry.limit = 3
        expected.retry.backoff =
            BackoffSchedule(delay: .milliseconds(250), maximum: .seconds(300), jitter: .none)
        expected.output.limit = 8 << 20
        expected.output.onLimit = .fail
        expected.sandbox.preset = .network
        expected.sandbox.allow = [.group("@network-io"), .name("ptrace")]
        expected.sandbox.deny = [.name("mount")]
        expected.sandbox.onDenied = .kill
        expected.sandbox.read = ["/usr/share/fonts", "/srv/in"]
        expected.sandbox.write = ["/srv/thumbnails"]
        expected.sandbox.network = .none
        expected.sandbox.enforcement = .bestEffort
        expected.limits.memory = 512 << 20
        expected.limits.cpu = .seconds(60)
        expected.limits.processes = 64
        expected.limits.openFiles = 256
        expected.limits.fileSize = 100 << 20
        expected.limits.scratch = 256 << 20
        expected.environment = [
            ("OMP_NUM_THREADS", "1"), ("OLD", "off"), ("CODE", "010"), ("ANSWER", "no"), ("EMPTY", ""),
        ].map { EnvironmentVariable(name: $0, value: $1) }
        expected.arguments = ["--fast", "3", "yes", "~", "null", "", "a & b * c !"]
        expected.user = .named("nobody")
        expected.sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        #expect(
            try PolicyReader.read(try Fixtures.bytes("valid/everything.yaml"), file: "p.yaml") == expected
        )
    }

    @Test(
        "the network that nobody names is the host's under network and unconfined alone",
        arguments: Preset.allCases
    )
    func defaultNetwork(preset: Preset) throws {
        let hasNetwork = preset == .network || preset == .unconfined
        #expect(
            try read("sandbox: {preset: \(preset.rawValue)}").sandbox.network == (hasNetwork ? .host : .none)
        )
        #expect(try read("sandbox: {network: none, preset: \(preset.rawValue)}").sandbox.network == .none)
        #expect(try read("sandbox: {network: host, preset: \(preset.rawValue)}").sandbox.network == .host)
    }

    @Test("a timeout of 0 is none")
    func noTimeout() throws {
        #expect(try read("timeout: 0").timeout == nil)
        #expect(try read("timeout: 0s").timeout == nil)
        #expect(try read("{}").timeout == .seconds(3_600))
    }

    @Test("recovery has a short form and a long one", arguments: RecoveryPolicy.Mode.allCases)
    func recovery(mode: RecoveryPolicy.Mode) throws {
        var expected = RecoveryPolicy()
        expected.mode = mode
        #expect(try read("recovery: \(mode.rawValue)").recovery == expected)
        expected.limit = 7
        #expect(try read("recovery: {mode: \"\(mode.rawValue)\", limit: \"7\"}").recovery == expected)
    }

    @Test("an entry with an exclamation mark takes out what came before it")
    func negatedEntry() throws {
        let policy = try read(#"sandbox: {syscalls: {deny: ["@process", "!execve"]}}"#)
        let denied = SyscallSelector.names(of: policy.sandbox.deny)
        #expect(denied.contains("fork"))
        #expect(!denied.contains("execve"))
    }

    @Test("PATH and LANG may be set")
    func pathMayBeSet() throws {
        let policy = try read("environment: {PATH: /opt/bin, LANG: de_DE.UTF-8}")
        #expect(policy.environment.map(\.name) == ["PATH", "LANG"])
    }

    @Test(
        "values at their bounds are taken",
        arguments: [
            "grace: 0", "grace: 1h", "timeout: 8784h", "priority: 1000000", "priority: -1000000",
            "priority: 0",
            "retry: {limit: 1000, delay: 0, maximum-delay: 0}", "output: {limit: 1B}",
            "limits: {memory: 1MiB}",
            "limits: {open-files: 16}", "limits: {file-size: 0}", "limits: {processes: 1}",
            "sandbox: {read: [/]}",
            "recovery: {limit: 1}", "user: dynamic", "user: root", "user: www-data",
        ]
    )
    func bounds(text: String) throws {
        _ = try read(text)
    }

    @Test("128 arguments are taken")
    func mostArguments() throws {
        let words = Array(repeating: "a", count: Limits.arguments)
        #expect(try read("arguments: [\(words.joined(separator: ","))]").arguments == words)
    }
}
