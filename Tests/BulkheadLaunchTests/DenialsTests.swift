import BulkheadLaunch
import Testing

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
        for _ in 0..<2 { #expect(rule.answer(to: 1000, fromHandler: true) == .fail(errno: 38)) }
    }

    @Test("of notified execs exactly the handler's first goes through")
    func firstExec() {
        let filter = FilterSpec(firstExecNotified: true, onDenied: .errno(1))
        var rule = NotificationRule(filter: filter, numbers: Self.numbers)
        #expect(rule.answer(to: 59, fromHandler: false) == .deny(errno: 1))
        #expect(rule.answer(to: 59, fromHandler: true) == .proceed)
        #expect(rule.answer(to: 59, fromHandler: true) == .deny(errno: 1))
    }

    @Test("without a notified exec the first one is denied as any other call")
    func noFirstExec() {
        var rule = NotificationRule(filter: FilterSpec(onDenied: .errno(13)), numbers: Self.numbers)
        #expect(rule.answer(to: 59, fromHandler: true) == .deny(errno: 13))
    }

    @Test("on-denied kill ends the tree")
    func kill() {
        var rule = NotificationRule(filter: FilterSpec(onDenied: .kill), numbers: Self.numbers)
        #expect(rule.answer(to: 83, fromHandler: false) == .denyAndKill)
    }

    @Test("audit lets everything through but the held calls, and the first exec uncounted")
    func audit() {
        let filter = FilterSpec(firstExecNotified: true, onDenied: .audit(errno: 1, held: [41]))
        var rule = NotificationRule(filter: filter, numbers: Self.numbers)
        #expect(rule.answer(to: 1000, fromHandler: true) == .fail(errno: 38))
        #expect(rule.answer(to: 59, fromHandler: true) == .proceed)
        #expect(rule.answer(to: 59, fromHandler: true) == .letThrough)
        #expect(rule.answer(to: 83, fromHandler: false) == .letThrough)
        #expect(rule.answer(to: 41, fromHandler: true) == .deny(errno: 1))
    }
}
