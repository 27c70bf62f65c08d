import BulkheadLaunch
import BulkheadPolicy
import Testing

@testable import BulkheadEngine

@Suite("DenialAnswers") struct DenialAnswersTests {
    private static let numbers = NotificationRule.Numbers(rendezvous: 0x3FFF_FF42, execve: 59, noSuchCall: 38)

    private func rules(_ entries: String, default action: String) throws -> SystemCallRules {
        let essential = """
            {"names": ["exit", "exit_group", "rt_sigreturn", "write", "execve"], "action": "SCMP_ACT_ALLOW"}
            """
        let text = "{\"defaultAction\": \"SCMP_ACT_\(action)\", \"syscalls\": [\(essential), \(entries)]}"
        var policy = SandboxPolicy()
        policy.network = .none
        policy.profile = try ProfileReader.read(
            Array(text.utf8),
            name: "p.json",
            file: "p.json",
            host: ProfileHost(kernel: KernelVersion(6, 1))
        )
        return try SystemCallRules(policy)
    }

    private static let entries = """
        {"names": ["setpriority"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]},
        {"names": ["setpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22,
         "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
        {"names": ["setpriority"], "action": "SCMP_ACT_KILL", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_GT"},
         {"index": 2, "value": 4, "op": "SCMP_CMP_NE"}]},
        {"names": ["socket"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30}
        """

    @Test(
        "the launcher answers each denied call as the rules mean it",
        arguments: [("ERRNO", DeniedAction.errno(1)), ("KILL", .kill)]
    )
    func equivalence(action: String, usual: DeniedAction) throws {
        let rules = try rules(Self.entries, default: action)
        var answered = 0
        let filter = FilterSpec(onDenied: usual, answers: rules.answers(besides: usual))
        var rule = NotificationRule(filter: filter, numbers: Self.numbers)
        let values: [UInt64] = [0, 1, 2, 4, 16, 0x1_0000_0001, .max]
        for call in SyscallTable.current.all {
            for first in values {
                for third in values {
                    let arguments = [first, 0, third, 0, 0, 0]
                    let expected: NotificationAnswer
                    switch rules.verdict(number: call.number, arguments: arguments) {
                    case .deny: expected = usual == .kill ? .denyAndKill : .deny(errno: 1)
                    case .denyWith(let errno): expected = .deny(errno: Int32(errno))
                    case .denyAndEnd: expected = .denyAndKill
                    case .allow, .log, .fail, .trap, .kill: continue
                    }
                    answered += 1
                    let answer = rule.answer(to: call.number, arguments: arguments, fromHandler: false)
                    #expect(answer == expected, "\(call.name)\(arguments)")
                }
            }
        }
        #expect(answered > 1_000)
    }

    @Test("a call that meets what all others meet needs no answer of its own")
    func usual() throws {
        let rules = try rules(Self.entries, default: "ERRNO")
        let named = Set(
            rules.answers(besides: .errno(1)).compactMap { SyscallTable.current.name(of: $0.number) }
        )
        #expect(named == ["setpriority", "mount"])
        #expect(try SystemCallRules(SandboxPolicy()).answers(besides: .errno(1)).isEmpty)
    }

    @Test("under a profile with another errno, what Bulkhead itself denies meets EPERM")
    func network() throws {
        let rules = try rules("{\"names\": [\"socket\"], \"action\": \"SCMP_ACT_ALLOW\"}", default: "ERRNO")
        let number = try #require(SyscallTable.current.number(of: "socket"))
        let filter = FilterSpec(onDenied: .errno(38), answers: rules.answers(besides: .errno(38)))
        var rule = NotificationRule(filter: filter, numbers: Self.numbers)
        let answer = rule.answer(to: number, arguments: [2, 1, 0, 0, 0, 0], fromHandler: true)
        #expect(answer == .deny(errno: 1))
    }
}
