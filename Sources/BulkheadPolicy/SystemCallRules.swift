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
    /// - Throws: An error of the code `invalidSetting` where `deny` takes away what every launch needs.
    public init(_ policy: SandboxPolicy, table: SyscallTable = .current) throws(BulkheadError) {
        let denied = SyscallSelector.names(of: policy.deny)
        let essential = Self.essential.intersection(denied).sorted()
        guard essential.isEmpty else {
            throw BulkheadError(
                .invalidSetting,
                "sandbox.syscalls.deny takes away \(essential.joined(separator: ", ")), which every program needs",
                advice: "Leave it out; in a group, take it out again with \"!\(essential[0])\"."
            )
        }
        let allowed = SyscallSelector.names(of: policy.allow)
        let preset = policy.preset.rules
        let network = NetworkRule(policy.network)
        var rules: [UInt32: SyscallRule] = [:]
        for call in table.all {
            let given = allowed.contains(call.name) ? SyscallRule.always(.allow) : preset.rule(for: call.name)
            let rule = denied.contains(call.name) ? nil : given.map { network.narrow($0, call.name) }
            rules[call.number] = (rule ?? .always(.deny)).narrowed(by: call)
        }
        architecture = table.architecture
        self.rules = rules
        unknown = preset.givesEverything && policy.network == .host ? .allow : .unimplemented
        warnings =
            network.warnings(allowed: allowed.subtracting(denied)) + AuditRule.warnings(policy.onDenied)
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
    public var refusesExec: Bool { rule(named: "execve")?.inside != .allow }

    /// Whether a handler can make a Unix socket that reaches a path or an abstract name of its choice: any
    /// `socket`, a datagram pair, or a ring of io_uring.
    public var givesUnixSockets: Bool {
        func gives(_ name: String, _ arguments: [UInt64]) -> Bool {
            rule(named: name)?.verdict(for: arguments) == .allow
        }
        let types: [UInt64] = [1, 2, 3, 5]  // stream, datagram, raw (a datagram for Unix), seqpacket
        let unix = AddressFamily.unix
        return types.contains { gives("socket", [unix, $0, 0, 0, 0, 0]) }
            || [2, 3].contains { gives("socketpair", [unix, $0, 0, 0, 0, 0]) }
            || gives("io_uring_setup", [0, 0, 0, 0, 0, 0])
    }

    private func rule(named name: String) -> SyscallRule? {
        SyscallTable.table(of: architecture).number(of: name).flatMap { rules[$0] }
    }

    /// Without these a program cannot end, return from a signal, or report a failed launch.
    private static let essential: Set<String> = ["exit", "exit_group", "rt_sigreturn", "write"]
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
        // A rule of a shape that cannot be narrowed gives nothing, so that no family slips through.
        let given = rule == .always(.allow) ? [ArgumentCase()] : rule.outside == .allow ? [] : rule.cases
        return .only(given.flatMap { given in AddressFamily.local.compactMap { given.holding(0, to: $0) } })
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
