import BulkheadHost
import BulkheadLaunch
import BulkheadPolicy
import BulkheadSandbox

extension Diagnosis {
    /// What namespaces an attempt gets here.
    var namespaces: Finding {
        let features = facts.features
        guard let report = features.namespaces else {
            return Finding(
                "namespaces",
                .missing,
                "none can be made\(Self.reasons(features)): handlers see the host's files and /proc as far as Landlock"
                    + " and their user let them",
                advice: features.isRoot
                    ? "give the supervisor CAP_SYS_ADMIN"
                    : "allow user namespaces: the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone"
                        + " and kernel.apparmor_restrict_unprivileged_userns"
            )
        }
        let given = Self.inOrder.filter { report.has($0.feature) }.map(\.name)
        let missing = Self.inOrder.filter { !report.has($0.feature) }
        let way = report.means == .user ? ", by way of a user namespace" : ""
        guard !missing.isEmpty else {
            return Finding("namespaces", .present, given.joined(separator: ", ") + way)
        }
        let lacks = missing.map { "\($0.name) (errno \(report.failures[$0.feature] ?? 0))" }
        return Finding(
            "namespaces",
            .partly,
            "\(given.joined(separator: ", "))\(way); not: \(lacks.joined(separator: ", "))",
            advice: missing.contains { $0.feature == .proc }
                ? "in a container, leave nothing mounted over /proc" : "use a kernel that is built with them"
        )
    }

    private static let inOrder: [(feature: NamespaceFeature, name: String)] = [
        (.pid, "pid"), (.mounts, "mount"), (.proc, "/proc"), (.network, "net"), (.ipc, "ipc"),
    ]

    private static func reasons(_ features: HostFeatures) -> String {
        let usable = features.namespaceReports.filter { $0.means == .direct || !features.canSwitchUsers }
        let reasons = usable.compactMap { report in
            (report.failures[.user] ?? report.failures[.pid]).map { "\(report.means.words): errno \($0)" }
        }
        return reasons.isEmpty ? "" : " (\(reasons.joined(separator: "; ")))"
    }

    var memoryScratch: Finding {
        facts.features.namespaces?.has(.mounts) == true
            ? Finding("limits.scratch", .present, "the working folder can be memory of a fixed size")
            : Finding(
                "limits.scratch",
                .missing,
                "needs a mount namespace: policies that name this limit refuse to launch",
                advice: "see namespaces"
            )
    }

    /// Whether namespaces hold what Landlock cannot hold of the default policy.
    var namespacesHoldFiles: Bool {
        NamespacePlan(Policy(), features: facts.features)?.hold.isSuperset(of: [.files, .processes]) == true
    }

    /// Whether the number of processes is held without a control group.
    var namespacesHoldProcesses: Bool {
        NamespacePlan(Policy(), features: facts.features)?.holdsProcesses == true
    }
}

extension NamespaceMeans {
    fileprivate var words: String {
        switch self {
        case .direct: "by its own rights"
        case .user: "in a user namespace"
        }
    }
}

extension HostFeatures {
    /// The host as a supervisor would find it that is root with every capability.
    var asRoot: HostFeatures {
        var features = self
        features.user = 0
        features.capabilities = .max
        guard !namespaceReports.isEmpty, namespaces?.means != .direct else { return features }
        // What a user namespace gives, root's own rights give too.
        let known = namespaceReports.first { $0.has(.pid) }?.failures ?? [:]
        features.namespaceReports = [NamespaceReport(means: .direct, failures: known)]
        return features
    }

    /// The host as an ordinary user would find it.
    ///
    /// - Parameter givesUserNamespaces: Whether the host's settings let ordinary users make user namespaces.
    /// - Returns: What that user would find.
    func asOrdinaryUser(givesUserNamespaces: Bool) -> HostFeatures {
        var features = self
        if isRoot { features.user = 65_534 }
        features.capabilities = 0
        // In a user namespace of its own root would be mapped, which the kernel may refuse where it lets others be
        // (user_namespaces(7)). So what root's own rights give is what there is to say.
        let rights = isRoot ? namespaceReports.first { $0.means == .direct && $0.has(.pid) } : nil
        features.namespaceReports = namespaceReports.filter { $0.means == .user }.map { report in
            var report = rights.map { NamespaceReport(means: .user, failures: $0.failures) } ?? report
            if !givesUserNamespaces { report.failures[.user] = Self.notPermitted }
            return report
        }
        return features
    }

    /// EPERM (errno(3)).
    private static let notPermitted: Int32 = 1
}
