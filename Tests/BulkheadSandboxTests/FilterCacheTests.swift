import BulkheadPolicy
import Testing

@testable import BulkheadSandbox

@Suite("FilterCache")
struct FilterCacheTests {
    private let filter = CompiledFilter(
        bytes: [],
        needsListener: true,
        firstExecNotified: false,
        comparisons: 0
    )

    private func key(_ change: (inout FilterCache.Key) -> Void = { _ in }) throws -> FilterCache.Key {
        var key = FilterCache.Key(
            try SystemCallRules(SandboxPolicy()),
            kernel: KernelActions(known: [Verdict.allow])
        )
        change(&key)
        return key
    }

    @Test("each part of what a filter depends on makes another key")
    func parts() throws {
        var cache = FilterCache()
        cache.keep(filter, for: try key())
        #expect(cache[try key()] == filter)
        let changes: [(inout FilterCache.Key) -> Void] = [
            { $0.rules[0] = .always(.deny) },
            { $0.unknown = .allow },
            { $0.architecture = $0.architecture == .x8664 ? .aarch64 : .x8664 },
            { $0.table &+= 1 },
            { $0.compiler += 1 },
            { $0.kernel = KernelActions(known: [.allow, .log]) },
        ]
        for change in changes { #expect(cache[try key(change)] == nil) }
    }

    @Test("a table's digest tells tables apart")
    func tables() {
        #expect(SyscallTable.table(of: .x8664).digest != SyscallTable.table(of: .aarch64).digest)
    }

    @Test("the cache is bounded")
    func bound() throws {
        var cache = FilterCache()
        for version in 0...FilterCache.limit { cache.keep(filter, for: try key { $0.compiler = version }) }
        #expect(cache.filters.count == 1)
    }

    @Test("an answer that the kernel does not know is refused by name")
    func unknownAnswer() throws {
        var policy = SandboxPolicy()
        policy.network = .host
        policy.profile = try ProfileReader.read(
            Array("{\"defaultAction\": \"SCMP_ACT_LOG\"}".utf8),
            name: "p.json",
            file: "p.json",
            host: .running
        )
        let rules = try SystemCallRules(policy)
        #expect(throws: Never.self) { try KernelActions(known: [.allow, .log]).check(rules) }
        #expect(throws: (any Error).self) { try KernelActions(known: [.allow]).check(rules) }
        #expect(throws: Never.self) { try KernelActions.running.check(rules) }
    }
}
