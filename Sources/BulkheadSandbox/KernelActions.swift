import BulkheadCore
import BulkheadPolicy
import CLinux

/// The answers of a filter that a kernel knows (seccomp(2), SECCOMP_GET_ACTION_AVAIL).
struct KernelActions: Hashable {
    private let known: Set<UInt32>

    init(known: some Sequence<Verdict>) {
        self.known = Set(known.map(\.action))
    }

    /// Those of the running kernel.
    static let running = KernelActions(
        known: [.allow, .log, .deny, .fail(errno: 0), .trap, .kill].filter { verdict in
            clinux_seccomp_knows_action(verdict.action) == 1
        }
    )

    /// Refuses rules with an answer that only profiles give and that the kernel takes for the end of the process.
    ///
    /// Whether it has those that every filter gives shows at each launch.
    func check(_ rules: SystemCallRules) throws(BulkheadError) {
        let given = rules.rules.values.reduce(into: [rules.unknown] as Set) { $0.formUnion($1.verdicts) }
        for verdict in [Verdict.log, .trap] where given.contains(verdict) && !known.contains(verdict.action) {
            throw BulkheadError(
                .host,
                "this kernel's filters have no answer \(verdict), which the profile asks for",
                advice: "It came with Linux 4.14."
            )
        }
    }
}

extension Verdict {
    /// The answer without its data (SECCOMP_RET_ACTION_FULL).
    fileprivate var action: UInt32 { filterReturn & 0xFFFF_0000 }
}
