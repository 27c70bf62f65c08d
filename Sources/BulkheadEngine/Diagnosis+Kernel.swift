import BulkheadHost

extension Diagnosis {
    var kernel: Finding {
        Finding(
            "kernel",
            .present,
            "Linux \(facts.features.kernelRelease) on \(facts.features.architecture)"
        )
    }

    var seccomp: Finding {
        facts.features.hasUserNotification
            ? Finding("seccomp", .present, "filters, and notifications by which a denied call is named")
            : Finding(
                "seccomp",
                .missing,
                "without filters and their notifications nothing but unconfined runs",
                advice:
                    "use Linux 5.0 or later with CONFIG_SECCOMP_FILTER; in a container, allow the call seccomp"
            )
    }

    var listener: Finding {
        if let problem = Self.listenerProblem(facts.features, facts.traceScope) {
            return Finding(
                "naming denied calls",
                .missing,
                problem,
                advice: facts.traceScope.map { $0 > 1 } == true
                    ? "run sysctl kernel.yama.ptrace_scope=1" : "give the container CAP_SYS_PTRACE"
            )
        }
        return Finding(
            "naming denied calls",
            .present,
            "the launcher may take a filter's listener (pidfd_getfd)"
        )
    }

    /// What each ABI of Landlock brought, by its number, and the kernel that has it.
    private static let landlockSteps: [(abi: Int, what: String, kernel: String)] = [
        (1, "file rules", "Linux 5.13"), (2, "moves between folders", "Linux 5.19"),
        (3, "truncation", "Linux 6.2"),
        (4, "TCP ports", "Linux 6.7"), (5, "device control", "Linux 6.10"),
        (6, "signals and abstract sockets", "Linux 6.12"),
        (9, "Unix sockets by path", "a later kernel"),
    ]

    var landlock: Finding {
        let abi = facts.features.landlockABI
        let has = Self.landlockSteps.filter { $0.abi <= abi }.map(\.what)
        let lacks = Self.landlockSteps.filter { $0.abi > abi }.map {
            "\($0.what) (ABI \($0.abi), \($0.kernel))"
        }
        guard abi > 0 else {
            return Finding(
                "Landlock",
                .missing,
                "no file rules: ordinary permissions alone would bound what handlers read and write",
                advice:
                    "use Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK and landlock in the kernel's lsm= list"
            )
        }
        let rest = lacks.isEmpty ? "" : "; not yet: " + lacks.joined(separator: ", ")
        // Unix sockets by path are kept out by the filter, so that their lack alone loses nothing.
        return Finding(
            "Landlock",
            abi >= 6 ? .present : .partly,
            "ABI \(abi): \(has.joined(separator: ", "))\(rest)",
            advice: namespacesHoldFiles
                ? "none needed: namespaces hold the rest"
                : "a later kernel; until then tasks say in their warnings what is open"
        )
    }
}
