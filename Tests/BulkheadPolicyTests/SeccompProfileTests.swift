import BulkheadCore
import BulkheadPolicy
import Testing

@Suite("SeccompProfile") struct SeccompProfileTests {
    private func rules(
        _ name: String,
        network: SandboxPolicy.Network = .host,
        on architecture: Architecture = .x8664,
        kernel: KernelVersion = KernelVersion(6, 1)
    ) throws -> SystemCallRules {
        try rules(of: Fixtures.profile("valid/\(name)"), network: network, on: architecture, kernel: kernel)
    }

    private func rules(
        of bytes: [UInt8],
        network: SandboxPolicy.Network = .host,
        on architecture: Architecture = .x8664,
        kernel: KernelVersion = KernelVersion(6, 1)
    ) throws -> SystemCallRules {
        let host = ProfileHost(architecture: architecture, kernel: kernel)
        var policy = SandboxPolicy()
        policy.network = network
        policy.profile = try ProfileReader.read(bytes, name: "p.json", file: "policies/p.json", host: host)
        return try SystemCallRules(policy, table: .table(of: architecture))
    }

    /// Rules of a profile that refuses by default and gives what every launch needs.
    private func rules(entries: String, default action: String = "ERRNO") throws -> SystemCallRules {
        let essential = """
            {"names": ["exit", "exit_group", "rt_sigreturn", "write", "execve"], "action": "SCMP_ACT_ALLOW"}
            """
        return try rules(
            of: Array(
                "{\"defaultAction\": \"SCMP_ACT_\(action)\", \"syscalls\": [\(essential), \(entries)]}".utf8
            )
        )
    }

    private func verdict(_ rules: SystemCallRules, _ name: String, _ arguments: UInt64...) throws -> Verdict {
        let number = try #require(SyscallTable.table(of: rules.architecture).number(of: name))
        return rules.verdict(
            number: number,
            arguments: arguments + [UInt64](repeating: 0, count: 6 - arguments.count)
        )
    }

    @Test("Docker's way of writing a profile means what it means there", arguments: Architecture.allCases)
    func docker(architecture: Architecture) throws {
        let rules = try rules("docker-like.json", on: architecture)
        #expect(try verdict(rules, "openat") == .allow)
        #expect(try verdict(rules, "unshare") == .denyWith(errno: 1))
        #expect(try verdict(rules, "clone3") == .unimplemented)
        #expect(try verdict(rules, "ptrace") == .allow)
        #expect(
            try verdict(
                self.rules("docker-like.json", on: architecture, kernel: KernelVersion(4, 4)),
                "ptrace"
            )
                == .denyWith(errno: 1)
        )
        #expect(try verdict(rules, "clone", 0x11) == .allow)
        #expect(try verdict(rules, "clone", 0x1000_0011) == .denyWith(errno: 1))
        #expect(try verdict(rules, "personality", 8) == .allow)
        #expect(try verdict(rules, "personality", 0x0004_0000) == .denyWith(errno: 1))
        #expect(try verdict(rules, "socket", 1) == .allow)
        // AF_VSOCK, however the unused half of the register is set.
        #expect(try verdict(rules, "socket", 40) == .denyWith(errno: 1))
        #expect(try verdict(rules, "socket", 0x1_0000_0028) == .denyWith(errno: 1))
        // The profile names nothing newer than mseal, but the table does.
        #expect(try verdict(rules, "setxattrat") == .unimplemented)
        #expect(rules.verdict(number: 400, arguments: [0, 0, 0, 0, 0, 0]) == .unimplemented)
        #expect(!rules.refusesExec)
        #expect(rules.givesUnixSockets)
    }

    @Test("Podman's way of writing a profile means what it means there")
    func podman() throws {
        let rules = try rules("podman-like.json")
        #expect(try verdict(rules, "keyctl") == .denyWith(errno: 1))
        #expect(try verdict(rules, "add_key") == .denyWith(errno: 38))
        #expect(try verdict(rules, "acct") == .denyWith(errno: 1))
        #expect(try verdict(rules, "clone3") == .allow)
        #expect(try verdict(rules, "socket", 16, 3, 9) == .denyWith(errno: 22))
        #expect(try verdict(rules, "socket", 0x1_0000_0010, 3, 0x7_0000_0009) == .denyWith(errno: 22))
        #expect(try verdict(rules, "socket", 16, 3, 0) == .allow)
        #expect(try verdict(rules, "socket", 2, 1, 9) == .allow)
    }

    @Test("a list of what is denied gives everything else, numbers that nobody knows too")
    func denyList() throws {
        let rules = try rules("deny-list.json")
        #expect(try verdict(rules, "mount") == .denyWith(errno: 1))
        #expect(try verdict(rules, "chmod") == .denyWith(errno: 30))
        #expect(try verdict(rules, "keyctl") == .denyAndEnd)
        #expect(try verdict(rules, "fsync") == .fail(errno: 0))
        #expect(try verdict(rules, "setpriority", 1, 0, 10) == .denyWith(errno: 1))
        #expect(try verdict(rules, "setpriority", 1, 0, 9) == .allow)
        #expect(try verdict(rules, "setpriority", 0, 0, 10) == .allow)
        #expect(try verdict(rules, "mmap", 0, 1 << 40 + 1, 7) == .denyWith(errno: 1))
        #expect(try verdict(rules, "mmap", 0, 1 << 40, 7) == .allow)
        #expect(try verdict(rules, "mmap", 0, 1 << 41, 3) == .allow)
        #expect(try verdict(rules, "madvise", 0, 0, 7) == .log)
        #expect(try verdict(rules, "prlimit64", 0xFFFF_FFFF) == .trap)
        #expect(try verdict(rules, "prlimit64", .max) == .trap)
        #expect(try verdict(rules, "lseek", 0, 1 << 62, 2) == .denyWith(errno: 1))
        #expect(try verdict(rules, "lseek", 0, 1 << 62, 3) == .allow)
        #expect(rules.verdict(number: 400, arguments: [0, 0, 0, 0, 0, 0]) == .allow)
        #expect(rules.verdict(number: 0x4000_0000, arguments: [0, 0, 0, 0, 0, 0]) == .kill)
    }

    @Test("the old form with one name an entry, and the end of the task for everything else")
    func old() throws {
        let rules = try rules("old-docker.json")
        #expect(try verdict(rules, "read") == .allow)
        #expect(try verdict(rules, "mount") == .denyAndEnd)
        #expect(try verdict(rules, "unshare") == .denyWith(errno: 1))
        #expect(rules.verdict(number: 400, arguments: [0, 0, 0, 0, 0, 0]) == .unimplemented)
    }

    @Test("of the entries that hold, the strictest decides, in whatever order they stand")
    func strictest() throws {
        let entries = [
            ("ALLOW", Verdict.allow), ("LOG", .log), ("ERRNO", .denyWith(errno: 1)), ("TRAP", .trap),
            ("KILL_PROCESS", .denyAndEnd),
        ].map { (text: "{\"names\": [\"ptrace\"], \"action\": \"SCMP_ACT_\($0.0)\"}", verdict: $0.1) }
        for (lenient, first) in entries.enumerated() {
            for second in entries[lenient...] {
                // The default is neither of the two, so that both entries say something.
                let fallback = [first, second].contains { $0.verdict == .denyAndEnd } ? "ERRNO" : "KILL"
                let isDefault = fallback == "ERRNO" && second.verdict == .denyWith(errno: 1)
                let expected = isDefault ? first.verdict : second.verdict
                for texts in [[first.text, second.text], [second.text, first.text]] {
                    let rules = try rules(entries: texts.joined(separator: ","), default: fallback)
                    if first.verdict == .denyWith(errno: 1), fallback == "ERRNO" { continue }
                    #expect(try verdict(rules, "ptrace") == expected, "\(texts)")
                }
            }
        }
    }

    @Test("an entry that says what the default says adds nothing, even without conditions")
    func sameAsDefault() throws {
        let rules = try rules(
            entries: """
                {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
                {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}
                """
        )
        #expect(try verdict(rules, "socket", 1) == .allow)
        #expect(try verdict(rules, "socket", 2) == .denyWith(errno: 1))
    }

    @Test(
        "of two errnos the first in the file is answered, and two conditions on one argument are alternatives"
    )
    func equals() throws {
        let rules = try rules(
            entries: """
                {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97, "args": [
                  {"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 17, "op": "SCMP_CMP_EQ"}]},
                {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": [
                  {"index": 0, "value": 16, "op": "SCMP_CMP_GE"}]}
                """,
            default: "ALLOW"
        )
        #expect(try verdict(rules, "socket", 16) == .denyWith(errno: 97))
        #expect(try verdict(rules, "socket", 17) == .denyWith(errno: 97))
        #expect(try verdict(rules, "socket", 18) == .denyWith(errno: 13))
        #expect(try verdict(rules, "socket", 15) == .allow)
    }

    @Test(
        "network none is kept under a profile",
        arguments: ["docker-like.json", "podman-like.json", "deny-list.json"]
    )
    func networkNone(name: String) throws {
        let rules = try rules(name, network: .none)
        for family in [2, 10, 16, 17, 40, 0x1_0000_0002, 0xFFFF_FFFF] as [UInt64] {
            for type in [1, 2, 3, 5] as [UInt64] {
                #expect(try verdict(rules, "socket", family, type) == .deny)
                #expect(try verdict(rules, "socketpair", family, type) == .deny)
            }
        }
        #expect(try verdict(rules, "socket", 1, 1) == .allow)
        #expect(try verdict(rules, "io_uring_setup") == .deny)
        #expect(rules.verdict(number: 400, arguments: [0, 0, 0, 0, 0, 0]) == .unimplemented)
    }

    @Test(
        "a profile that does not give what every launch needs is refused",
        arguments: [
            "{\"defaultAction\": \"SCMP_ACT_ERRNO\"}",
            """
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["write"], "action": "SCMP_ACT_ERRNO",
              "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_GT"}]}]}
            """,
            """
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ERRNO",
              "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]}]}
            """,
            "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"execve\"], \"action\": \"SCMP_ACT_TRAP\"}]}",
        ]
    )
    func essential(text: String) {
        let error = #expect(throws: BulkheadError.self) { try rules(of: Array(text.utf8)) }
        #expect(error?.code == .invalidSetting)
        #expect(error?.message.contains("every launch needs") == true)
    }

    @Test("a profile of another architecture is not taken for this one's")
    func wrongArchitecture() throws {
        var policy = SandboxPolicy()
        policy.profile = try ProfileReader.read(
            Fixtures.profile("valid/docker-like.json"),
            name: "p.json",
            file: "p.json",
            host: ProfileHost(architecture: .aarch64, kernel: KernelVersion(6, 1))
        )
        #expect(throws: BulkheadError.self) { try SystemCallRules(policy, table: .table(of: .x8664)) }
    }

    @Test("Unix sockets that a profile gives by other arguments are seen")
    func unixSockets() throws {
        func gives(_ arguments: String) throws -> Bool {
            try rules(
                entries: "{\"names\": [\"socket\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": [\(arguments)]}"
            )
            .givesUnixSockets
        }
        #expect(try gives("{\"index\": 2, \"value\": 1, \"op\": \"SCMP_CMP_EQ\"}"))
        #expect(try gives("{\"index\": 1, \"value\": 526338, \"op\": \"SCMP_CMP_EQ\"}"))
        #expect(try !gives("{\"index\": 0, \"value\": 2, \"op\": \"SCMP_CMP_EQ\"}"))
        #expect(try !gives("{\"index\": 0, \"value\": 1, \"op\": \"SCMP_CMP_GT\"}"))
        let pair =
            "{\"names\": [\"socketpair\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": [\(#"{"index": 1, "value": 15, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}"#)]}"
        #expect(try rules(entries: pair).givesUnixSockets)
    }

    @Test("the lines that decide on a call are told, the strongest first")
    func lines() throws {
        let text = """
            {
              "defaultAction": "SCMP_ACT_ERRNO",
              "syscalls": [
                {"names": ["read",
                           "exit", "exit_group"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
                {"names": ["socket"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}
              ]
            }
            """
        let profile = try ProfileReader.read(
            Array(text.utf8),
            name: "p.json",
            file: "p.json",
            host: ProfileHost(architecture: .x8664, kernel: KernelVersion(6, 1))
        )
        #expect(profile.lines(deciding: "read") == [4])
        #expect(profile.lines(deciding: "exit") == [5])
        #expect(profile.lines(deciding: "socket") == [7, 6, 2])
        #expect(profile.lines(deciding: "mount") == [2])
    }
}
