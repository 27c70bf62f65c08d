import BulkheadLaunch
import Testing

/// Arguments of a call whose arguments do not matter.
private let none: [UInt64] = [0, 0, 0, 0, 0, 0]

@Suite("Denials")
struct DenialsTests {
    static let numbers = NotificationRule.Numbers(rendezvous: 1000, execve: 59, noSuchCall: 38)

    @Test("changes are given once, with the count so far")
    func changes() {
        var counts = DenialCounts()
        for _ in 0..<3 { counts.add(83) }
        counts.add(41)
        #expect(counts.hasChanges)
        #expect(counts.takeChanges().map(\.count) == [1, 3])
        #expect(!counts.hasChanges)
        counts.add(83)
        let changes = counts.takeChanges()
        #expect(changes.map(\.number) == [83])
        #expect(changes.map(\.count) == [4])
        #expect(counts.total == 5)
    }

    @Test("numbers beyond the bound are summed, not named")
    func bound() {
        var counts = DenialCounts()
        for number in 0..<UInt32(LaunchLimits.deniedNumbers + 5) { counts.add(number) }
        counts.add(0)
        #expect(counts.takeChanges().count == LaunchLimits.deniedNumbers)
        #expect(counts.unnamed == 5)
        #expect(counts.total == UInt64(LaunchLimits.deniedNumbers) + 6)
    }

    @Test("the rendezvous gets ENOSYS and counts for nothing, however often it comes")
    func rendezvous() {
        var rule = NotificationRule(filter: FilterSpec(onDenied: .kill), numbers: Self.numbers)
        for _ in 0..<2 {
            #expect(rule.answer(to: 1000, arguments: none, fromHandler: true) == .fail(errno: 38))
        }
    }

    @Test("of notified execs exactly the handler's first goes through")
    func firstExec() {
        let filter = FilterSpec(firstExecNotified: true, onDenied: .errno(1))
        var rule = NotificationRule(filter: filter, numbers: Self.numbers)
        #expect(rule.answer(to: 59, arguments: none, fromHandler: false) == .deny(errno: 1))
        #expect(rule.answer(to: 59, arguments: none, fromHandler: true) == .proceed)
        #expect(rule.answer(to: 59, arguments: none, fromHandler: true) == .deny(errno: 1))
    }

    @Test("without a notified exec the first one is denied as any other call")
    func noFirstExec() {
        var rule = NotificationRule(filter: FilterSpec(onDenied: .errno(13)), numbers: Self.numbers)
        #expect(rule.answer(to: 59, arguments: none, fromHandler: true) == .deny(errno: 13))
    }

    @Test("a call's own answer decides before the usual one, the first that fits before the others")
    func answers() {
        let first = DenialCondition(index: 0, comparison: .equal, mask: 0xFFFF_FFFF, value: 16)
        let second = DenialCondition(index: 2, comparison: .greater, mask: .max, value: 8)
        let filter = FilterSpec(
            onDenied: .errno(38),
            answers: [
                DenialAnswer(number: 41, conditions: [first, second], action: .errno(22)),
                DenialAnswer(number: 41, conditions: [first], action: .kill),
                DenialAnswer(number: 41, action: .errno(1)),
            ]
        )
        var rule = NotificationRule(filter: filter, numbers: Self.numbers)
        func answer(_ number: UInt32, _ first: UInt64, _ third: UInt64) -> NotificationAnswer {
            rule.answer(to: number, arguments: [first, 0, third, 0, 0, 0], fromHandler: true)
        }
        #expect(answer(41, 16, 9) == .deny(errno: 22))
        #expect(answer(41, 0x1_0000_0010, 9) == .deny(errno: 22))
        #expect(answer(41, 16, 8) == .denyAndKill)
        #expect(answer(41, 2, 9) == .deny(errno: 1))
        #expect(answer(42, 16, 9) == .deny(errno: 38))
    }

    @Test(
        "a condition compares unsigned numbers",
        arguments: [
            (DenialComparison.equal, [false, true, false]), (.notEqual, [true, false, true]),
            (.less, [true, false, false]), (.lessOrEqual, [true, true, false]),
            (.greater, [false, false, true]), (.greaterOrEqual, [false, true, true]),
        ]
    )
    func comparisons(comparison: DenialComparison, expected: [Bool]) {
        let condition = DenialCondition(index: 5, comparison: comparison, mask: .max, value: 1 << 63)
        let filter = FilterSpec(
            onDenied: .errno(1),
            answers: [DenialAnswer(number: 1, conditions: [condition], action: .kill)]
        )
        var rule = NotificationRule(filter: filter, numbers: Self.numbers)
        let answers = [1 << 63 - 1, 1 << 63, UInt64.max].map { last in
            rule.answer(to: 1, arguments: [0, 0, 0, 0, 0, last], fromHandler: true) == .denyAndKill
        }
        #expect(answers == expected)
    }

    @Test("on-denied kill ends the tree")
    func kill() {
        var rule = NotificationRule(filter: FilterSpec(onDenied: .kill), numbers: Self.numbers)
        #expect(rule.answer(to: 83, arguments: none, fromHandler: false) == .denyAndKill)
    }

    @Test("audit lets everything through but the held calls, and the first exec uncounted")
    func audit() {
        let filter = FilterSpec(firstExecNotified: true, onDenied: .audit(errno: 1, held: [41]))
        var rule = NotificationRule(filter: filter, numbers: Self.numbers)
        #expect(rule.answer(to: 1000, arguments: none, fromHandler: true) == .fail(errno: 38))
        #expect(rule.answer(to: 59, arguments: none, fromHandler: true) == .proceed)
        #expect(rule.answer(to: 59, arguments: none, fromHandler: true) == .letThrough)
        #expect(rule.answer(to: 83, arguments: none, fromHandler: false) == .letThrough)
        #expect(rule.answer(to: 41, arguments: none, fromHandler: true) == .deny(errno: 1))
    }
}
