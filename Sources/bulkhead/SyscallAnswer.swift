import BulkheadCore
import BulkheadPolicy

/// What a policy says of one system call, and which of its lines says so.
struct SyscallAnswer {
    let name: String
    let reason: SyscallReasons.Reason
    private let number: UInt32
    private let rule: SyscallRule
    /// What a denied call of this name meets.
    private let onDenied: SandboxPolicy.OnDenied

    init(_ call: Syscall, _ rules: SystemCallRules, _ policy: SandboxPolicy, _ reasons: SyscallReasons) {
        name = call.name
        number = call.number
        rule = rules.rules[call.number] ?? .always(rules.unknown)
        reason = reasons.reason(for: call)
        onDenied = AuditRule.action(on: call.name, policy.onDenied)
    }

    /// The call of a name on this machine.
    /// - Throws: ``BulkheadError`` for a name that is no call of it.
    static func call(named name: String) throws(BulkheadError) -> Syscall {
        if let call = SyscallTable.current.syscall(named: name) { return call }
        let machine = Architecture.current.rawValue
        guard !SyscallTable.knows(name: name) else {
            throw BulkheadError(
                .invalidSetting,
                "\(machine) has no system call \"\(name)\"; other machines do"
            )
        }
        let nearest = NearestWord.of(name, among: SyscallTable.allNames)
        throw BulkheadError(
            .invalidSetting,
            "\"\(name.prefix(64))\" is not a system call",
            advice: nearest.map { "did you mean \($0)?" }
        )
    }

    /// Writes the answer for people.
    func write() {
        Console.data.line("\(name) (\(number)): \(summary)")
        Console.data.line("  because \(reason.shown)")
        for given in cases { Console.data.line("  \(given)") }
    }

    /// The answer as one object.
    var json: JSONObject {
        var object: JSONObject = ["syscall": .string(name), "number": .integer(number)]
        object["verdict"] = .string(word)
        if let errno { object["errno"] = .string(errno) }
        object["reason"] = .string(reason.sentence)
        if !reason.places.isEmpty { object["places"] = .array(reason.places.map(JSONValue.string)) }
        if !cases.isEmpty { object["cases"] = .array(cases.map(JSONValue.string)) }
        return object
    }

    /// What happens to the call, in some words.
    var summary: String {
        guard let first = rule.branches.first else { return sentence(rule.otherwise) }
        guard rule.branches.allSatisfy({ $0.verdict == first.verdict }) else { return "it depends" }
        return "\(sentence(first.verdict)) in these cases, else \(sentence(rule.otherwise))"
    }

    private var cases: [String] {
        let isUniform = Set(rule.branches.map(\.verdict)).count == 1
        let listed = rule.branches.map { branch in
            let parts = branch.when.conditions.map(Self.text)
            let place = "where " + (parts.isEmpty ? "anything holds" : parts.joined(separator: " and "))
            return isUniform ? place : "\(place): \(sentence(branch.verdict))"
        }
        return isUniform || listed.isEmpty ? listed : listed + ["else: \(sentence(rule.otherwise))"]
    }

    private static func text(_ condition: ArgumentCondition) -> String {
        let isWhole = condition.mask == .max || condition.mask == 0xffff_ffff
        let bits = isWhole ? "" : " & 0x" + String(condition.mask, radix: 16)
        let value = "0x" + String(condition.value, radix: 16)
        return "argument \(condition.index)\(bits) \(condition.comparison.rawValue) \(value)"
    }

    /// One word for programs.
    private var word: String {
        guard rule.branches.isEmpty else { return "conditional" }
        switch rule.otherwise {
        case .allow: return "allow"
        case .log: return "log"
        case .deny: return onDenied.rawValue
        case .denyWith: return SandboxPolicy.OnDenied.errno.rawValue
        case .denyAndEnd: return SandboxPolicy.OnDenied.kill.rawValue
        case .fail: return rule.otherwise == .unimplemented ? "unimplemented" : "fail"
        case .trap: return "trap"
        case .kill: return "kill"
        }
    }

    /// The errno by its name, where the call meets one in any case.
    private var errno: String? {
        guard rule.branches.isEmpty else { return nil }
        switch rule.otherwise {
        case .denyWith(let number), .fail(let number): return Errno.name(number)
        case .deny: return onDenied == .errno ? Errno.name(1) : nil
        default: return nil
        }
    }

    private func sentence(_ verdict: Verdict) -> String {
        switch (verdict, onDenied) {
        case (.allow, _): "allowed"
        case (.log, _): "allowed, and named in the kernel's log"
        case (.deny, .errno): "denied with EPERM, and recorded"
        case (.deny, .kill), (.denyAndEnd, _): "denied, and ends the task"
        case (.deny, .audit): "let through, and recorded"
        case (.denyWith(let number), _): "denied with \(Errno.name(number)), and recorded"
        case (.unimplemented, _): "answered ENOSYS, as if the kernel had none"
        case (.fail(errno: 0), _): "does nothing, and seems to succeed"
        case (.fail(let number), _): "fails with \(Errno.name(number))"
        case (.trap, _): "denied by SIGSYS"
        case (.kill, _): "kills the process"
        }
    }
}

extension SyscallReasons.Reason {
    /// The sentence, behind the place of the block that says so.
    var block: String { blockPlace.map { "\($0): \(sentence)" } ?? sentence }

    /// The sentence, behind the places that it stands in.
    var shown: String {
        places.isEmpty ? sentence : "\(places.joined(separator: ", ")): \(sentence)"
    }
}
