import Foundation
import Testing

/// How long a torture is, from the environment that `scripts/torture` sets; without it, as short as it is of use.
enum TortureLength {
    private static func number(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment["BULKHEAD_TORTURE_" + name].flatMap { UInt64($0) }
    }

    /// Whether the long form was asked for.
    static let isLong = number("SEEDS") != nil
    static let seeds = number("SEEDS") ?? 1
    static let rounds = number("ROUNDS") ?? 5
    static let minutes = number("MINUTES")
    /// The first seed; those after it follow one by one.
    static let seed = number("SEED") ?? .random(in: 0...999_999)
    /// How many points of each kind are counted through, at most; the short form draws as many of the first ones.
    static let points = Int(number("POINTS") ?? 2)
    /// Where the folders of tortures that found something are kept.
    static let kept = ProcessInfo.processInfo.environment["BULKHEAD_TORTURE_KEEP"]

    /// Whether the time that was given is over.
    static func isOver(since begin: ContinuousClock.Instant) -> Bool {
        guard let minutes else { return false }
        return ContinuousClock.now - begin > .seconds(60 * Int64(minutes))
    }
}

extension EndToEnd {
    /// What was promised holds, whatever ends whenever.
    @Suite("Torture")
    struct TortureTests {
        @Test(
            "what was promised holds, whatever ends at random instants",
            .timeLimit(.minutes(TortureLength.isLong ? 24 * 60 : 3))
        )
        func randomInstants() async throws {
            let begin = ContinuousClock.now
            var kills: [String: Int] = [:]
            var tasks = 0
            for seed in TortureLength.seed..<TortureLength.seed + TortureLength.seeds {
                let log = try await Self.torture(seed)
                kills.merge(log.kills) { $0 + $1 }
                tasks += log.history.tasks.count
                if TortureLength.isOver(since: begin) { break }
            }
            print("torture: \(tasks) tasks in all; \(Self.words(kills)); \(Self.seconds(since: begin)) s")
        }

        @Test(
            "what was promised holds, whatever ends at the N-th write, sync, spawn or message, or for want of memory",
            .timeLimit(.minutes(TortureLength.isLong ? 24 * 60 : 3))
        )
        func countedPoints() async throws {
            let begin = ContinuousClock.now
            var count = CountedPoints(seed: TortureLength.seed)
            for kind in FaultPoint.Kind.allCases { try await count.through(kind) }
            print("torture: points reached: \(count.summary); \(Self.seconds(since: begin)) s")
            // A point that is never reached shows nothing.
            for kind in FaultPoint.Kind.allCases where TortureLength.points > 0 {
                #expect(count.reached[kind, default: 0] > 0, "no \(kind) was reached")
            }
        }

        /// Tortures once, and says what came of it.
        private static func torture(_ seed: UInt64) async throws -> TortureLog {
            print("torture: seed \(seed), \(TortureLength.rounds) rounds")
            let begin = ContinuousClock.now
            var torture = try Torture(seed: seed)
            var violations: [Violation] = []
            do {
                for _ in 0..<TortureLength.rounds { try await torture.round() }
                violations = try await torture.finish()
            } catch {
                violations.append(Violation(invariant: .errors, text: "it could not go on: \(error)"))
            }
            let history = torture.log.history
            print(
                "torture: seed \(seed): \(history.submits.count) submits, \(history.tasks.count) tasks, "
                    + "\(words(torture.log.kills)); \(violations.count) violations; \(seconds(since: begin)) s"
            )
            for violation in violations { Issue.record("BULKHEAD_TORTURE_SEED=\(seed): \(violation)") }
            if !violations.isEmpty { keep(torture, "seed-\(seed)") }
            // Less would be no load, and faults that hit nothing no test.
            #expect(UInt64(history.tasks.count) >= 2 * TortureLength.rounds)
            return torture.log
        }

        /// Keeps the folder of a torture that found something, where that was asked for.
        static func keep(_ torture: Torture, _ name: String) {
            guard let kept = TortureLength.kept else { return }
            let folder = kept + "/" + name
            try? FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: true)
            try? FileManager.default.copyItem(atPath: torture.bench.folder, toPath: folder)
            try? torture.log.words.write(toFile: folder + "/said.txt", atomically: false, encoding: .utf8)
        }

        private static func words(_ kills: [String: Int]) -> String {
            let parts = kills.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
            return "\(kills.values.reduce(0, +)) faults (\(parts.joined(separator: ", ")))"
        }

        private static func seconds(since begin: ContinuousClock.Instant) -> Int64 {
            Int64((ContinuousClock.now - begin) / .seconds(1))
        }
    }
}
