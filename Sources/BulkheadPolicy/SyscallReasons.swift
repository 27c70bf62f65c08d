/// Which part of a policy decides on each system call, by the precedence of ``SystemCallRules``.
public struct SyscallReasons: Sendable {
    /// Why a call has its verdict.
    public struct Reason: Sendable, Hashable {
        /// The part of the policy, as a sentence.
        public let sentence: String
        /// Where it is written, as `FILE:LINE`, the deciding place first; empty for what Bulkhead itself says.
        public let places: [String]
        /// The same place for calls of the same entry of a profile; nil where no file says it.
        public let blockPlace: String?

        fileprivate init(_ sentence: String, _ places: [String], block: String? = nil) {
            self.sentence = sentence
            self.places = places
            blockPlace = block ?? places.first
        }
    }

    private let policy: SandboxPolicy
    private let lines: PolicyLines?
    private let allowed: Set<String>
    private let denied: Set<String>

    /// Makes the reasons of a policy.
    ///
    /// - Parameters:
    ///   - policy: The sandbox part of a policy.
    ///   - lines: Where its keys stand; nil for a policy that no file holds.
    public init(_ policy: SandboxPolicy, lines: PolicyLines?) {
        self.policy = policy
        self.lines = lines
        allowed = SyscallSelector.names(of: policy.allow)
        denied = SyscallSelector.names(of: policy.deny)
    }

    /// Why a call has its verdict.
    ///
    /// - Parameter call: The call.
    /// - Returns: The reason.
    public func reason(for call: Syscall) -> Reason {
        if let profile = policy.profile { return reason(for: call, profile) }
        let name = call.name
        if denied.contains(name) { return listed(name, "deny", policy.deny, lines?.deny) }
        let preset = policy.preset.rules
        let isGiven = allowed.contains(name) || preset.rule(for: name) != nil
        if isGiven, narrowsNetwork(name) { return network }
        if allowed.contains(name) { return listed(name, "allow", policy.allow, lines?.allow) }
        return Reason(sentence(name, preset), place(lines?.preset))
    }

    private func sentence(_ name: String, _ preset: PresetRules) -> String {
        let word = policy.preset.rawValue
        if preset.givesEverything { return "preset \(word) gives everything" }
        guard preset.rule(for: name) != nil else {
            return "preset \(word) does not give it, and nothing else names it"
        }
        if name == "clone3" { return "its flags lie in memory, where no filter sees them" }
        return "preset \(word) gives it" + (preset.conditions[name] == nil ? "" : " for some arguments")
    }

    private func reason(for call: Syscall, _ profile: SeccompProfile) -> Reason {
        if narrowsNetwork(call.name), profile.rule(for: call).verdicts.contains(where: \.passes) {
            return network
        }
        let places = profile.lines(deciding: call.name).map { "\(profile.file):\($0)" }
        guard let entry = profile.strictest(call.name) else {
            let isTooNew = profile.isTooNew(call)
            return Reason(
                isTooNew ? "it is newer than every call that the profile names" : "it is defaultAction",
                places
            )
        }
        return Reason("an entry names it", places, block: "\(profile.file):\(entry.line)")
    }

    private func narrowsNetwork(_ name: String) -> Bool {
        policy.network == .none
            && (name == "socket" || name == "socketpair" || name.hasPrefix("io_uring_"))
    }

    private var network: Reason {
        Reason("network: none leaves local sockets alone", place(lines?.network))
    }

    /// The first entry that names a call of a list that, with what it takes out again, does.
    private func listed(_ name: String, _ key: String, _ list: [SyscallSelector], _ lines: [Int]?) -> Reason {
        let index = list.firstIndex { SyscallSelector.names(of: [$0]).contains(name) }
        let entry = index.map { " has \(list[$0])" } ?? ""
        let line = index.flatMap { index in
            lines.flatMap { $0.indices.contains(index) ? $0[index] : nil }
        }
        return Reason("sandbox.syscalls.\(key)\(entry)", place(line))
    }

    private func place(_ line: Int?) -> [String] {
        guard let line, let lines else { return [] }
        return ["\(lines.file):\(line)"]
    }
}
