import BulkheadLaunch
import Testing

@Suite("CPUBudget")
struct CPUBudgetTests {
    @Test("no limit is no budget")
    func none() {
        #expect(CPUBudget(limitNanoseconds: 0, processors: 2) == nil)
    }

    @Test("the limit of one process is whole seconds, never below the budget")
    func perProcess() throws {
        #expect(try #require(CPUBudget(limitNanoseconds: 1, processors: 2)).secondsPerProcess == 1)
        #expect(
            try #require(CPUBudget(limitNanoseconds: 2_000_000_000, processors: 2)).secondsPerProcess == 2
        )
        #expect(
            try #require(CPUBudget(limitNanoseconds: 2_000_000_001, processors: 2)).secondsPerProcess == 3
        )
    }

    @Test("the next look comes when the budget can be used up, within bounds")
    func pause() throws {
        let budget = try #require(CPUBudget(limitNanoseconds: 1_000_000_000, processors: 4))
        #expect(budget.pause(after: 0) == 250_000_000)
        #expect(budget.pause(after: 999_999_999) == 20_000_000)
        #expect(budget.pause(after: .max) == 20_000_000)
        let long = try #require(CPUBudget(limitNanoseconds: .max, processors: 1))
        #expect(long.pause(after: 0) == 1_000_000_000)
    }

    @Test("the budget is used up at its limit, not before")
    func exceeded() throws {
        let budget = try #require(CPUBudget(limitNanoseconds: 100, processors: 1))
        #expect(!budget.isExceeded(by: 99))
        #expect(budget.isExceeded(by: 100))
    }

    @Test("SIGXCPU is the budget's doing, SIGKILL only once it is used up, an exit never")
    func explains() throws {
        let budget = try #require(CPUBudget(limitNanoseconds: 100, processors: 1))
        func explains(_ ending: Ending, _ used: UInt64) -> Bool {
            budget.explains(ending, usedNanoseconds: used, xcpu: 24, kill: 9)
        }
        #expect(explains(.signaled(signal: 24), 0))
        #expect(explains(.signaled(signal: 9), 100))
        #expect(!explains(.signaled(signal: 9), 99))
        #expect(!explains(.signaled(signal: 15), 100))
        #expect(!explains(.exited(code: 1), 100))
    }
}
