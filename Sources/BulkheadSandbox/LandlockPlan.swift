public import BulkheadPolicy

/// A path that a handler may use, and how.
public struct LandlockRule: Sendable, Hashable {
    /// The path, links followed.
    public let path: String
    /// What may be done with it, or with everything below it.
    public let access: LandlockAccess
    /// Whether the rule is left out where the path does not exist; otherwise the launch fails.
    public let isOptional: Bool
}

/// What a launch brings to the files of its preset and its policy.
public struct LaunchPaths: Sendable, Hashable {
    /// The copy of the handler that runs.
    public var handler: String
    /// The interpreter that the handler's first line names.
    public var interpreter: String?
    /// The scratch folder.
    public var scratch: String
    /// The plugins folder.
    public var plugins: String

    /// Makes the paths of a launch.
    ///
    /// - Parameters:
    ///   - handler: The copy of the handler that runs.
    ///   - interpreter: The interpreter that the handler's first line names.
    ///   - scratch: The scratch folder.
    ///   - plugins: The plugins folder.
    public init(handler: String, interpreter: String?, scratch: String, plugins: String) {
        self.handler = handler
        self.interpreter = interpreter
        self.scratch = scratch
        self.plugins = plugins
    }
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

    /// Whether a policy with `enforcement: required` must not run without it by another mechanism.
    public var refusesRequired: Bool { kind == .files || kind == .unixSockets }
}

/// How Landlock holds a launch's files on this host, and what it leaves open.
public struct LandlockPlan: Sendable, Hashable {
    /// The rights that are withheld where no rule gives them; empty means that files are not bounded.
    public let handledAccess: LandlockAccess
    /// What is given, each path once.
    public let rules: [LandlockRule]
    /// What is kept within the sandbox besides files.
    public let scope: LandlockScope
    /// Whether the handler may read its own `/proc/self`, which only its own process can name.
    public let allowsOwnProc: Bool
    /// What this host cannot hold.
    public let gaps: [LandlockGap]

    /// Whether there is anything to install.
    public var isEmpty: Bool { handledAccess.isEmpty && scope.isEmpty }
}

/// Who a handler runs as, as far as files are concerned.
public enum LandlockUser: Sendable, Hashable {
    /// Root.
    case root
    /// A user of its own, who owns nothing but what a task made.
    case ownUser
    /// The supervisor's user, or another who owns files of the host.
    case sharedUser
}

extension LandlockPlan {
    /// Plans a launch.
    ///
    /// - Parameters:
    ///   - policy: The sandbox part of the policy.
    ///   - rules: What the policy means for system calls.
    ///   - paths: What the launch brings.
    ///   - user: Who the handler runs as.
    ///   - abi: The host's Landlock ABI; 0 is none.
    ///   - files: The file system.
    public init(
        policy: SandboxPolicy,
        rules: SystemCallRules,
        paths: LaunchPaths,
        user: LandlockUser,
        abi: Int,
        files: FileView = .host
    ) {
        let preset = policy.preset.rules.files
        handledAccess = preset == nil ? [] : .known(toABI: abi)
        var list = RuleList(handled: handledAccess, files: files)
        if let preset, !handledAccess.isEmpty {
            list.add(preset, user: user)
            list.add(paths)
            for path in policy.read { list.add(path, .read, isOptional: false) }
            for path in policy.write { list.add(path, .write, isOptional: false) }
        }
        self.rules = list.rules
        scope = Self.scope(policy, abi: abi)
        allowsOwnProc = !handledAccess.isEmpty
        gaps = Self.gaps(policy, rules: rules, user: user, abi: abi)
    }

    private static func scope(_ policy: SandboxPolicy, abi: Int) -> LandlockScope {
        guard abi >= 6 else { return [] }
        if policy.preset != .unconfined { return [.abstractSockets, .signals] }
        return policy.network == .none ? [.abstractSockets] : []
    }

    private static func gaps(
        _ policy: SandboxPolicy,
        rules: SystemCallRules,
        user: LandlockUser,
        abi: Int
    ) -> [LandlockGap] {
        let unix = rules.givesUnixSockets
        guard policy.preset != .unconfined else {
            return policy.network == .none && unix && abi < 6 ? [gap(.abstractSockets)] : []
        }
        var kinds: [LandlockGap.Kind] = abi < 1 ? [.files] : [.childProc]
        if 1..<3 ~= abi { kinds.append(.truncation) }
        if user != .ownUser { kinds.append(.metadata) }
        if abi < 6 { kinds += [.signals] + (unix ? [.abstractSockets] : []) }
        if abi < 9, unix { kinds.append(.unixSockets) }
        return kinds.map(gap)
    }

    private static func gap(_ kind: LandlockGap.Kind) -> LandlockGap {
        let text =
            switch kind {
            case .files: "this kernel has no Landlock: ordinary permissions alone bound the files"
            case .truncation:
                "files that its user may write can be emptied outside the allowed folders (needs Landlock ABI 3)"
            case .metadata:
                "mode, times and attributes of files that its user owns can be changed outside the allowed folders"
            case .signals: "signals reach other processes of its user (needs Landlock ABI 6)"
            case .abstractSockets: "abstract Unix sockets of the host can be reached (needs Landlock ABI 6)"
            case .unixSockets:
                "the policy gives Unix sockets, which reach every socket file that its user may open (needs Landlock ABI 9)"
            case .childProc: "/proc is closed but for the machine's facts and the handler's first process"
            }
        return LandlockGap(kind: kind, text: text)
    }
}

/// Rules under construction: each path once, with the rights that the kernel knows and the path can have.
private struct RuleList {
    let handled: LandlockAccess
    let files: FileView
    private(set) var rules: [LandlockRule] = []
    private var positions: [String: Int] = [:]

    init(handled: LandlockAccess, files: FileView) {
        self.handled = handled
        self.files = files
    }

    mutating func add(_ path: String, _ access: LandlockAccess, isOptional: Bool) {
        let kind = files.kind(path)
        if kind == nil, isOptional { return }
        let given = access.intersection(handled).intersection(kind == .folder ? handled : .forFiles)
        guard let position = positions[path] else {
            positions[path] = rules.count
            rules.append(LandlockRule(path: path, access: given, isOptional: isOptional))
            return
        }
        let before = rules[position]
        rules[position] = LandlockRule(
            path: path,
            access: before.access.union(given),
            isOptional: before.isOptional && isOptional
        )
    }

    mutating func add(_ preset: FileRules, user: LandlockUser) {
        for path in preset.readExecute { add(path, [.read, .execute], isOptional: true) }
        for path in preset.read + preset.readFolders { add(path, .read, isOptional: true) }
        for path in preset.devices {
            add(path, [.readFile, .writeFile, .truncate, .deviceControl], isOptional: true)
        }
        if user == .root {
            addSettings(preset, below: "")
        } else {
            add(preset.settings, .read, isOptional: true)
        }
    }

    mutating func add(_ paths: LaunchPaths) {
        add(paths.handler, [.readFile, .execute], isOptional: false)
        if let interpreter = paths.interpreter {
            add(interpreter, [.readFile, .execute], isOptional: false)
        }
        add(paths.plugins, .read, isOptional: false)
        add(paths.scratch, [.write, .execute], isOptional: false)
    }

    /// Gives root, whom permissions do not keep from the secrets, entry by entry what everybody may read.
    ///
    /// A link needs no rule; what it leads to does.
    private mutating func addSettings(_ preset: FileRules, below folder: String) {
        for entry in files.entries(preset.settings + (folder.isEmpty ? "" : "/" + folder)) {
            let name = folder.isEmpty ? entry.name : folder + "/" + entry.name
            guard entry.kind != .link, entry.isPublic, !preset.isSecret(name) else { continue }
            if entry.kind == .folder, preset.holdsSecret(name) {
                addSettings(preset, below: name)
            } else {
                add(preset.settings + "/" + name, .read, isOptional: true)
            }
        }
    }
}
