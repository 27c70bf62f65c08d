/// What a handler may do with a file or folder of the host that is shown to it.
public enum BindAccess: UInt8, Sendable, Equatable, CaseIterable {
    /// Reading; nothing in it is executed.
    case read = 1
    /// Reading and executing.
    case execute = 2
    /// Reading, writing and executing.
    case write = 3
    /// Using a device.
    case device = 4
}

/// One step that gives the handler its view of files; a path that is missing in an empty view is made.
public enum MountStep: Sendable, Equatable {
    /// A symbolic link.
    case link(path: String, target: String)
    /// The host's file or folder of the same path, opened as the handler's user before anything is hidden.
    case bind(path: String, access: BindAccess, optional: Bool)
    /// The same for what is the supervisor's own and shown to every handler: opened with the launcher's rights, since
    /// the folders above it, such as root's home, may be closed to the handler's user.
    case offer(path: String, access: BindAccess)
    /// An empty folder in the place of one that is not to be seen.
    case cover(path: String)
    /// A file system in memory, which is the handler's user's own, or else everybody's as `/tmp` is.
    case memory(path: String, bytes: UInt64, inodes: UInt64, isOwned: Bool)
    /// The processes of the pid namespace, at `/proc`; read-only but on the host as it is.
    case proc
    /// Nothing that can be opened in the place of a file or folder, where there is one.
    case mask(path: String, isFolder: Bool)
}

extension MountStep {
    /// What the handler may do with what of the host it shows; nil where it shows nothing of that.
    public var access: BindAccess? {
        switch self {
        case .bind(_, let access, _), .offer(_, let access): access
        case .link, .cover, .memory, .proc, .mask: nil
        }
    }
}

/// The mount namespace of an attempt.
public struct MountSpec: Sendable, Equatable {
    /// What the steps begin with.
    public enum Base: UInt8, Sendable, Equatable, CaseIterable {
        /// An empty root, which is read-only in the end.
        case empty = 1
        /// The host's files as they are.
        case host = 2
        /// The host's files, read-only.
        case readOnlyHost = 3
    }

    /// What the steps begin with.
    public var base: Base
    /// What is done then, in this order.
    public var steps: [MountStep]

    /// Makes a view from its parts.
    public init(base: Base, steps: [MountStep] = []) {
        self.base = base
        self.steps = steps
    }
}

/// The namespaces of an attempt; a pid namespace of its own is always among them.
public struct NamespaceSpec: Sendable, Equatable {
    /// Whether they belong to a user namespace, which the launcher keeps: the way of who is not root.
    public var inUserNamespace: Bool
    /// Whether the handler is in a network namespace without any network, which the launcher keeps.
    public var hasNetwork: Bool
    /// Whether System V and POSIX message queues, semaphores and shared memory are the attempt's own.
    public var hasIPC: Bool
    /// Processes and threads of the handler's tree (RLIMIT_NPROC); needs a user namespace.
    public var processes: UInt64?
    /// The mount namespace; nil: the handler sees the launcher's.
    public var mounts: MountSpec?

    /// Makes the namespaces of an attempt; without arguments there is a pid namespace alone.
    public init(
        inUserNamespace: Bool = false,
        hasNetwork: Bool = false,
        hasIPC: Bool = false,
        processes: UInt64? = nil,
        mounts: MountSpec? = nil
    ) {
        self.inUserNamespace = inUserNamespace
        self.hasNetwork = hasNetwork
        self.hasIPC = hasIPC
        self.processes = processes
        self.mounts = mounts
    }
}

/// A step on the way into namespaces, as a child reports where it failed.
public enum NamespaceStep: Sendable, Equatable {
    /// Entering the user namespace that the launcher keeps.
    case user
    /// Entering the network namespace that the launcher keeps.
    case network
    /// Making the pid, mount and ipc namespaces.
    case unshare
    /// Starting the namespace's first process.
    case firstProcess
    /// Keeping mounts from reaching other namespaces.
    case isolate
    /// Making the root of the view.
    case root
    /// One of the spec's mount steps, counted from 0.
    case mount(Int)
    /// Making the view read-only in the end.
    case seal
    /// Starting the handler's process.
    case handler

    private static let fixed: [NamespaceStep] = [
        .user, .network, .unshare, .firstProcess, .isolate, .root, .seal, .handler,
    ]
    private static let firstFixed = UInt32(LaunchLimits.listEntries)

    /// The step as a number, for a report.
    public var item: UInt32 {
        if case .mount(let index) = self { return UInt32(clamping: index) }
        return Self.firstFixed + UInt32(Self.fixed.firstIndex(of: self) ?? Self.fixed.count)
    }

    /// The step of a number; nil if there is none.
    public init?(item: UInt32) {
        let position = Int(item) - Int(Self.firstFixed)
        guard position >= 0 else {
            self = .mount(Int(item))
            return
        }
        guard position < Self.fixed.count else { return nil }
        self = Self.fixed[position]
    }

    /// The step in words, fit for the brackets of a refusal.
    ///
    /// - Parameter spec: The namespaces that it belongs to.
    /// - Returns: What the step is about.
    public func words(in spec: NamespaceSpec) -> String {
        switch self {
        case .user: "the user namespace"
        case .network: "the network namespace"
        case .unshare: "the pid, mount and ipc namespaces"
        case .firstProcess: "the first process of the pid namespace"
        case .isolate: "a private copy of the mounts"
        case .root: "the root of the handler's view of files"
        case .seal: "making the handler's view of files read-only"
        case .handler: "the handler's process"
        case .mount(let index):
            spec.mounts.flatMap { $0.steps.indices.contains(index) ? $0.steps[index].words : nil }
                ?? "a mount"
        }
    }
}

extension MountStep {
    /// What it does, in words.
    var words: String {
        switch self {
        case .link(let path, _): "the link \(path)"
        case .bind(let path, _, _), .offer(let path, _): "showing \(path)"
        case .cover(let path), .mask(let path, _): "hiding \(path)"
        case .memory(let path, _, _, _): "mounting memory on \(path)"
        case .proc: "mounting /proc"
        }
    }
}
