/// What a host can or cannot do for namespaces.
public enum NamespaceFeature: String, Sendable, CaseIterable {
    /// A user namespace, which gives an ordinary user the right to the others.
    case user
    /// A pid namespace with a first process of ours.
    case pid
    /// A mount namespace with a root of its own, and memory as a file system.
    case mounts
    /// A new `/proc` of the pid namespace.
    case proc
    /// A network namespace.
    case network
    /// An ipc namespace.
    case ipc
}

/// How namespaces are made.
public enum NamespaceMeans: String, Sendable, CaseIterable {
    /// With the launcher's own rights (CAP_SYS_ADMIN).
    case direct
    /// Through a user namespace, in which the launcher's own user alone exists.
    case user
}

/// What came of making every namespace once in a process that is thrown away.
public struct NamespaceReport: Sendable, Equatable {
    /// How it was tried.
    public var means: NamespaceMeans
    /// What cannot be had, with the errno that said so.
    public var failures: [NamespaceFeature: Int32]

    /// Makes a report from its parts.
    public init(means: NamespaceMeans, failures: [NamespaceFeature: Int32] = [:]) {
        self.means = means
        self.failures = failures
    }

    /// Whether a feature can be had; none can without the pid namespace, which every attempt gets.
    public func has(_ feature: NamespaceFeature) -> Bool {
        guard failures[.pid] == nil, failures[.user] == nil else { return false }
        switch feature {
        case .user: return means == .user
        case .proc: return failures[.proc] == nil && failures[.mounts] == nil
        case .pid, .mounts, .network, .ipc: return failures[feature] == nil
        }
    }

    /// The report as one line: the means, then each failed feature with its errno.
    public var text: String {
        let failed = NamespaceFeature.allCases.compactMap { feature in
            failures[feature].map { "\(feature.rawValue)=\($0)" }
        }
        return ([means.rawValue] + failed).joined(separator: " ")
    }

    /// Reads the line; nil if it is none.
    public init?(text: String) {
        let words = text.split(separator: " ")
        guard let means = words.first.flatMap({ NamespaceMeans(rawValue: String($0)) }) else { return nil }
        self.init(means: means)
        for word in words.dropFirst() {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let feature = NamespaceFeature(rawValue: String(parts[0])),
                let errno = Int32(parts[1]), errno > 0
            else { return nil }
            failures[feature] = errno
        }
    }

    /// The namespaces to try next, after what has failed so far.
    public var spec: NamespaceSpec {
        var steps: [MountStep] = [.memory(path: "/dev/shm", bytes: 4096, inodes: 16, isOwned: false)]
        if failures[.proc] == nil { steps.append(.proc) }
        return NamespaceSpec(
            inUserNamespace: means == .user,
            hasNetwork: failures[.network] == nil,
            hasIPC: failures[.ipc] == nil,
            mounts: failures[.mounts] == nil ? MountSpec(base: .empty, steps: steps) : nil
        )
    }

    /// Takes note of the step at which a try failed.
    ///
    /// - Parameters:
    ///   - step: The step; nil where it was none of the namespaces'.
    ///   - errno: Why.
    /// - Returns: Whether another try, without that, makes sense.
    public mutating func note(_ step: NamespaceStep?, errno: Int32) -> Bool {
        let feature = feature(of: step)
        guard failures[feature] == nil else { return false }
        failures[feature] = errno
        return feature != .pid && feature != .user
    }

    private func feature(of step: NamespaceStep?) -> NamespaceFeature {
        switch step {
        case .user: .user
        case .network: .network
        // One call makes them all; the one that a kernel most likely lacks is left out first.
        case .unshare: failures[.ipc] == nil ? .ipc : failures[.mounts] == nil ? .mounts : .pid
        case .isolate, .root, .seal: .mounts
        case .mount(let index):
            spec.mounts.map { $0.steps.indices.contains(index) && $0.steps[index] == .proc } == true
                ? .proc : .mounts
        case .firstProcess, .handler, nil: .pid
        }
    }
}
