import BulkheadPolicy

/// What namespaces hold of a launch, so that nothing else has to.
public struct NamespaceHold: OptionSet, Sendable, Hashable {
    /// The bits.
    public let rawValue: Int

    /// Makes a set from its bits.
    public init(rawValue: Int) {
        self.rawValue = rawValue
    }

    /// No process outside the tree can be seen, signalled or traced.
    public static let processes = NamespaceHold(rawValue: 1)
    /// No file but the allowed ones exists, and those that are not to be written are read-only.
    public static let files = NamespaceHold(rawValue: 2)
    /// `/proc` shows the tree's own processes.
    public static let proc = NamespaceHold(rawValue: 4)
    /// `/dev/shm` is the tree's own.
    public static let sharedMemory = NamespaceHold(rawValue: 8)
    /// There is no network, and no abstract socket but the tree's own.
    public static let network = NamespaceHold(rawValue: 16)
}

/// Something of contract's outcomes that this host cannot hold by Landlock.
public struct LandlockGap: Sendable, Hashable {
    /// Which outcome is missing.
    public enum Kind: String, Sendable, CaseIterable {
        /// Files outside the allowed ones.
        case files
        /// Cutting files outside the allowed ones.
        case truncation
        /// Mode, times and attributes of the user's own files.
        case metadata
        /// Signals to other processes.
        case signals
        /// Abstract Unix sockets.
        case abstractSockets = "abstract-sockets"
        /// Unix sockets by path.
        case unixSockets = "unix-sockets"
        /// The handler's own children see no `/proc` of their own.
        case childProc = "child-proc"
    }

    /// Which outcome is missing.
    public let kind: Kind
    /// What that means for the handler, as a sentence.
    public let text: String
    /// Whether a policy with `enforcement: required` must not run with it.
    public let refusesRequired: Bool
}

extension LandlockGap {
    /// What is left open by namespaces, Landlock, another user and the filter together.
    static func gaps(
        _ policy: SandboxPolicy,
        rules: SystemCallRules,
        user: LandlockUser,
        abi: Int,
        _ namespaces: NamespaceHold
    ) -> [LandlockGap] {
        let unix = rules.givesUnixSockets
        var kinds: [LandlockGap.Kind] = []
        if policy.preset != .unconfined {
            if !namespaces.contains(.files) {
                kinds += abi < 1 ? [.files] : abi < 3 ? [.truncation] : []
                if user != .ownUser { kinds.append(.metadata) }
            }
            // A folder that may only be read shows its sockets too, and a read-only mount lets them be reached.
            if !namespaces.contains(.files) || !policy.read.isEmpty, abi < 9, unix {
                kinds.append(.unixSockets)
            }
            if !namespaces.contains(.proc), abi >= 1 || namespaces.contains(.files) {
                kinds.append(.childProc)
            }
            if !namespaces.contains(.processes), abi < 6 { kinds.append(.signals) }
        }
        let mayReachNames = policy.preset != .unconfined || policy.network == .none
        if mayReachNames, unix, abi < 6, !namespaces.contains(.network) { kinds.append(.abstractSockets) }
        return kinds.map { LandlockGap($0, user: user, policy: policy) }
    }

    private init(_ kind: Kind, user: LandlockUser, policy: SandboxPolicy) {
        self.kind = kind
        text = Self.text(of: kind)
        refusesRequired =
            switch kind {
            case .files, .unixSockets: true
            // A user of its own owns nothing that it could empty, and no process that it could signal.
            case .truncation, .signals: user != .ownUser
            case .abstractSockets: policy.network == .none
            case .metadata, .childProc: false
            }
    }

    private static func text(of kind: Kind) -> String {
        switch kind {
        case .files: "this kernel has no Landlock: ordinary permissions alone bound the files"
        case .truncation:
            "files that its user may write can be emptied outside the allowed folders (needs a mount namespace or"
                + " Landlock ABI 3)"
        case .metadata:
            "mode, times and attributes of files that its user owns can be changed outside the allowed folders"
                + " (needs a mount namespace)"
        case .signals:
            "signals reach other processes of its user (needs a pid namespace or Landlock ABI 6)"
        case .abstractSockets:
            "abstract Unix sockets of the host can be reached (needs a network namespace or Landlock ABI 6)"
        case .unixSockets:
            "the policy gives Unix sockets, which reach every socket file that its user may open (needs Landlock ABI 9,"
                + " or a mount namespace and no folder under read)"
        case .childProc:
            "/proc is closed but for the machine's facts and the handler's first process (needs a new /proc)"
        }
    }
}
