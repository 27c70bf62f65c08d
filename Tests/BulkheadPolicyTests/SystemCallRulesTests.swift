import BulkheadCore
import BulkheadPolicy
import Testing

@Suite("SystemCallRules")
struct SystemCallRulesTests {
    private func rules(
        _ preset: Preset = .default,
        network: SandboxPolicy.Network = .none,
        allow: [String] = [],
        deny: [String] = [],
        on architecture: Architecture = .x8664
    ) throws -> SystemCallRules {
        var policy = SandboxPolicy()
        policy.preset = preset
        policy.network = network
        policy.allow = try allow.map { try SyscallSelector($0) }
        policy.deny = try deny.map { try SyscallSelector($0) }
        return try SystemCallRules(policy, table: .table(of: architecture))
    }

    private func verdict(_ rules: SystemCallRules, _ name: String, _ arguments: UInt64...) throws -> Verdict {
        let number = try #require(SyscallTable.table(of: rules.architecture).number(of: name))
        let filled = arguments + [UInt64](repeating: 0, count: 6 - arguments.count)
        return rules.verdict(number: number, arguments: filled)
    }

    @Test("deny beats allow, allow beats the preset")
    func precedence() throws {
        #expect(try verdict(try rules(), "ptrace") == .deny)
        #expect(try verdict(try rules(allow: ["ptrace"]), "ptrace") == .allow)
        #expect(try verdict(try rules(allow: ["ptrace"], deny: ["@debug"]), "ptrace") == .deny)
        #expect(try verdict(try rules(deny: ["fork"]), "fork") == .deny)
        #expect(try verdict(try rules(.unconfined, network: .host, deny: ["fork"]), "fork") == .deny)
        #expect(try verdict(try rules(deny: ["@process", "!kill"]), "kill") == .allow)
    }

    @Test("allow gives a call wholly where the preset gives some of its arguments")
    func wholly() throws {
        let newUser: UInt64 = 0x1000_0011
        #expect(try verdict(try rules(), "clone", newUser) == .deny)
        #expect(try verdict(try rules(allow: ["clone"]), "clone", newUser) == .allow)
        #expect(try verdict(try rules(allow: ["@process"]), "clone", newUser) == .allow)
        #expect(try verdict(try rules(allow: ["ioctl"]), "ioctl", 0, 0x5412) == .allow)
    }

    @Test("an unknown number and clone3 answer ENOSYS, a denied one is denied, a foreign one kills")
    func fixedVerdicts() throws {
        let none: [UInt64] = [0, 0, 0, 0, 0, 0]
        let rules = try rules()
        #expect(rules.verdict(number: 400, arguments: none) == .fail(errno: 38))
        #expect(rules.verdict(number: 0x3FFF_FFFF, arguments: none) == .fail(errno: 38))
        #expect(rules.verdict(number: .max, arguments: none) == .fail(errno: 38))
        #expect(rules.verdict(number: 0x4000_0000, arguments: none) == .kill)
        #expect(rules.verdict(number: 0xFFFF_FFFE, arguments: none) == .kill)
        #expect(try verdict(rules, "clone3") == .unimplemented)
        #expect(try verdict(rules, "bpf") == .deny)
        let arm = try self.rules(on: .aarch64)
        #expect(arm.verdict(number: 0x4000_0000, arguments: none) == .unimplemented)
    }

    @Test(
        "arguments decide, by the bits that the kernel looks at",
        arguments: [
            ("ioctl", [0, 0x5401], Verdict.allow), ("ioctl", [0, 0x5412], .deny),
            ("ioctl", [0, 0x541C], .deny),
            ("ioctl", [0, 0x1_0000_5412], .deny), ("ioctl", [0, 0xFFFF_FFFF_0000_541C], .deny),
            ("clone", [0x11], .allow), ("clone", [0x3D_0F00], .allow), ("clone", [0x0002_0011], .deny),
            ("clone", [0x4000_0000], .deny), ("clone", [0x1_0000_0011], .allow),
            ("personality", [0], .allow), ("personality", [0xFFFF_FFFF], .allow),
            ("personality", [0x0004_0000], .deny),
            ("personality", [0x1_0000_0000], .allow), ("prctl", [15], .allow), ("prctl", [35], .deny),
            ("prctl", [0x1_0000_0023], .deny), ("prlimit64", [0, 7, 0x7000], .allow),
            ("prlimit64", [1, 7, 0], .allow), ("prlimit64", [1, 7, 0x7000], .deny),
            ("prlimit64", [0x1_0000_0000, 7, 0x7000], .allow), ("prlimit64", [1, 7, 0x1_0000_0000], .deny),
            ("mknodat", [0, 0, 0o010600], .allow), ("mknodat", [0, 0, 0o020600], .deny),
            ("mknodat", [0, 0, 0x1_0000 | 0o060600], .deny), ("seccomp", [1, 0], .allow),
            ("seccomp", [1, 8], .deny),
            ("seccomp", [1, 0x1_0000_0009], .deny), ("socketpair", [1, 1], .allow),
            ("socketpair", [1, 0o2004005], .allow), ("socketpair", [1, 2], .deny),
            ("socketpair", [1, 3], .deny),
            ("socketpair", [2, 1], .deny), ("socketpair", [0x1_0000_0001, 0x1_0000_0001], .allow),
            ("socket", [1, 1], .deny), ("socket", [2, 1], .deny),
        ] as [(String, [UInt64], Verdict)]
    )
    func arguments(name: String, arguments: [UInt64], expected: Verdict) throws {
        for architecture in Architecture.allCases {
            let rules = try rules(on: architecture)
            let number = try #require(SyscallTable.table(of: architecture).number(of: name))
            let filled = arguments + [UInt64](repeating: 0, count: 6 - arguments.count)
            #expect(rules.verdict(number: number, arguments: filled) == expected)
        }
    }

    @Test("compute gives threads and no process")
    func computeClone() throws {
        let rules = try rules(.compute)
        #expect(try verdict(rules, "clone", 0x3D_0F00) == .allow)
        #expect(try verdict(rules, "clone", 0x11) == .deny)
        #expect(try verdict(rules, "clone", 0x3D_0F00 | 0x1000_0000) == .deny)
        #expect(try verdict(rules, "setpriority", 0, 0, 5) == .allow)
        #expect(try verdict(rules, "setpriority", 0, 1, 5) == .deny)
    }

    @Test(
        "network gives TCP, UDP and the route netlink socket",
        arguments: [
            ([2, 1, 0], Verdict.allow), ([10, 0o2004001, 6], .allow), ([2, 2, 17], .allow),
            ([10, 2, 0], .allow),
            ([16, 3, 0], .allow), ([16, 0o2000002, 0], .allow), ([2, 3, 1], .deny), ([2, 2, 1], .deny),
            ([2, 1, 132], .deny), ([2, 10, 0], .deny), ([16, 3, 9], .deny), ([1, 1, 0], .deny),
            ([17, 3, 0], .deny),
            ([38, 5, 0], .deny), ([40, 1, 0], .deny), ([43, 1, 0], .deny),
        ] as [([UInt64], Verdict)]
    )
    func networkSockets(arguments: [UInt64], expected: Verdict) throws {
        let given = try rules(.network, network: .host)
        #expect(try verdict(given, "socket", arguments[0], arguments[1], arguments[2]) == expected)
        #expect(try verdict(given, "connect") == .allow)
        #expect(try verdict(given, "bind") == .allow)
        #expect(try verdict(given, "listen") == .deny)
        #expect(try verdict(given, "accept4") == .deny)
        let isolated = try rules(.network, network: .none)
        #expect(try verdict(isolated, "socket", arguments[0], arguments[1], arguments[2]) == .deny)
    }

    @Test(
        "network none gives no socket that leaves the host, whatever the preset and allow",
        arguments: Preset.allCases
    )
    func networkNone(preset: Preset) throws {
        for allow in [[], ["socket", "socketpair"], ["@network-io"], ["@known"]] {
            let rules = try rules(preset, allow: allow)
            for family in [2, 10, 16, 17, 40, 21, 43, 44, 30, 31, 0x1_0000_0002, 0xFFFF_FFFF, 46] as [UInt64]
            {
                for type in 1...10 as ClosedRange<UInt64> {
                    #expect(try verdict(rules, "socket", family, type) == .deny)
                    #expect(try verdict(rules, "socketpair", family, type) == .deny)
                }
            }
            let givesUnix = preset == .unconfined || !allow.isEmpty
            #expect(try verdict(rules, "socket", 1, 1) == (givesUnix ? .allow : .deny))
        }
    }

    @Test("network none refuses io_uring by name and says so", arguments: Preset.allCases)
    func ring(preset: Preset) throws {
        let isolated = try rules(preset, allow: ["io_uring_setup"])
        for name in ["io_uring_setup", "io_uring_enter", "io_uring_register"] {
            #expect(try verdict(isolated, name) == .deny)
        }
        #expect(isolated.warnings.count == 1)
        #expect(isolated.warnings[0].contains("io_uring_setup"))
        let open = try rules(preset, network: .host, allow: ["io_uring_setup"])
        #expect(try verdict(open, "io_uring_setup") == .allow)
        #expect(open.warnings.isEmpty)
    }

    @Test("network host widens no preset")
    func hostWidensNothing() throws {
        for preset in [Preset.default, .compute] {
            #expect(try rules(preset, network: .host).rules == rules(preset, network: .none).rules)
        }
        #expect(try verdict(try rules(network: .host, allow: ["socket"]), "socket", 2, 1) == .allow)
    }

    @Test("unconfined with the host's network needs no filter, with a deny it needs one for that alone")
    func unconfined() throws {
        let none: [UInt64] = [0, 0, 0, 0, 0, 0]
        #expect(try rules(.unconfined, network: .host).givesEverything)
        #expect(try !rules(.unconfined, network: .none).givesEverything)
        let narrowed = try rules(.unconfined, network: .host, deny: ["ptrace"])
        #expect(!narrowed.givesEverything)
        #expect(narrowed.verdict(number: 400, arguments: none) == .allow)
        #expect(try verdict(narrowed, "clone3") == .allow)
        let isolated = try rules(.unconfined, network: .none)
        #expect(isolated.verdict(number: 400, arguments: none) == .unimplemented)
        #expect(try verdict(isolated, "mount") == .allow)
    }

    @Test("the first exec reaches the listener only where exec is refused")
    func firstExec() throws {
        #expect(try !rules().refusesExec)
        #expect(try rules(.compute).refusesExec)
        #expect(try !rules(.compute, allow: ["execve"]).refusesExec)
        #expect(try rules(deny: ["execve"]).refusesExec)
    }

    @Test("Unix sockets that reach any path are seen, however they come")
    func unixSockets() throws {
        #expect(try !rules().givesUnixSockets)
        #expect(try !rules(.network, network: .host).givesUnixSockets)
        #expect(try rules(allow: ["socket"]).givesUnixSockets)
        #expect(try rules(allow: ["socketpair"]).givesUnixSockets)
        #expect(try !rules(allow: ["io_uring_setup"]).givesUnixSockets)
        #expect(try rules(network: .host, allow: ["io_uring_setup"]).givesUnixSockets)
        #expect(try rules(.unconfined).givesUnixSockets)
    }

    @Test(
        "what every program needs cannot be denied",
        arguments: ["exit", "exit_group", "rt_sigreturn", "write", "@basic-io"]
    )
    func essential(name: String) throws {
        let error = #expect(throws: BulkheadError.self) { try rules(deny: [name]) }
        #expect(error?.code == .invalidSetting)
        #expect(error?.advice?.contains("!") == true)
        #expect(throws: Never.self) { try rules(deny: ["@basic-io", "!write"]) }
    }
}
