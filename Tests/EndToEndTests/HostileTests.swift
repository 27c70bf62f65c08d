import BulkheadCore
import CLinux
import Foundation
import Glibc
import Testing

extension EndToEnd {
    /// Each attempt under a supervisor of the user who runs the tests; where that is root, also under one without any
    /// right, whose handlers share its user.
    @Suite("Hostile handlers")
    struct HostileTests {
        static let users: [SupervisorUser] = SupervisorUser.canBeOrdinary ? [.own, .ordinary] : [.own]
        /// Those whose handlers are kept from signals to processes of the same user.
        private static let usersApart = users.filter {
            clinux_landlock_abi() >= 6 || isRoot && $0 == .own
        }
        private static let usersWithNamespaces = users.filter {
            $0 == .own ? hasNamespaces : ordinaryHasNamespaces
        }

        @Test(
            "the supervisor of an ordinary user, with which each attempt is made again, has no right of root's",
            .timeLimit(.minutes(5)),
            .enabled(if: SupervisorUser.canBeOrdinary, SupervisorUser.whyNotOrdinary)
        )
        func ordinaryUser() async throws {
            try await Workbench.serving(as: .ordinary) { bench in
                let pid = try #require(try await bench.answer("status")["pid"]?.integer)
                let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
                let nobody = SupervisorUser.nobody
                #expect(status.contains("Uid:\t\(nobody)\t\(nobody)\t\(nobody)\t\(nobody)\n"))
                #expect(status.contains("CapPrm:\t0000000000000000\n"))
            }
        }

        @Test(
            "what administers the host is denied and named, call by call",
            .timeLimit(.minutes(5)),
            arguments: users
        )
        func administration(user: SupervisorUser) async throws {
            try await HostileAttempts(user: user).administration()
        }

        @Test(
            "no namespace, filter or program of its own is made",
            .timeLimit(.minutes(5)),
            arguments: users
        )
        func ownNamespaces(user: SupervisorUser) async throws {
            try await HostileAttempts(user: user).ownNamespaces()
        }

        @Test(
            "numbers and entries that are not this machine's own do nothing",
            .timeLimit(.minutes(5)),
            arguments: users
        )
        func foreignEntries(user: SupervisorUser) async throws {
            try await HostileAttempts(user: user).foreignEntries()
        }

        @Test(
            "neither the supervisor nor a neighbour is signalled, traced, read or borrowed from",
            .timeLimit(.minutes(5)),
            .enabled(
                if: !usersApart.isEmpty,
                "needs root or Landlock ABI 6: below it signals reach processes of the same user"
            ),
            arguments: usersApart
        )
        func neighbours(user: SupervisorUser) async throws {
            try await HostileAttempts(user: user).neighbours()
        }

        @Test(
            "what would steer a terminal is shown there, not obeyed",
            .timeLimit(.minutes(5)),
            .enabled(if: Tool.isThere("python3"), "needs python3, for a terminal")
        )
        func terminal() async throws { try await HostileAttempts(user: .own).terminal() }

        @Test(
            "no socket leads anywhere without network",
            .timeLimit(.minutes(5)),
            arguments: users
        )
        func sockets(user: SupervisorUser) async throws {
            try await HostileAttempts(user: user).sockets()
        }

        @Test(
            "the supervisor's files, secrets and devices are closed",
            .timeLimit(.minutes(5)),
            arguments: users
        )
        func files(user: SupervisorUser) async throws {
            try await HostileAttempts(user: user).files()
        }

        @Test(
            "a setuid program gains nothing, and no core is left",
            .timeLimit(.minutes(5)),
            .enabled(if: isRoot, "needs root: to make a setuid program"),
            arguments: users
        )
        func setuid(user: SupervisorUser) async throws {
            try await HostileAttempts(user: user).setuid()
        }

        @Test(
            "each limit of a policy holds, or refuses the launch",
            .timeLimit(.minutes(5)),
            arguments: users
        )
        func limits(user: SupervisorUser) async throws {
            try await HostileAttempts(user: user).limits()
        }

        @Test(
            "nothing of a task's or the supervisor's gets into its environment",
            .timeLimit(.minutes(5)),
            arguments: users
        )
        func environment(user: SupervisorUser) async throws {
            try await HostileAttempts(user: user).environment()
        }

        @Test(
            "a handler that is swapped runs as it was checked, or not at all",
            .timeLimit(.minutes(5)),
            arguments: users
        )
        func swaps(user: SupervisorUser) async throws {
            try await HostileAttempts(user: user).swaps()
        }

        @Test(
            "nobody else may own or write a handler or a folder above it",
            .timeLimit(.minutes(5)),
            arguments: users
        )
        func ownership(user: SupervisorUser) async throws {
            try await HostileAttempts(user: user).ownership()
        }

        @Test(
            "unconfined reaches neither the supervisor nor a neighbour",
            .timeLimit(.minutes(5)),
            .enabled(
                if: !usersWithNamespaces.isEmpty,
                "needs namespaces: nothing else keeps unconfined handlers apart"
            ),
            arguments: usersWithNamespaces
        )
        func unconfinedNeighbours(user: SupervisorUser) async throws {
            try await HostileAttempts(user: user).neighbours(isConfined: false)
        }
    }

    /// The attempts that other mechanisms must hold where the host lacks one; all of them with `BULKHEAD_HOSTILE=all`.
    @Suite(
        "Hostile handlers on a host that lacks something",
        .enabled(if: WithheldFeature.canBeWithheld, WithheldFeature.whyNot)
    )
    struct LackingHostileTests {
        private static let users = HostileTests.users
        private static let isWhole = ProcessInfo.processInfo.environment["BULKHEAD_HOSTILE"] == "all"
        private static let signalsAreHeld = clinux_landlock_abi() >= 6

        /// What is held by the same mechanisms as elsewhere.
        private static func rest(_ attempts: HostileAttempts) async throws {
            try await attempts.administration()
            try await attempts.ownNamespaces()
            try await attempts.foreignEntries()
            try await attempts.sockets()
            try await attempts.limits()
            if isRoot { try await attempts.setuid() }
        }

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
            if Self.isWhole { try await Self.rest(attempts) }
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
            try await Self.rest(attempts)
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
