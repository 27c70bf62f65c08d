import CLinux
import Foundation
import Glibc
import Testing

extension EndToEnd {
    /// Each attempt under a supervisor of the user who runs the tests.
    @Suite("Hostile handlers")
    struct HostileTests {
        private let attempts = HostileAttempts(user: .own)

        @Test("what administers the host is denied and named, call by call", .timeLimit(.minutes(5)))
        func administration() async throws { try await attempts.administration() }

        @Test("no namespace, filter or program of its own is made", .timeLimit(.minutes(5)))
        func ownNamespaces() async throws { try await attempts.ownNamespaces() }

        @Test("numbers and entries that are not this machine's own do nothing", .timeLimit(.minutes(5)))
        func foreignEntries() async throws { try await attempts.foreignEntries() }

        @Test(
            "neither the supervisor nor a neighbour is signalled, traced, read or borrowed from",
            .timeLimit(.minutes(5)),
            .enabled(
                if: isRoot || clinux_landlock_abi() >= 6,
                "needs root or Landlock ABI 6: below it signals reach processes of the same user"
            )
        )
        func neighbours() async throws { try await attempts.neighbours() }

        @Test(
            "what would steer a terminal is shown there, not obeyed",
            .timeLimit(.minutes(5)),
            .enabled(if: Tool.isThere("python3"), "needs python3, for a terminal")
        )
        func terminal() async throws { try await attempts.terminal() }

        @Test("no socket leads anywhere without network", .timeLimit(.minutes(5)))
        func sockets() async throws { try await attempts.sockets() }

        @Test("the supervisor's files, secrets and devices are closed", .timeLimit(.minutes(5)))
        func files() async throws { try await attempts.files() }

        @Test(
            "a setuid program gains nothing, and no core is left",
            .timeLimit(.minutes(5)),
            .enabled(if: isRoot, "needs root: to make a setuid program")
        )
        func setuid() async throws { try await attempts.setuid() }

        @Test("each limit of a policy holds, or refuses the launch", .timeLimit(.minutes(5)))
        func limits() async throws { try await attempts.limits() }

        @Test("nothing of a task's or the supervisor's gets into its environment", .timeLimit(.minutes(5)))
        func environment() async throws { try await attempts.environment() }

        @Test("a handler that is swapped runs as it was checked, or not at all", .timeLimit(.minutes(5)))
        func swaps() async throws { try await attempts.swaps() }

        @Test("nobody else may own or write a handler or a folder above it", .timeLimit(.minutes(5)))
        func ownership() async throws { try await attempts.ownership() }

        @Test(
            "unconfined reaches neither the supervisor nor a neighbour",
            .timeLimit(.minutes(5)),
            .enabled(if: hasNamespaces, "needs namespaces: nothing else keeps unconfined handlers apart")
        )
        func unconfinedNeighbours() async throws { try await attempts.neighbours(isConfined: false) }
    }

    /// Each attempt again under a supervisor without any right, whose handlers share its user.
    @Suite(
        "Hostile handlers of an ordinary user",
        .enabled(if: SupervisorUser.canBeOrdinary, SupervisorUser.whyNotOrdinary)
    )
    struct OrdinaryHostileTests {
        private let attempts = HostileAttempts(user: .ordinary)

        @Test("what administers the host is denied and named, call by call", .timeLimit(.minutes(5)))
        func administration() async throws { try await attempts.administration() }

        @Test("no namespace, filter or program of its own is made", .timeLimit(.minutes(5)))
        func ownNamespaces() async throws { try await attempts.ownNamespaces() }

        @Test("numbers and entries that are not this machine's own do nothing", .timeLimit(.minutes(5)))
        func foreignEntries() async throws { try await attempts.foreignEntries() }

        @Test(
            "neither the supervisor nor a neighbour is signalled, traced, read or borrowed from",
            .timeLimit(.minutes(5)),
            .enabled(
                if: clinux_landlock_abi() >= 6,
                "needs Landlock ABI 6: below it signals reach processes of the same user"
            )
        )
        func neighbours() async throws { try await attempts.neighbours() }

        @Test("no socket leads anywhere without network", .timeLimit(.minutes(5)))
        func sockets() async throws { try await attempts.sockets() }

        @Test("the supervisor's files, secrets and devices are closed", .timeLimit(.minutes(5)))
        func files() async throws { try await attempts.files() }

        @Test("a setuid program gains nothing, and no core is left", .timeLimit(.minutes(5)))
        func setuid() async throws { try await attempts.setuid() }

        @Test("each limit of a policy holds, or refuses the launch", .timeLimit(.minutes(5)))
        func limits() async throws { try await attempts.limits() }

        @Test("nothing of a task's or the supervisor's gets into its environment", .timeLimit(.minutes(5)))
        func environment() async throws { try await attempts.environment() }

        @Test("a handler that is swapped runs as it was checked, or not at all", .timeLimit(.minutes(5)))
        func swaps() async throws { try await attempts.swaps() }

        @Test("nobody else may own or write a handler or a folder above it", .timeLimit(.minutes(5)))
        func ownership() async throws { try await attempts.ownership() }

        @Test(
            "unconfined reaches neither the supervisor nor a neighbour",
            .timeLimit(.minutes(5)),
            .enabled(
                if: ordinaryHasNamespaces,
                "needs namespaces: nothing else keeps unconfined handlers apart"
            )
        )
        func unconfinedNeighbours() async throws { try await attempts.neighbours(isConfined: false) }
    }

    /// The attempts that other mechanisms must hold where the host lacks one; all of them with `BULKHEAD_HOSTILE=all`.
    @Suite(
        "Hostile handlers on a host that lacks something",
        .enabled(if: WithheldFeature.canBeWithheld, WithheldFeature.whyNot)
    )
    struct LackingHostileTests {
        private static let users: [SupervisorUser] =
            SupervisorUser.canBeOrdinary ? [.own, .ordinary] : [.own]
        private static let isWhole = ProcessInfo.processInfo.environment["BULKHEAD_HOSTILE"] == "all"
        private static let signalsAreHeld = clinux_landlock_abi() >= 6

        @Test(
            "without namespaces files, processes and sockets are held by Landlock, users and the filter",
            .timeLimit(.minutes(5)),
            .enabled(if: clinux_landlock_abi() >= 1, "needs Landlock"),
            arguments: users
        )
        func noNamespaces(user: SupervisorUser) async throws {
            let attempts = HostileAttempts(user: user, withheld: [.namespaces])
            try await attempts.files()
            if Self.signalsAreHeld { try await attempts.neighbours() }
            guard Self.isWhole else { return }
            try await attempts.administration()
            try await attempts.ownNamespaces()
            try await attempts.foreignEntries()
            try await attempts.sockets()
            try await attempts.limits()
            if isRoot { try await attempts.setuid() }
        }

        @Test(
            "without Landlock files, processes and sockets are held by namespaces and the filter",
            .timeLimit(.minutes(5)),
            .enabled(if: hasNamespaces, "needs namespaces"),
            arguments: users.filter { $0 == .own || ordinaryHasNamespaces }
        )
        func noLandlock(user: SupervisorUser) async throws {
            let attempts = HostileAttempts(user: user, withheld: [.landlock])
            try await attempts.files()
            guard Self.isWhole else { return }
            try await attempts.neighbours()
            try await attempts.administration()
            try await attempts.ownNamespaces()
            try await attempts.foreignEntries()
            try await attempts.sockets()
            try await attempts.limits()
            if isRoot { try await attempts.setuid() }
        }

        @Test(
            "without both nothing is launched but what its policy lets run all the same",
            .timeLimit(.minutes(5)),
            arguments: users
        )
        func neither(user: SupervisorUser) async throws {
            try await HostileAttempts(user: user, withheld: [.namespaces, .landlock]).refusal()
        }
    }
}
