import BulkheadCore
import Testing

@Suite("PoolHealth")
struct PoolHealthTests {
    let rule = PoolBackoff(
        after: 3,
        within: .seconds(60),
        schedule: BackoffSchedule(delay: .seconds(1), maximum: .seconds(8), jitter: .none)
    )
    let now = Timestamp(milliseconds: 1_000_000)

    private func health(failures: Int, ran: Duration = .seconds(1)) -> PoolHealth {
        var health = PoolHealth()
        for _ in 0..<failures { health.fail(after: ran, rule: rule, now: now, random: 0) }
        return health
    }

    @Test("the pool backs off after the named number of failures in a row, not before")
    func backsOff() {
        #expect(health(failures: 2).backoffUntil == nil)
        #expect(health(failures: 3).backoffUntil == now + .seconds(1))
    }

    @Test("a failed probe backs off twice as long, up to the maximum")
    func doubles() {
        var health = health(failures: 3)
        for seconds in [2, 4, 8, 8, 8] {
            health.fail(after: .seconds(1), rule: rule, now: now, random: 0)
            #expect(health.backoffUntil == now + .seconds(seconds))
        }
    }

    @Test("a success clears the count and the back-off")
    func success() {
        var health = health(failures: 5)
        health.succeed()
        #expect(health == PoolHealth())
    }

    @Test("a failure long after its start ends the row")
    func slowFailures() {
        var health = health(failures: 2)
        health.fail(after: .seconds(61), rule: rule, now: now, random: 0)
        #expect(health.failures == 0 && health.backoffUntil == nil)
    }

    @Test("without a rule failures are counted and nothing backs off")
    func withoutRule() {
        var health = PoolHealth()
        for _ in 0..<9 { health.fail(after: .seconds(1), rule: nil, now: now, random: 0) }
        #expect(health.failures == 9 && health.backoffUntil == nil)
    }

    @Test("a stored deadline never makes a wait longer than the maximum, whatever the clock says")
    func clampedOnLoad() {
        var health = health(failures: 3)
        health.backoffUntil = now + .seconds(365 * 24 * 3_600)
        health.clamp(to: rule, now: now)
        #expect(health.backoffUntil == now + .seconds(8))
        health.clamp(to: nil, now: now)
        #expect(health.backoffUntil == nil)
    }
}

@Suite("BackoffSchedule")
struct BackoffScheduleTests {
    @Test("the delay doubles up to the maximum and never overflows")
    func doubles() {
        let schedule = BackoffSchedule(delay: .seconds(1), maximum: .seconds(300), jitter: .none)
        let waits = (0..<10).map { schedule.wait(step: $0, random: 0.5).wholeMilliseconds / 1_000 }
        #expect(waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300])
        #expect(schedule.wait(step: .max, random: 0) == .seconds(300))
    }

    @Test("full jitter spreads a wait over the whole delay and never beyond the maximum")
    func jitter() {
        let schedule = BackoffSchedule(delay: .seconds(10), maximum: .seconds(15))
        #expect(schedule.wait(step: 0, random: 0) == .zero)
        #expect(schedule.wait(step: 0, random: 0.5) == .seconds(5))
        #expect(schedule.wait(step: 5, random: 0.999_999) < .seconds(15))
    }
}
