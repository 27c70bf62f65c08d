import BulkheadCore
import BulkheadPolicy

/// What a policy says of one system call, and which of its lines says so.
struct SyscallAnswer {
    private let name: String
    private let number: UInt32
    private let rule: SyscallRule
    private let reason: String
    /// What a denied call of this name meets.
    private let onDenied: SandboxPolicy.OnDenied
    private let warnings: [String]

    /// Works the answer out by the rules that a filter is compiled from.
    /// - Parameters:
    ///   - name: The call.
    ///   - policy: The policy's sandbox.
    /// - Throws: ``BulkheadError`` for a name that is no call of this machine, or rules that no launch survives.
    init(_ name: String, _ policy: SandboxPolicy) throws(BulkheadError) {
        guard let number = SyscallTable.current.number(of: name) else {
            throw Self.unknown(name)
        }
        let rules = try SystemCallRules(policy)
        self.name = name
        self.number = number
        rule = rules.rules[number] ?? .always(rules.unknown)
        reason = Self.reason(name, policy)
        onDenied = AuditRule.action(on: name, policy.onDenied)
        warnings = rules.warnings
    }

    private static func unknown(_ name: String) -> BulkheadError {
        let machine = Architecture.current.rawValue
        guard !SyscallTable.knows(name: name) else {
            return BulkheadError(
                .invalidSetting,
                "\(machine) has no system call \"\(name)\"; other machines do"
            )
        }
        let nearest = NearestWord.of(name, among: SyscallTable.allNames)
        return BulkheadError(
            .invalidSetting,
            "\"\(name.prefix(64))\" is not a system call",
            advice: nearest.map { "did you mean \($0)?" }
        )
    }

    /// The part of the policy that decides, by the precedence of ``SystemCallRules``.
    private static func reason(_ name: String, _ policy: SandboxPolicy) -> String {
        if let entry = entry(of: policy.deny, naming: name) { return "sandbox.syscalls.deny has \(entry)" }
        let preset = policy.preset.rules
        let allowing = entry(of: policy.allow, naming: name)
        let isGiven =
            allowing != nil || preset.givesEverything || preset.names.contains(name)
            || preset.conditions[name] != nil
        guard isGiven || name == "clone3" else {
            return "preset \(policy.preset.rawValue) does not give it, and nothing else names it"
        }
        let opensSockets = name == "socket" || name == "socketpair" || name.hasPrefix("io_uring_")
        if policy.network == .none, opensSockets { return "network: none leaves local sockets alone" }
        if let allowing { return "sandbox.syscalls.allow has \(allowing)" }
        if name == "clone3" { return "its flags lie in memory, where no filter sees them" }
        let extent = preset.conditions[name] != nil ? "it for some arguments" : "it"
        return "preset \(policy.preset.rawValue) gives \(preset.givesEverything ? "everything" : extent)"
    }

    /// The entry by which a list names a call, where the whole list, with what it takes out again, does.
    private static func entry(of list: [SyscallSelector], naming name: String) -> String? {
        guard SyscallSelector.names(of: list).contains(name) else { return nil }
        return list.first { SyscallSelector.names(of: [$0]).contains(name) }?.description
    }

    /// Writes the answer for people.
    func write() {
        Console.data.line("\(name) (\(number)): \(summary)")
        Console.data.line("  because \(reason)")
        for given in cases { Console.data.line("  \(given)") }
        for warning in warnings { Console.data.line("  note: \(warning)") }
    }

    /// The answer as one document.
    func json(_ type: TaskType, _ file: String?) -> JSONValue {
        var object: JSONObject = ["type": .string(type.name)]
        object["file"] = file.map(JSONValue.string)
        object["syscall"] = .string(name)
        object["number"] = .integer(number)
        object["verdict"] = .string(word(rule.inside == rule.outside ? rule.outside : nil))
        object["reason"] = .string(reason)
        if !cases.isEmpty { object["cases"] = .array(cases.map(JSONValue.string)) }
        if !warnings.isEmpty { object["warnings"] = .array(warnings.map(JSONValue.string)) }
        return .object(object)
    }

    private var summary: String {
        guard !rule.cases.isEmpty else { return sentence(rule.outside) }
        return "\(sentence(rule.inside)) in these cases, else \(sentence(rule.outside))"
    }

    private var cases: [String] {
        rule.cases.map { given in
            let parts = given.conditions.map { condition in
                let value = "0x" + String(condition.value, radix: 16)
                let isWhole = condition.mask == .max || condition.mask == 0xffff_ffff
                let bits = isWhole ? "" : " & 0x" + String(condition.mask, radix: 16)
                return "argument \(condition.index)\(bits) is \(value)"
            }
            return "where " + (parts.isEmpty ? "anything holds" : parts.joined(separator: " and "))
        }
    }

    /// One word for programs; nil is a verdict that depends on the arguments.
    private func word(_ verdict: Verdict?) -> String {
        switch verdict {
        case .allow: "allow"
        case .deny: onDenied == .audit ? "audit" : onDenied.rawValue
        case .fail: "unimplemented"
        case .kill: "kill"
        case nil: "conditional"
        }
    }

    private func sentence(_ verdict: Verdict) -> String {
        switch (verdict, onDenied) {
        case (.allow, _): "allowed"
        case (.deny, .errno): "denied with EPERM, and recorded"
        case (.deny, .kill): "denied, and ends the task"
        case (.deny, .audit): "let through, and recorded"
        case (.fail(let errno), _):
            errno == 38 ? "answered ENOSYS, as if the kernel had none" : "fails with errno \(errno)"
        case (.kill, _): "kills the process"
        }
    }
}
