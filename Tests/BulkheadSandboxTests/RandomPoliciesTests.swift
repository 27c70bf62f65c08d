import BulkheadCore
import BulkheadPolicy
import BulkheadSandbox
import Foundation
import Testing
import SeededRandom

@Suite("Filters of random policies")
struct RandomPoliciesTests {
    /// More than the two of every run: `BULKHEAD_RANDOM_POLICIES=1000`.
    private static let rounds =
        ProcessInfo.processInfo.environment["BULKHEAD_RANDOM_POLICIES"].flatMap(Int.init) ?? 20

    private static let seeds = (0..<rounds).map { UInt64($0) &* 0x9E37_79B9 &+ 7 }

    @Test("a random profile compiles to a filter that does what the profile's text says", arguments: seeds)
    func profiles(seed: UInt64) throws {
        var numbers = SeededRandom(seed: seed)
        let random = RandomProfile(using: &numbers)
        var policy = SandboxPolicy()
        policy.network = .host
        do {
            policy.profile = try ProfileReader.read(
                random.json.bytes,
                name: "p.json",
                file: "p.json",
                host: .running
            )
        } catch {
            Issue.record("seed \(seed): \(error)\n\(random.json.text)")
            return
        }
        let sandbox = try CompiledSandbox.compile(policy)
        guard let filter = sandbox.filter else { return }
        let evaluator = try FilterEvaluator(try #require(FilterProgram(bytes: filter.bytes)))
        for name in RandomProfile.calls + ["mount", "setxattrat", "write"] {
            let call = try #require(SyscallTable.current.syscall(named: name))
            for _ in 0..<200 {
                let arguments = (0..<6).map { _ in Self.argument(&numbers) }
                let meant = random.verdict(call, arguments)
                #expect(
                    sandbox.rules.verdict(number: call.number, arguments: arguments) == meant,
                    "seed \(seed), \(name)\(arguments) of \(random.json.text)"
                )
                let input = FilterInput(
                    number: call.number,
                    architecture: Architecture.current.auditNumber,
                    arguments: arguments
                )
                #expect(evaluator.run(input) == Self.answer(meant), "seed \(seed), \(name)\(arguments)")
            }
        }
    }

    @Test(
        "a random policy of names and groups compiles to a filter that does what it means",
        arguments: seeds
    )
    func lists(seed: UInt64) throws {
        var numbers = SeededRandom(seed: seed)
        var policy = SandboxPolicy()
        policy.preset = Preset.allCases.randomElement(using: &numbers) ?? .default
        policy.network = Bool.random(using: &numbers) ? .none : .host
        policy.allow = try Self.selectors(&numbers)
        policy.deny = try Self.selectors(&numbers)
        do {
            let filter = try CompiledSandbox.compile(policy).filter
            #expect(filter == nil || filter?.comparisons ?? 0 > 5_000)
        } catch {
            // What every launch needs cannot be denied, however the list came about.
            #expect(error.code == .invalidSetting, "seed \(seed): \(error)")
        }
    }

    private static func selectors(_ numbers: inout SeededRandom) throws -> [SyscallSelector] {
        try (0..<Int.random(in: 0...5, using: &numbers)).map { _ in
            let words = Bool.random(using: &numbers) ? SyscallGroups.names : SyscallTable.allNames
            let word = words.randomElement(using: &numbers) ?? "read"
            return try SyscallSelector(Int.random(in: 0...3, using: &numbers) == 0 ? "!\(word)" : word)
        }
    }

    /// A value that conditions are made of, beside one, or anything.
    private static func argument(_ numbers: inout SeededRandom) -> UInt64 {
        let value = RandomProfile.values.randomElement(using: &numbers) ?? 0
        switch Int.random(in: 0...4, using: &numbers) {
        case 0: return value &+ 1
        case 1: return value &- 1
        case 2: return value | numbers.next() << 32
        case 3: return numbers.next()
        default: return value
        }
    }

    private static func answer(_ verdict: Verdict) -> UInt32 {
        switch verdict {
        case .allow: 0x7FFF_0000
        case .log: 0x7FFC_0000
        case .deny, .denyWith, .denyAndEnd: 0x7FC0_0000
        case .trap: 0x0003_0000
        case .fail(let errno): 0x0005_0000 | UInt32(errno)
        case .kill: 0x8000_0000
        }
    }
}
