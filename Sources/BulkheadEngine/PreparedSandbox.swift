import BulkheadCore
import BulkheadHost
import BulkheadLaunch
import BulkheadPolicy
import BulkheadSandbox

/// A policy's sandbox as far as it can be made ready before a launch.
struct PreparedSandbox: Sendable {
    private let policy: SandboxPolicy
    private let compiled: CompiledSandbox

    /// What the policy means for system calls.
    var rules: SystemCallRules { compiled.rules }

    /// The filter; nil where the policy needs none.
    var filter: CompiledFilter? { compiled.filter }

    /// What the policy asks for and does not get, as sentences.
    var warnings: [String] { compiled.warnings }

    /// Compiles the filter and compares it with the policy's meaning.
    /// - Throws: ``BulkheadError`` where the policy cannot be held as it is written.
    init(_ policy: SandboxPolicy) throws(BulkheadError) {
        self.policy = policy
        compiled = try CompiledSandbox.compile(policy)
    }

    /// The file rules of one launch.
    func filePlan(
        _ paths: LaunchPaths,
        user: LandlockUser,
        features: HostFeatures,
        namespaces: NamespaceHold
    ) -> LandlockPlan {
        LandlockPlan(
            policy: policy,
            rules: compiled.rules,
            paths: paths,
            user: user,
            abi: features.landlockABI,
            namespaces: namespaces
        )
    }

    /// The filter as the launcher installs it.
    var filterSpec: FilterSpec {
        guard let filter else { return FilterSpec() }
        return FilterSpec(
            program: filter.bytes,
            hasListener: filter.needsListener,
            firstExecNotified: filter.firstExecNotified,
            onDenied: deniedAction,
            answers: compiled.rules.answers(besides: deniedAction),
            deniedLimit: Limits.deniedCalls
        )
    }

    /// What a denied call meets unless its own rule says something else: under a profile its default.
    private var deniedAction: DeniedAction {
        if case .denyWith(let errno)? = policy.profile?.fallback { return .errno(Int32(errno)) }
        switch policy.onDenied {
        case .errno: return .errno(Self.operationNotPermitted)
        case .kill: return .kill
        case .audit: return .audit(errno: Self.operationNotPermitted, held: AuditRule.heldNumbers())
        }
    }

    /// EPERM (errno(3)).
    private static let operationNotPermitted: Int32 = 1
}

extension LandlockPlan {
    /// The file rules as the launcher applies them; nil where there are none.
    var spec: LandlockSpec? {
        guard !isEmpty else { return nil }
        return LandlockSpec(
            handledAccess: handledAccess.rawValue,
            scoped: scope.rawValue,
            rules: rules.map {
                BulkheadLaunch.LandlockRule(
                    path: $0.path,
                    access: $0.access.rawValue,
                    optional: $0.isOptional
                )
            },
            allowOwnProc: allowsOwnProc
        )
    }
}
