import BulkheadCore
import BulkheadPolicy
import Testing

@Suite("PoolsFile") struct PoolsFileTests {
    private func read(_ text: String, cores: Int = 3) throws -> [PoolName: PoolSettings] {
        try PoolsFile.read(Array(text.utf8), file: "pools.yaml", cores: cores)
    }

    @Test("every key is read into the pool's settings")
    func everything() throws {
        let text = """
            media: {concurrency: 4, queue-limit: 100000, backoff:
              {after: 5, within: 20s, delay: 2s, maximum: 10m, jitter: none}}
            """
        let schedule = BackoffSchedule(delay: .seconds(2), maximum: .seconds(600), jitter: .none)
        let backoff = PoolBackoff(after: 5, within: .seconds(20), schedule: schedule)
        let settings = PoolSettings(concurrency: 4, queueLimit: 100_000, backoff: backoff)
        #expect(try read(text) == [try PoolName("media"): settings])
    }

    @Test("a pool that says nothing has the host's processors, no limit and no back-off")
    func defaults() throws {
        #expect(try read("default: {}") == [.default: PoolSettings(concurrency: 3)])
        #expect(try read("default: {}", cores: 0) == [.default: PoolSettings(concurrency: 1)])
        #expect(try read("{}") == [:])
    }

    @Test("a back-off fills in what it does not say")
    func backoffDefaults() throws {
        let schedule = BackoffSchedule(delay: .seconds(1), maximum: .seconds(1_800), jitter: .full)
        let backoff = PoolBackoff(after: 3, within: .seconds(60), schedule: schedule)
        #expect(try read("default: {backoff: {}}")[.default]?.backoff == backoff)
    }
}
