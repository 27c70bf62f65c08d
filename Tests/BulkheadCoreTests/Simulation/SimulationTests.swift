import BulkheadCore
import Foundation
import Testing

/// Crash schedules over the core's rules; `BULKHEAD_SIMULATIONS` says how many, `BULKHEAD_SIMULATION_SEED` from where.
@Suite("Simulation")
struct SimulationTests {
    private static func number(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    @Test("whatever crashes when, what is durable stays true")
    func schedules() async {
        let count = Self.number("BULKHEAD_SIMULATIONS") ?? 3_000
        let first = Self.number("BULKHEAD_SIMULATION_SEED") ?? .random(in: 0...999_999_999)
        let begin = ContinuousClock.now
        let cores = UInt64(max(ProcessInfo.processInfo.activeProcessorCount, 1))
        let violations = await withTaskGroup(of: [String].self) { group in
            for core in 0..<cores {
                group.addTask {
                    stride(from: first + core, to: first + count, by: Int(cores)).lazy
                        .compactMap { Schedule.violation(seed: $0) }.prefix(3).map(\.self)
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        for violation in violations {
            Issue.record("BULKHEAD_SIMULATIONS=1 BULKHEAD_SIMULATION_SEED: \(violation)")
        }
        print("\(count) schedules from seed \(first), \((ContinuousClock.now - begin) / .seconds(1)) s")
    }

    /// A rule that is wrong in one way.
    enum Fault: String, CaseIterable, Sendable {
        case lossIsNotCounted, stopIsCounted, interruptRunsAgain, poisonComesLate, poisonComesEarly
        case completedRunsAgain, otherParamsRunAgain, terminalMoves, cancelIsLost
        case finalExitIsRetried, retryableIsIgnored, retriesHaveNoEnd
        case failureIsForgotten, successLeavesCount, clampIsLeftOut, probeIsNotAlone, pauseIsNotKept
        case priorityIsIgnored, waitIsEndless
    }

    @Test("a rule that is broken is found", arguments: Fault.allCases)
    func finds(_ fault: Fault) {
        let rules = fault.rules
        let found = (0..<20_000).lazy.compactMap { Schedule.violation(seed: UInt64($0), rules: rules) }.first
        #expect(found != nil)
    }

    @Test("the same seed gives the same schedule")
    func replays() {
        let rules = Fault.lossIsNotCounted.rules
        let seed = (0..<20_000).first { Schedule.violation(seed: UInt64($0), rules: rules) != nil } ?? 0
        let first = Schedule.violation(seed: UInt64(seed), rules: rules)
        #expect(first == Schedule.violation(seed: UInt64(seed), rules: rules) && first != nil)
    }
}

extension SimulationTests.Fault {
    /// The rules with this fault.
    var rules: Rules {
        var rules = Rules()
        let sound = rules
        switch self {
        case .lossIsNotCounted:
            rules.recover = { loss, again, row in
                var decision = sound.recover(loss, again, row)
                decision.interruptions = row.interruptions
                return decision
            }
        case .stopIsCounted: rules.recover = { _, again, row in sound.recover(.crash, again, row) }
        case .interruptRunsAgain: rules.recover = { loss, _, row in sound.recover(loss, true, row) }
        case .poisonComesLate, .poisonComesEarly:
            let limit = self == .poisonComesLate ? World.lossLimit + 1 : World.lossLimit - 1
            rules.recover = { loss, again, row in
                RecoveryRule.decide(
                    loss,
                    mayRunAgain: again,
                    limit: limit,
                    interruptions: row.interruptions,
                    lossesInRow: row.lossesInRow
                )
            }
        case .completedRunsAgain:
            rules.submit = { $0?.status == .completed ? .runAgain : sound.submit($0, $1) }
            rules.after = { $0 == .completed && $1 == .resubmit ? .queued : sound.after($0, $1) }
        case .otherParamsRunAgain:
            rules.submit = { existing, _ in sound.submit(existing, existing?.params ?? [:]) }
        case .terminalMoves:
            rules.after = { $0 == .failed && $1 == .resubmit ? .running : sound.after($0, $1) }
        case .cancelIsLost: rules.after = { $0 == .queued && $1 == .cancel ? nil : sound.after($0, $1) }
        case .finalExitIsRetried:
            rules.outcome = { ending, error, left in
                let decision = sound.outcome(ending, error, left)
                return ending == .exited(code: 65) ? sound.outcome(.exited(code: 75), error, left) : decision
            }
        case .retryableIsIgnored: rules.outcome = { ending, _, left in sound.outcome(ending, nil, left) }
        case .retriesHaveNoEnd: rules.outcome = { ending, error, _ in sound.outcome(ending, error, 1) }
        case .failureIsForgotten: rules.fail = { _, _, _, _ in }
        case .successLeavesCount: rules.succeed = { $0.backoffUntil = nil }
        case .clampIsLeftOut: rules.clamp = { _, _ in }
        case .probeIsNotAlone, .pauseIsNotKept:
            let isProbe = self == .probeIsNotAlone
            rules.starts = { pool, queue, now in
                var pool = pool
                if !isProbe || pool.health.backoffUntil ?? now <= now { pool.health = PoolHealth() }
                return sound.starts(pool, queue, now)
            }
        case .priorityIsIgnored:
            rules.starts = { pool, queue, now in
                sound.starts(
                    pool,
                    queue.map { candidate in
                        var candidate = candidate
                        candidate.priority = 0
                        return candidate
                    },
                    now
                )
            }
        case .waitIsEndless: rules.wait = { _, _ in .seconds(86_400 * 365) }
        }
        return rules
    }
}
