import BulkheadCore
public import BulkheadPolicy

/// A path that a handler may use, and how.
public struct LandlockRule: Sendable, Hashable {
    /// The path, links followed.
    public let path: String
    /// What may be done with it, or with everything below it.
    public let access: LandlockAccess
    /// Whether the rule is left out where the path does not exist; otherwise the launch fails.
    public let isOptional: Bool

    /// The rule with those of its rights that are withheld elsewhere; nil where none is.
    func limited(to handled: LandlockAccess) -> LandlockRule? {
        let given = access.intersection(handled)
        return given.isEmpty ? nil : LandlockRule(path: path, access: given, isOptional: isOptional)
    }
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

/// How Landlock holds a launch's files on this host, and what it leaves open.
public struct LandlockPlan: Sendable, Hashable {
    /// The rights that are withheld where no rule gives them; empty means that files are not bounded.
    public let handledAccess: LandlockAccess
    /// What is allowed, each path once, with every right that Landlock tells apart; none under `unconfined`.
    public let allowed: [LandlockRule]
    /// What is given, each path once, with the rights that this kernel can withhold.
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
    ///   - namespaces: What namespaces hold of this launch.
    ///   - files: The file system.
    public init(
        policy: SandboxPolicy,
        rules: SystemCallRules,
        paths: LaunchPaths,
        user: LandlockUser,
        abi: Int,
        namespaces: NamespaceHold = [],
        files: FileView = .host
    ) {
        let preset = policy.preset.rules.files
        let handled = preset == nil ? [] : LandlockAccess.known(toABI: abi)
        var list = RuleList(files: files)
        if let preset {
            list.add(preset, user: user, namespaces)
            list.add(paths)
            for path in policy.read { list.add(path, .read, isOptional: false) }
            for path in policy.write { list.add(path, .write, isOptional: false) }
        }
        handledAccess = handled
        allowed = list.rules
        self.rules = list.rules.compactMap { $0.limited(to: handled) }
        scope = Self.scope(policy, abi: abi)
        allowsOwnProc = !handled.isEmpty && !namespaces.contains(.proc)
        gaps = LandlockGap.gaps(policy, rules: rules, user: user, abi: abi, namespaces)
    }

    private static func scope(_ policy: SandboxPolicy, abi: Int) -> LandlockScope {
        guard abi >= 6 else { return [] }
        if policy.preset != .unconfined { return [.abstractSockets, .signals] }
        return policy.network == .none ? [.abstractSockets] : []
    }
}

/// Rules under construction: each path once, with the rights that it can have.
private struct RuleList {
    let files: FileView
    private(set) var rules: [LandlockRule] = []
    private var positions: [PathName: Int] = [:]

    init(files: FileView) {
        self.files = files
    }

    /// Adds what is allowed; a path that only the launch's own view of files has must be told to be a folder.
    mutating func add(_ path: String, _ access: LandlockAccess, isOptional: Bool, asFolder: Bool = false) {
        let kind = asFolder ? .folder : files.kind(path)
        if kind == nil, isOptional { return }
        let given = kind == .folder ? access : access.intersection(.forFiles)
        guard let position = positions[PathName(path)] else {
            positions[PathName(path)] = rules.count
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

    mutating func add(_ preset: FileRules, user: LandlockUser, _ namespaces: NamespaceHold) {
        for path in preset.readExecute { add(path, [.read, .execute], isOptional: true) }
        // With a /proc of its own a handler may look into all of it.
        let hasOwnProc = namespaces.contains(.proc)
        for path in preset.read + preset.readFolders
        where !hasOwnProc || !PathName(path).isIn(FileRules.procPath) {
            add(path, .read, isOptional: true)
        }
        if hasOwnProc { add(FileRules.procFolder, .read, isOptional: false) }
        if namespaces.contains(.sharedMemory) {
            add(FileRules.sharedMemoryFolder, .write, isOptional: false, asFolder: true)
        }
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
        // Without a mount namespace a folder above it may be closed to the handler's user.
        add(paths.plugins, .read, isOptional: true)
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
