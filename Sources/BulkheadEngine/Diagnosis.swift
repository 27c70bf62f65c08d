import BulkheadCore
import BulkheadHost
import BulkheadPolicy
import BulkheadSandbox

/// What a host can and cannot hold: facts made into lines for people, and into a verdict.
public struct Diagnosis: Sendable, Equatable {
    /// How a feature stands.
    public enum State: String, Sendable {
        /// It is there.
        case present
        /// It is there in part, or something else stands in for it.
        case partly
        /// It is not there.
        case missing
    }

    /// One feature.
    public struct Finding: Sendable, Equatable {
        /// The feature, in a word or two.
        public var name: String
        /// How it stands.
        public var state: State
        /// What is there, and what it is needed for.
        public var text: String
        /// What to do where it is not there.
        public var advice: String?

        init(_ name: String, _ state: State, _ text: String, advice: String? = nil) {
            self.name = name
            self.state = state
            self.text = text
            self.advice = state == .present ? nil : advice
        }
    }

    let facts: HostFacts

    /// Judges a host.
    ///
    /// - Parameter facts: What it is like.
    public init(_ facts: HostFacts) { self.facts = facts }

    /// Every feature, what is needed most first.
    public var findings: [Finding] {
        [kernel, seccomp, listener, landlock, namespaces, users, memory, processes, memoryScratch, killing]
            + [state, disk, scratch, openFiles, database, units]
    }

    /// Why policies with `enforcement: required` and nothing else do not launch here; empty where they do.
    public var refusals: [String] { Self.refusals(facts.features, traceScope: facts.traceScope) }

    /// The same for a supervisor that runs as root with every capability.
    public var refusalsAsRoot: [String] {
        Self.refusals(facts.features.asRoot, traceScope: facts.traceScope)
    }

    /// The same for one that runs as an ordinary user.
    public var refusalsAsUser: [String] {
        let features = facts.features.asOrdinaryUser(givesUserNamespaces: facts.givesUserNamespaces)
        return Self.refusals(features, traceScope: facts.traceScope)
    }

    /// Decides by the rules that a launch obeys.
    private static func refusals(_ features: HostFeatures, traceScope: Int?) -> [String] {
        var reasons: [String] = []
        if !features.hasUserNotification {
            reasons.append("the kernel cannot hand denied calls to the launcher")
        }
        if let problem = listenerProblem(features, traceScope) { reasons.append(problem) }
        let policy = SandboxPolicy()
        guard let rules = try? SystemCallRules(policy) else {
            return reasons + ["the default policy is refused"]
        }
        let plan = LandlockPlan(
            policy: policy,
            rules: rules,
            paths: LaunchPaths(handler: "/", interpreter: nil, scratch: "/", plugins: "/"),
            user: features.canSwitchUsers ? .ownUser : features.isRoot ? .root : .sharedUser,
            abi: features.landlockABI,
            namespaces: NamespacePlan(Policy(), features: features)?.hold ?? [],
            files: FileView(kind: { _ in .folder }, entries: { _ in [] })
        )
        return reasons + plan.gaps.filter(\.refusesRequired).map(\.text)
    }

    /// The launcher takes the filter's listener from its child, which Yama and capabilities may forbid.
    static func listenerProblem(_ features: HostFeatures, _ scope: Int?) -> String? {
        let mayTrace = features.has(.trace)
        if scope == 3 { return "kernel.yama.ptrace_scope is 3: nobody may take the filter's listener" }
        if scope == 2, !mayTrace { return "kernel.yama.ptrace_scope is 2, and CAP_SYS_PTRACE is missing" }
        if features.canSwitchUsers, !mayTrace {
            return
                "handlers get users of their own, and without CAP_SYS_PTRACE the launcher cannot take the filter's listener"
        }
        return nil
    }
}

/// Capabilities that decide something (capabilities(7)), by their number.
enum Capability: UInt64 {
    case chown = 0
    case setGID = 6
    case setUID = 7
    case trace = 19
}

extension HostFeatures {
    /// Whether the supervisor has a capability.
    func has(_ capability: Capability) -> Bool { capabilities & (1 << capability.rawValue) != 0 }
}
