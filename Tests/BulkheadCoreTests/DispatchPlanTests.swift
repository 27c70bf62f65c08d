import BulkheadCore
import Testing

@Suite("DispatchPlan")
struct DispatchPlanTests {
    let now = Timestamp(milliseconds: 1_000_000)

    private func candidate(_ sequence: Int64, priority: Int = 0) -> DispatchPlan.Candidate {
        DispatchPlan.Candidate(
            id: TaskID(milliseconds: sequence, random: (0, UInt64(sequence))),
            priority: priority,
            sequence: sequence
        )
    }

    private func pool(concurrency: Int = 2, running: Int = 0, until: Timestamp? = nil) -> DispatchPlan.Pool {
        var health = PoolHealth()
        health.backoffUntil = until
        return DispatchPlan.Pool(
            name: .default,
            concurrency: concurrency,
            running: running,
            health: health
        )
    }

    private func starts(_ pool: DispatchPlan.Pool, _ queue: [DispatchPlan.Candidate]) -> [Int64] {
        DispatchPlan.starts(in: pool, queue: queue, now: now).map(\.sequence)
    }

    @Test("higher priority goes first, then the oldest")
    func order() {
        let queue = [candidate(4), candidate(3, priority: 5), candidate(1), candidate(2, priority: 5)]
        #expect(starts(pool(concurrency: 3), queue) == [2, 3, 1])
    }

    @Test("no more start than the pool has free slots")
    func concurrency() {
        let queue = (1...9).map { candidate($0) }
        #expect(starts(pool(concurrency: 4, running: 1), queue) == [1, 2, 3])
        #expect(starts(pool(concurrency: 4, running: 4), queue).isEmpty)
        #expect(starts(pool(concurrency: 2, running: 5), queue).isEmpty)
    }

    @Test("nothing starts in a pool that backs off, and one probe when the back-off has ended")
    func probe() {
        let queue = (1...9).map { candidate($0) }
        #expect(starts(pool(concurrency: 4, until: now + .milliseconds(1)), queue).isEmpty)
        #expect(starts(pool(concurrency: 4, until: now), queue) == [1])
        #expect(starts(pool(concurrency: 4, running: 1, until: now), queue).isEmpty)
    }

    @Test("nothing starts in a paused pool")
    func paused() {
        var pool = pool()
        pool.isPaused = true
        #expect(starts(pool, [candidate(1)]).isEmpty)
    }
}
