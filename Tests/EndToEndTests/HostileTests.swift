import CLinux
import Glibc
import Testing

extension EndToEnd {
    /// Each attempt under a supervisor of the user who runs the tests.
    @Suite("Hostile handlers")
    struct HostileTests {
        private let attempts = HostileAttempts(user: .own)

        @Test("what administers the host is denied and named, call by call", .timeLimit(.minutes(1)))
        func administration() async throws { try await attempts.administration() }

        @Test("no namespace, filter or program of its own is made", .timeLimit(.minutes(1)))
        func ownNamespaces() async throws { try await attempts.ownNamespaces() }

        @Test("numbers and entries that are not this machine's own do nothing", .timeLimit(.minutes(1)))
        func foreignEntries() async throws { try await attempts.foreignEntries() }

        @Test(
            "neither the supervisor nor a neighbour is signalled, traced, read or borrowed from",
            .timeLimit(.minutes(1)),
            .enabled(
                if: isRoot || clinux_landlock_abi() >= 6,
                "needs root or Landlock ABI 6: below it signals reach processes of the same user"
            )
        )
        func neighbours() async throws { try await attempts.neighbours() }

        @Test("no socket leads anywhere without network", .timeLimit(.minutes(1)))
        func sockets() async throws { try await attempts.sockets() }

        @Test("the supervisor's files, secrets and devices are closed", .timeLimit(.minutes(1)))
        func files() async throws { try await attempts.files() }

        @Test(
            "a setuid program gains nothing, and no core is left",
            .timeLimit(.minutes(1)),
            .enabled(if: isRoot, "needs root: to make a setuid program")
        )
        func setuid() async throws { try await attempts.setuid() }
    }

    /// Each attempt again under a supervisor without any right, whose handlers share its user.
    @Suite(
        "Hostile handlers of an ordinary user",
        .enabled(if: SupervisorUser.canBeOrdinary, SupervisorUser.whyNotOrdinary)
    )
    struct OrdinaryHostileTests {
        private let attempts = HostileAttempts(user: .ordinary)

        @Test("what administers the host is denied and named, call by call", .timeLimit(.minutes(1)))
        func administration() async throws { try await attempts.administration() }

        @Test("no namespace, filter or program of its own is made", .timeLimit(.minutes(1)))
        func ownNamespaces() async throws { try await attempts.ownNamespaces() }

        @Test("numbers and entries that are not this machine's own do nothing", .timeLimit(.minutes(1)))
        func foreignEntries() async throws { try await attempts.foreignEntries() }

        @Test(
            "neither the supervisor nor a neighbour is signalled, traced, read or borrowed from",
            .timeLimit(.minutes(1)),
            .enabled(
                if: clinux_landlock_abi() >= 6,
                "needs Landlock ABI 6: below it signals reach processes of the same user"
            )
        )
        func neighbours() async throws { try await attempts.neighbours() }

        @Test("no socket leads anywhere without network", .timeLimit(.minutes(1)))
        func sockets() async throws { try await attempts.sockets() }

        @Test("the supervisor's files, secrets and devices are closed", .timeLimit(.minutes(1)))
        func files() async throws { try await attempts.files() }

        @Test("a setuid program gains nothing, and no core is left", .timeLimit(.minutes(1)))
        func setuid() async throws { try await attempts.setuid() }
    }
}
