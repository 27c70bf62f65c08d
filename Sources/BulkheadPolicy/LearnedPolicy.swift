/// What runs under audit teach: the smallest policy within a parent that gives what they used.
///
/// Every policy gives the base, what `compute` gives, whatever was seen: calls through the vDSO and the last call of a
/// process never show, and another run or another C library needs a neighbour of what this one did. Beyond that it
/// gives what was seen, and only as far as the parent gives it: what the parent denies stays denied.
public struct LearnedPolicy: Sendable, Equatable {
    /// A call that was seen and that the parent denies.
    public struct Refused: Sendable, Equatable {
        /// The call.
        public var call: String
        /// What would have to change, or why nothing should.
        public var way: DenialAdvice.Way
    }

    /// Calls beyond the base that the runs used and the parent gives, and their kin.
    public let used: Set<String>
    /// Calls that were seen and stay denied, by name.
    public let refused: [Refused]
    private let parent: SandboxPolicy

    /// Learns from calls that were seen.
    ///
    /// - Parameters:
    ///   - seen: The calls that runs under ``tracing(_:)`` had in their records.
    ///   - parent: The policy that it stays within.
    public init(seen: Set<String>, within parent: SandboxPolicy) {
        self.parent = parent
        let given = Self.given(by: parent)
        let advice = DenialAdvice(parent)
        let within = seen.intersection(given)
        used = Self.kin.reduce(into: within) { used, kin in
            if !kin.isDisjoint(with: within) { used.formUnion(kin.intersection(given)) }
        }
        refused = seen.subtracting(given).sorted().map { Refused(call: $0, way: advice.way(to: $0)) }
    }

    /// The policy under which runs show what they use beyond the base: the parent's, with all of that denied and let
    /// through by audit.
    ///
    /// - Parameter parent: The policy that is to be learned within.
    /// - Returns: The policy to run under.
    public static func tracing(_ parent: SandboxPolicy) -> SandboxPolicy {
        var policy = parent
        policy.onDenied = .audit
        policy.deny = parent.deny + given(by: parent).sorted().map(SyscallSelector.name)
        return policy
    }

    /// The learned policies, the one that says it best first; each gives the base and what was used, and no more than the
    /// parent.
    public var candidates: [SandboxPolicy] { [additive, subtractive].compactMap(\.self) }

    /// `compute` and what goes beyond it; nil where that would give more than the parent does: an entry of `allow` gives
    /// a call whatever its arguments, and the parent some only for some arguments.
    private var additive: SandboxPolicy? {
        guard parent.preset == .default, parent.allow.isEmpty else { return nil }
        let compute = Preset.compute.rules
        let conditional = Set(parent.preset.rules.conditions.keys).subtracting(compute.conditions.keys)
        guard used.isDisjoint(with: conditional) else { return nil }
        // What compute gives for some arguments may suffice; whether it does, only a run under it can tell.
        let allowed = used.subtracting(compute.conditions.keys)
        var policy = learned
        policy.preset = .compute
        policy.allow = Self.selectors(for: allowed, within: allowed.union(compute.names))
        return policy
    }

    /// The parent less what was not used.
    private var subtractive: SandboxPolicy {
        var policy = learned
        let given = Self.given(by: parent)
        let processes: Set<String> = used.contains("clone") ? ["fork", "vfork"] : []
        // A call of the base that the parent gives in a wider form stays as the parent gives it.
        let unused = given.subtracting(used).subtracting(processes).subtracting(
            Preset.compute.rules.conditions.keys
        )
        policy.deny = parent.deny + Self.selectors(for: unused, within: unused.union(Self.never(parent)))
        return policy
    }

    private var learned: SandboxPolicy {
        var policy = parent
        if policy.onDenied == .audit { policy.onDenied = .errno }
        return policy
    }

    // MARK: Sets

    /// What compute gives as fully as a preset does: making a process, for one, is no part of it.
    private static func base(of preset: PresetRules) -> Set<String> {
        let compute = Preset.compute.rules
        return compute.names.union(
            compute.conditions.keys.filter { compute.conditions[$0] == preset.conditions[$0] }
        )
    }

    /// What a policy gives beyond the base and may be taken away to be seen: audit holds sockets whatever is denied, so
    /// they stay as the parent has them.
    private static func given(by policy: SandboxPolicy) -> Set<String> {
        let preset = policy.preset.rules
        return preset.names.union(preset.conditions.keys).union(SyscallSelector.names(of: policy.allow))
            .subtracting(SyscallSelector.names(of: policy.deny)).subtracting(base(of: preset)).subtracting(
                AuditRule.held
            )
            .filter { SyscallTable.current.number(of: $0) != nil }
    }

    /// What a policy gives in no case, so that a group that holds it as well may name it.
    private static func never(_ policy: SandboxPolicy) -> Set<String> {
        let preset = policy.preset.rules
        let given = preset.names.union(preset.conditions.keys).union(SyscallSelector.names(of: policy.allow))
        return Set(SyscallTable.allNames).subtracting(given).union(SyscallSelector.names(of: policy.deny))
    }

    /// Names as few entries: groups that save some, the calls of theirs that are not meant taken out again, then what is
    /// left.
    private static func selectors(for names: Set<String>, within limit: Set<String>) -> [SyscallSelector] {
        var left = names
        var excluded: Set<String> = []
        var groups: [String] = []
        let members = SyscallGroups.names.compactMap { name in
            SyscallGroups.members(of: name).map { (name: name, calls: $0) }
        }
        func gain(_ calls: Set<String>) -> Int {
            calls.intersection(left).count - calls.subtracting(limit).subtracting(excluded).count - 1
        }
        while let best = members.max(by: { (gain($0.calls), $1.name) < (gain($1.calls), $0.name) }),
            gain(best.calls) > 0
        {
            groups.append(best.name)
            excluded.formUnion(best.calls.subtracting(limit))
            left.subtract(best.calls)
        }
        return groups.sorted().map(SyscallSelector.group)
            + excluded.sorted().map { SyscallSelector(subject: .name($0), isNegated: true) }
            + left.sorted().map(SyscallSelector.name)
    }

    /// Calls of which a library takes one or another: who needs one may need its kin tomorrow.
    private static let kin: [Set<String>] = [
        ["fork", "vfork"], ["execve", "execveat"], ["wait4", "waitid"],
        ["unlink", "unlinkat", "rmdir"], ["rename", "renameat", "renameat2"], ["mkdir", "mkdirat"],
        ["link", "linkat"], ["symlink", "symlinkat"], ["creat", "truncate", "fallocate"],
        ["chmod", "fchmod", "fchmodat", "fchmodat2"], ["utime", "utimes", "futimesat", "utimensat"],
        ["setxattr", "lsetxattr", "fsetxattr", "setxattrat"],
        ["getxattr", "lgetxattr", "fgetxattr", "getxattrat"],
        ["listxattr", "llistxattr", "flistxattr", "listxattrat"],
        ["removexattr", "lremovexattr", "fremovexattr", "removexattrat"],
        ["sendto", "sendmsg", "sendmmsg"], ["recvfrom", "recvmsg", "recvmmsg"], ["signalfd", "signalfd4"],
        ["inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch"],
        ["kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open", "pidfd_send_signal"],
        ["sendfile", "splice", "tee", "vmsplice", "copy_file_range"], ["mlock", "mlock2", "munlock"],
        ["mlockall", "munlockall"], ["setpgid", "setsid"], ["mknod", "mknodat"], ["sync", "syncfs"],
    ]
}
