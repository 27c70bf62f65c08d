public import BulkheadCore

/// What a policy means for each system call: the statement that a compiled filter is checked against.
///
/// Precedence, from the strongest:
/// 1. `deny` refuses a call, whatever else names it.
/// 2. `network: none` leaves `socket` and `socketpair` the local address families alone, and refuses io_uring,
///    whose rings open sockets out of a filter's sight; under `unconfined` too.
/// 3. `allow` gives a call wholly, also where the preset gives it for some arguments only.
/// 4. The preset. `network: host` adds nothing to it.
///
/// A call that no rule names is refused (EPERM); a number that the table does not know answers ENOSYS. An entry
/// of another architecture is killed. Where only `deny` asks for a filter (`unconfined` with `network: host`), an
/// unknown number goes through.
///
/// With an OCI profile its own precedence (``SeccompProfile``) stands in the place of 1, 3 and 4; 2 holds over it,
/// and so does the end of every entry of another architecture.
public struct SystemCallRules: Sendable, Hashable {
    /// The architecture whose numbers these are.
    public let architecture: Architecture
    /// The rule of each number of the table.
    public let rules: [UInt32: SyscallRule]
    /// What happens to a number that the table does not know.
    public let unknown: Verdict
    /// What the policy asks for and does not get, as sentences.
    public let warnings: [String]

    /// Works out what a policy means.
    ///
    /// - Parameters:
    ///   - policy: The sandbox part of a policy.
    ///   - table: The system calls of the host.
    /// - Throws: An error of the code `invalidSetting` where `deny` or a profile takes away what every launch
    ///   needs, or a profile was read for another architecture.
    public init(_ policy: SandboxPolicy, table: SyscallTable = .current) throws(BulkheadError) {
        let basis: RuleBasis
        if let profile = policy.profile {
            guard profile.architecture == table.architecture else {
                throw BulkheadError(
                    .invalidSetting,
                    "\(profile.name) was read for \(profile.architecture.rawValue), not for this machine"
                )
            }
            basis = .profile(profile)
        } else {
            let names = NamedCalls(policy)
            try names.checkEssential()
            basis = .names(names)
        }
        let network = NetworkRule(policy.network)
        var rules: [UInt32: SyscallRule] = [:]
        for call in table.all {
            rules[call.number] = network.narrow(basis.rule(for: call), call.name).narrowed(by: call)
        }
        architecture = table.architecture
        self.rules = rules
        unknown = policy.network == .host && basis.unknown.passes ? basis.unknown : .unimplemented
        warnings = network.warnings(allowed: basis.allowed) + AuditRule.warnings(policy.onDenied)
        if let profile = policy.profile { try checkEssential(profile, table) }
    }

    /// The verdict on a call of this architecture.
    ///
    /// - Parameters:
    ///   - number: The number as the kernel shows it to a filter.
    ///   - arguments: The six arguments.
    /// - Returns: The verdict.
    public func verdict(number: UInt32, arguments: [UInt64]) -> Verdict {
        if isForeign(number: number) { return .kill }
        return rules[number]?.verdict(for: arguments) ?? unknown
    }

    /// Whether a number belongs to another interface (x32) of the same processor.
    ///
    /// All ones is no call but what a tracer sets to skip one, and counts as an unknown number.
    public func isForeign(number: UInt32) -> Bool {
        guard let bit = architecture.x32Bit else { return false }
        return number >= bit && number != .max
    }

    /// Whether every call goes through, so that no filter is needed.
    public var givesEverything: Bool {
        unknown == .allow && rules.values.allSatisfy { $0 == .always(.allow) }
    }

    /// Whether the first exec, the launch of the handler itself, meets a rule that refuses it, and so must be
    /// let through by the filter's listener.
    public var refusesExec: Bool { rule(named: "execve")?.otherwise.passes != true }

    /// Whether a handler can make a Unix socket that reaches a path or an abstract name of its choice: any
    /// `socket`, a datagram pair, or a ring of io_uring.
    public var givesUnixSockets: Bool {
        let unix = AddressFamily.unix
        let flags: [UInt64] = [0, 0o4000, 0o2000000, 0o2004000]  // SOCK_NONBLOCK, SOCK_CLOEXEC
        // A raw Unix socket is a datagram socket by another name.
        let datagrams = [2, 3].flatMap { type in flags.map { type | $0 } } as [UInt64]
        return gives("socket", [0: unix])
            || datagrams.contains { gives("socketpair", [0: unix, 1: $0]) }
            || gives("io_uring_setup", [:])
    }

    /// Whether some call with these arguments goes through, whatever the others are.
    private func gives(_ name: String, _ known: [Int: UInt64]) -> Bool {
        rule(named: name)?.mayPass(given: known) ?? false
    }

    /// Whether a handler can use what System V and POSIX message queues keep beyond a process's end.
    public var givesLastingIPC: Bool {
        ["shmget", "semget", "msgget", "mq_open"].contains { gives($0, [:]) }
    }

    private func rule(named name: String) -> SyscallRule? {
        SyscallTable.table(of: architecture).number(of: name).flatMap { rules[$0] }
    }

    /// What every launch needs a profile must give whatever the arguments; of execve that it is given or answered
    /// by the listener, which lets the launch's own one through.
    private func checkEssential(_ profile: SeccompProfile, _ table: SyscallTable) throws(BulkheadError) {
        var missing = NamedCalls.essential.sorted().filter { name in
            rule(named: name)?.verdicts.allSatisfy(\.passes) != true
        }
        if let exec = rule(named: "execve"),
            !exec.branches.isEmpty || !(exec.otherwise.passes || exec.otherwise.isRecorded)
        {
            missing.append("execve")
        }
        guard !missing.isEmpty else { return }
        throw BulkheadError(
            .invalidSetting,
            "the profile \(profile.name) does not give \(missing.joined(separator: ", ")) whatever the arguments, "
                + "and every launch needs that",
            advice: "Name it in an entry with SCMP_ACT_ALLOW and without args."
        )
    }
}

/// What a policy's rules begin with: preset and lists, or a profile.
private enum RuleBasis {
    case names(NamedCalls)
    case profile(SeccompProfile)

    func rule(for call: Syscall) -> SyscallRule {
        switch self {
        case .names(let names): names.rule(for: call.name)
        case .profile(let profile): profile.rule(for: call)
        }
    }

    /// What happens to a number that the table does not know, as long as the network is the host's.
    var unknown: Verdict {
        switch self {
        case .names(let names): names.preset.givesEverything ? .allow : .unimplemented
        case .profile(let profile): profile.fallback
        }
    }

    /// The calls that the policy asks for by name.
    var allowed: Set<String> {
        switch self {
        case .names(let names): names.allowed.subtracting(names.denied)
        case .profile(let profile):
            Set(profile.entries.filter { $0.verdict.passes }.flatMap { $0.names.keys })
        }
    }
}

/// The preset and the lists of a policy.
private struct NamedCalls {
    let preset: PresetRules
    let allowed: Set<String>
    let denied: Set<String>

    init(_ policy: SandboxPolicy) {
        preset = policy.preset.rules
        allowed = SyscallSelector.names(of: policy.allow)
        denied = SyscallSelector.names(of: policy.deny)
    }

    func rule(for name: String) -> SyscallRule {
        if denied.contains(name) { return .always(.deny) }
        if allowed.contains(name) { return .always(.allow) }
        return preset.rule(for: name) ?? .always(.deny)
    }

    func checkEssential() throws(BulkheadError) {
        let taken = Self.essential.intersection(denied).sorted()
        guard !taken.isEmpty else { return }
        throw BulkheadError(
            .invalidSetting,
            "sandbox.syscalls.deny takes away \(taken.joined(separator: ", ")), which every program needs",
            advice: "Leave it out; in a group, take it out again with \"!\(taken[0])\"."
        )
    }

    /// Without these a program cannot end, return from a signal, or report a failed launch.
    static let essential: Set<String> = ["exit", "exit_group", "rt_sigreturn", "write"]
}

/// What the key `network` takes from a rule.
private struct NetworkRule {
    let isolates: Bool

    init(_ network: SandboxPolicy.Network) {
        isolates = network == .none
    }

    private static let ring: Set<String> = ["io_uring_setup", "io_uring_enter", "io_uring_register"]

    func narrow(_ rule: SyscallRule, _ name: String) -> SyscallRule {
        guard isolates else { return rule }
        if Self.ring.contains(name) { return .always(.deny) }
        guard name == "socket" || name == "socketpair" else { return rule }
        // Each local family as the rule has it, and no other one.
        let within = rule.branches + [SyscallBranch(ArgumentCase(), rule.otherwise)]
        let branches = within.flatMap { branch in
            AddressFamily.local.compactMap { family in
                branch.when.holding(0, to: family).map { SyscallBranch($0, branch.verdict) }
            }
        }
        return SyscallRule(branches, otherwise: .deny)
    }

    func warnings(allowed: Set<String>) -> [String] {
        let refused = isolates ? Self.ring.intersection(allowed).sorted() : []
        guard !refused.isEmpty else { return [] }
        return [
            "\(refused.joined(separator: ", ")) stays refused under network: none, "
                + "since a ring opens sockets that no filter sees"
        ]
    }
}
