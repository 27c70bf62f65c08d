/// What a policy's author can do about denied calls: which line would give each, or why none should.
public struct DenialAdvice: Sendable, Equatable {
    /// What would have to change for a call to go through.
    public enum Way: Sendable, Hashable, Comparable {
        /// An entry of the profile gives it.
        case profile
        /// An entry of `allow` gives it.
        case allow
        /// The preset gives it for other arguments; an entry of `allow` gives it whatever they are.
        case allowWhole
        /// An entry of the policy's own `deny` takes it away.
        case denied
        /// `network: none` takes it away.
        case network
        /// The preset gives sockets of other kinds than this one.
        case otherSocket
        /// Nothing should give it: it administers the host, and the kernel refuses it to a handler as well.
        case administrative
        /// Nothing should give it: it reaches into other processes.
        case reachesOthers
    }

    /// Where the policy's rules begin.
    public var preset: Preset
    /// The policy's network.
    public var network: SandboxPolicy.Network
    /// What the policy takes away.
    public var deny: [SyscallSelector]
    /// What a denied call meets.
    public var onDenied: SandboxPolicy.OnDenied
    /// The file of the profile that stands in the place of preset and lists, as the policy names it.
    public var profile: String?
    /// The calls that meet something else than ``onDenied``.
    public var others: [String: SandboxPolicy.OnDenied] = [:]

    /// Makes the advice on a policy's denials.
    ///
    /// - Parameter policy: The sandbox part of the policy.
    public init(_ policy: SandboxPolicy) {
        preset = policy.preset
        network = policy.network
        deny = policy.deny
        onDenied = policy.onDenied
        profile = policy.profile?.name
        others = policy.profile?.endings(besides: policy.onDenied) ?? [:]
    }

    /// What a denied call meets, as a record tells it.
    ///
    /// - Parameter call: The call's name.
    /// - Returns: The word of `on-denied`.
    public func action(on call: String) -> SandboxPolicy.OnDenied {
        others[call] ?? AuditRule.action(on: call, onDenied)
    }

    /// Calls that only a capability opens, and a handler holds none.
    private static let administrative: Set<String> = [
        "@clock", "@module", "@mount", "@raw-io", "@reboot", "@swap",
    ]
    .reduce(into: [
        "_sysctl", "acct", "bpf", "fanotify_init", "fanotify_mark", "nfsservctl", "open_by_handle_at",
        "quotactl", "quotactl_fd", "setdomainname", "sethostname", "setns", "syslog", "vhangup",
    ]) { $0.formUnion(SyscallGroups.members(of: $1) ?? []) }

    /// Calls that look into other processes of the same user, or change them.
    private static let reachingOthers: Set<String> = (SyscallGroups.members(of: "@debug") ?? [])
        .union([
            "kcmp", "move_pages", "migrate_pages", "process_madvise", "process_vm_readv", "process_vm_writev",
        ])

    /// What would have to change for a call that was denied.
    ///
    /// - Parameter call: The call's name, as the table has it.
    /// - Returns: The way, or why there is none.
    public func way(to call: String) -> Way {
        if Self.administrative.contains(call) { return .administrative }
        if Self.reachingOthers.contains(call) { return .reachesOthers }
        if SyscallSelector.names(of: deny).contains(call) { return .denied }
        if AuditRule.held.contains(call) {
            if network == .none { return .network }
            if call == "socket", profile == nil, preset != .unconfined { return .otherSocket }
        }
        if profile != nil { return .profile }
        return preset.rules.conditions[call] == nil ? .allow : .allowWhole
    }

    /// The advice on several denied calls, as one text.
    ///
    /// - Parameters:
    ///   - calls: Their names.
    ///   - file: The policy's file, as the user knows it.
    /// - Returns: Sentences; nil for no calls.
    public func sentences(on calls: [String], file: String) -> String? {
        guard !calls.isEmpty else { return nil }
        let ways = Dictionary(grouping: calls.sorted(), by: way(to:)).sorted { $0.key < $1.key }
        let parts = ways.map { sentence($0.key, $0.value, file) }
        return "\(beginning(calls)); \(parts.joined(separator: "; "))"
    }

    private func beginning(_ calls: [String]) -> String {
        let through = calls.filter { AuditRule.action(on: $0, onDenied) == .audit }
        let denied = calls.filter { !through.contains($0) }
        return [
            denied.isEmpty ? nil : "the sandbox denied \(Self.list(denied))",
            through.isEmpty ? nil : "on-denied: audit let \(Self.list(through)) through",
        ].compactMap(\.self).joined(separator: " and ")
    }

    private func sentence(_ way: Way, _ calls: [String], _ file: String) -> String {
        let names = Self.list(calls)
        switch way {
        case .profile:
            return "if the handler needs \(calls.count == 1 ? "it" : names), an entry with SCMP_ACT_ALLOW in "
                + "\(Self.beside(file, profile ?? "")) gives it"
        case .allow, .allowWhole:
            let entries = calls.prefix(Self.most).joined(separator: ", ")
            let extent = way == .allowWhole ? " whatever the arguments" : ""
            return "if the handler needs \(calls.count == 1 ? "it" : names), "
                + "the line sandbox.syscalls.allow: [\(entries)] in \(file) gives it\(extent)"
        case .denied:
            return "\(names): sandbox.syscalls.deny in \(file) names it"
        case .network:
            let line =
                profile != nil || preset == .network || preset == .unconfined
                ? "network: host" : "preset: network"
            return "\(names): sockets that leave the task come with sandbox.\(line) in \(file)"
        case .otherSocket:
            let given =
                preset == .network ? "IP sockets" : "no socket; sandbox.preset: network in \(file) gives IP"
            return "\(names): the preset \(preset.rawValue) gives \(given); "
                + "a Unix socket would reach every service of the host, so nothing should give one"
        case .administrative:
            return
                "\(names): nothing should give what administers the host, and the kernel refuses it to a handler "
                + "all the same, which holds no capability"
        case .reachesOthers:
            return "\(names): nothing should give what reaches into other processes"
        }
    }

    /// The path of a file in the folder of another one.
    private static func beside(_ file: String, _ name: String) -> String {
        (file.split(separator: "/").dropLast() + [name[...]]).joined(separator: "/")
    }

    /// Names that a sentence shows of many.
    private static let most = 5

    private static func list(_ calls: [String]) -> String {
        let rest = calls.count - most
        return calls.prefix(most).joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : "")
    }
}
