import BulkheadCore
import Testing

@Suite("RecoveryRule")
struct RecoveryRuleTests {
    private func decide(
        _ loss: RecoveryRule.Loss,
        mayRunAgain: Bool,
        lossesInRow: Int = 0
    ) -> RecoveryRule.Decision {
        RecoveryRule.decide(
            loss,
            mayRunAgain: mayRunAgain,
            limit: 3,
            interruptions: 7,
            lossesInRow: lossesInRow
        )
    }

    @Test("a task whose author says it is safe runs again, and the loss is counted")
    func rehydrates() {
        let decision = decide(.crash, mayRunAgain: true)
        #expect(decision.event == .rehydrate)
        #expect(decision.interruptions == 8)
        #expect(decision.lossesInRow == 1)
        #expect(decision.error == nil)
    }

    @Test("any other task is interrupted with the reason supervisor-lost")
    func interrupts() {
        let decision = decide(.crash, mayRunAgain: false)
        #expect(decision.event == .interrupt)
        #expect(decision.interruptions == 8)
        #expect(decision.error?.reason == .supervisorLost)
    }

    @Test("the third loss in a row is poison, the second is not")
    func poison() {
        #expect(decide(.crash, mayRunAgain: true, lossesInRow: 1).event == .rehydrate)
        let third = decide(.crash, mayRunAgain: true, lossesInRow: 2)
        #expect(third.event == .fail)
        #expect(third.error?.reason == .poison)
        #expect(third.interruptions == 8)
    }

    @Test("an attempt that we stopped counts as no loss and is never poison")
    func stopped() {
        let again = decide(.stopped, mayRunAgain: true, lossesInRow: 2)
        #expect(again.event == .rehydrate)
        #expect(again.interruptions == 7 && again.lossesInRow == 2)
        let ended = decide(.stopped, mayRunAgain: false)
        #expect(ended.event == .interrupt)
        #expect(ended.interruptions == 7)
    }
}
