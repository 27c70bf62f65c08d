import BulkheadCore
import BulkheadStore
import Logging
import Synchronization

/// Takes terminal tasks away once they are old or too many, in small steps between which submits go.
///
/// It goes by the wall clock, as people do: a task that ended yesterday is a day old, whether the machine slept or not.
final class Retention: Sendable {
    /// The time from the start to the first sweep, so that a start has the disk for itself.
    private static let firstSweep: Duration = .seconds(90)
    /// The time between sweeps.
    private static let pause: Duration = .seconds(3_600)
    /// How long one call by hand goes on, so that its answer comes while the caller still waits for it.
    private static let callTime: Duration = .seconds(10)

    private struct State {
        var rule: RetentionRule
        var report = RetentionReport()
    }

    private let store: Store
    private let feed: TaskFeed
    private let clocks: Clocks
    private let logger: Logger
    private let state: Mutex<State>
    private let signals: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation

    init(_ rule: RetentionRule, store: Store, feed: TaskFeed, clocks: Clocks, logger: Logger) {
        state = Mutex(State(rule: rule))
        self.store = store
        self.feed = feed
        self.clocks = clocks
        self.logger = logger
        (signals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// What it has done, and the rule in force.
    var report: RetentionReport {
        state.withLock { state in
            var report = state.report
            report.rule = state.rule
            return report
        }
    }

    /// Puts another rule in force and sweeps by it at once.
    func change(to rule: RetentionRule) {
        let isOther = state.withLock { state in
            defer { state.rule = rule }
            return state.rule != rule
        }
        if isOther { signal.yield() }
    }

    /// Sweeps from time to time until it is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [signal] in
                var wait = Self.firstSweep
                while (try? await Task.sleep(for: wait)) != nil {
                    signal.yield()
                    wait = Self.pause
                }
            }
            for await _ in signals { await sweep() }
            group.cancelAll()
        }
    }

    /// Takes away what the rule in force does not keep.
    func sweep() async {
        var cursor: PruneCursor?
        var removed = 0
        do {
            repeat {
                let step = try await store.step(rule(for: PruneRequest()), from: cursor)
                tell(step.removed)
                removed += step.removed.count
                cursor = step.next
            } while cursor != nil && !Task.isCancelled
            while try await store.giveBackPages(), !Task.isCancelled {}
        } catch {
            logger.warning("terminal tasks could not be swept", metadata: ["error": "\(error)"])
        }
        state.withLock { $0.report.sweptAt = clocks.wall() }
        if removed > 0 { logger.info("terminal tasks are gone", metadata: ["tasks": "\(removed)"]) }
    }

    /// Takes away what a caller asks for, for a bounded time.
    /// - Parameter request: Which tasks.
    /// - Returns: What went, with a cursor where the call ended before it was through.
    /// - Throws: ``BulkheadError`` where the store could not read or write.
    func prune(_ request: PruneRequest) async throws(BulkheadError) -> PruneReport {
        let end = ContinuousClock.now + Self.callTime
        let rule = rule(for: request)
        var report = PruneReport()
        report.cursor = request.cursor
        repeat {
            let step = try await store.step(rule, from: report.cursor, dryRun: request.dryRun)
            if !request.dryRun { tell(step.removed) }
            report.removed += step.removed.count
            report.unacknowledged += step.unacknowledged
            report.cursor = step.next
        } while report.cursor != nil && ContinuousClock.now < end && !Task.isCancelled
        while !request.dryRun, report.cursor == nil, ContinuousClock.now < end, !Task.isCancelled {
            guard try await store.giveBackPages() else { break }
        }
        return report
    }

    private func rule(for request: PruneRequest) -> Sweep {
        let rule = state.withLock(\.rule)
        let age = request.olderThan ?? rule.age
        // The number that is kept is one over all types, and what is asked for by age has nothing to do with it.
        let isWhole = request.olderThan == nil && request.type == nil
        return Sweep(
            endedBefore: age.map { clocks.wall() + (.zero - $0) },
            atMost: isWhole ? rule.tasks : nil,
            type: request.type
        )
    }

    private func tell(_ removed: [TaskID]) {
        for id in removed { feed.tell(id) }
        state.withLock { $0.report.removed += removed.count }
    }
}
