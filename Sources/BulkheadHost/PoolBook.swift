import BulkheadCore
import Foundation

/// Who is where in a `LauncherPool`: it decides, and answers what is to be done once its lock is free.
///
/// A launcher is settling (its `ready` is awaited), idle, handed out, or retiring (its socket is closed, its
/// process is to end); `living` has them all.
struct PoolBook {
    typealias Waiter = CheckedContinuation<Result<Launcher, BulkheadError>, Never>

    /// What is to be done.
    enum Action {
        /// Start a launcher for a slot.
        case start(slot: Int)
        /// Close a launcher's control socket.
        case close(Launcher, PacketEnd)
        /// End a wait for a launcher.
        case answer(Waiter, Result<Launcher, BulkheadError>)
        /// End a wait for the pool's end.
        case stopped(CheckedContinuation<Void, Never>)
    }

    /// A launcher whose `ready` is awaited.
    struct Settling {
        let launcher: Launcher
        /// Whether it has never been ready: then its loss says that launchers cannot be had now.
        let isFresh: Bool
        var readyBy: ContinuousClock.Instant?
    }

    /// A launcher that is ending.
    struct Retiring {
        let launcher: Launcher
        let end: PacketEnd
        /// Whether an attempt was going on whose outcome never came.
        let lostAttempt: Bool
        let killAt: ContinuousClock.Instant
        var endedAt: ContinuousClock.Instant?
        /// Whether what it left behind is being ended.
        var isSwept = false
    }

    private var living: [Int: Launcher] = [:]
    private var starting: Set<Int> = []
    private var settling: [Int: Settling] = [:]
    private var idle: [(launcher: Launcher, since: ContinuousClock.Instant)] = []
    private(set) var retiring: [Int: Retiring] = [:]
    private var waiters: [Waiter] = []
    private var stoppers: [CheckedContinuation<Void, Never>] = []
    private var isStopped = false
    private var maximumIdle: Int

    init(maximumIdle: Int) {
        self.maximumIdle = maximumIdle
    }

    /// All of them.
    var launchers: [Launcher] { Array(living.values) }

    /// Whether there is nothing that time could change.
    var isEmpty: Bool { living.isEmpty }

    /// Takes the launcher that was idle last: the longest unused ones can go.
    mutating func takeIdle() -> Launcher? {
        isStopped ? nil : idle.popLast()?.launcher
    }

    /// Enters somebody who waits for a launcher.
    mutating func wait(_ waiter: Waiter) -> [Action] {
        guard !isStopped else { return [.answer(waiter, .failure(Self.stoppedError))] }
        if let launcher = takeIdle() { return [.answer(waiter, .success(launcher))] }
        waiters.append(waiter)
        return startForWaiters()
    }

    private mutating func startForWaiters() -> [Action] {
        var actions: [Action] = []
        while waiters.count > settling.count + starting.count {
            let slot = freeSlot
            starting.insert(slot)
            actions.append(.start(slot: slot))
        }
        return actions
    }

    private var freeSlot: Int {
        var slot = 0
        while living[slot] != nil || starting.contains(slot) { slot += 1 }
        return slot
    }

    /// Enters a launcher that another supervisor started, made for the slot that it is given; nil when no launcher
    /// is taken any more.
    mutating func adopt(_ make: (Int) -> Launcher) -> Launcher? {
        guard !isStopped else { return nil }
        let launcher = make(freeSlot)
        living[launcher.slot] = launcher
        return launcher
    }

    /// Forgets a launcher that goes on without us.
    mutating func leave(_ launcher: Launcher) -> [Action] {
        guard isLiving(launcher), retiring[launcher.slot] == nil else { return [] }
        living[launcher.slot] = nil
        return finishStop()
    }

    /// Whether a launcher is one of ours.
    func isLiving(_ launcher: Launcher) -> Bool { living[launcher.slot] === launcher }

    private mutating func failWaiters(_ error: BulkheadError) -> [Action] {
        var actions: [Action] = []
        while waiters.count > settling.count + starting.count {
            actions.append(.answer(waiters.removeFirst(), .failure(error)))
        }
        return actions
    }

    /// A launcher's process runs.
    mutating func started(_ launcher: Launcher, readyBy: ContinuousClock.Instant) -> [Action] {
        starting.remove(launcher.slot)
        living[launcher.slot] = launcher
        settling[launcher.slot] = Settling(launcher: launcher, isFresh: true, readyBy: readyBy)
        return isStopped ? [.close(launcher, Self.stoppedEnd)] : []
    }

    /// A launcher's process could not be started.
    mutating func startFailed(_ slot: Int, _ error: BulkheadError) -> [Action] {
        starting.remove(slot)
        return failWaiters(error) + finishStop()
    }

    /// A launcher said `ready`.
    mutating func becameReady(_ launcher: Launcher, now: ContinuousClock.Instant) -> [Action] {
        // One that said so before it was given back is found ready then.
        guard settling[launcher.slot]?.launcher === launcher else { return [] }
        settling[launcher.slot] = nil
        return place(launcher, now)
    }

    private mutating func place(_ launcher: Launcher, _ now: ContinuousClock.Instant) -> [Action] {
        guard !isStopped else { return [.close(launcher, Self.stoppedEnd)] }
        guard waiters.isEmpty else { return [.answer(waiters.removeFirst(), .success(launcher))] }
        idle.append((launcher, now))
        return closeSurplus()
    }

    private mutating func closeSurplus() -> [Action] {
        var actions: [Action] = []
        while idle.count > maximumIdle {
            actions.append(.close(idle.removeFirst().launcher, .asked("enough launchers are idle")))
        }
        return actions
    }

    /// Changes how many idle launchers are kept.
    mutating func keepIdle(atMost count: Int) -> [Action] {
        maximumIdle = count
        return closeSurplus()
    }

    /// Takes back a launcher that was handed out.
    mutating func giveBack(
        _ launcher: Launcher,
        now: ContinuousClock.Instant,
        readyBy: ContinuousClock.Instant
    ) -> [Action] {
        guard living[launcher.slot] === launcher, retiring[launcher.slot] == nil,
            settling[launcher.slot] == nil, !idle.contains(where: { $0.launcher === launcher })
        else { return [] }
        switch launcher.phase {
        case .ready, .acknowledged, .launching:
            guard !launcher.isAdopted else {
                return [.close(launcher, .asked("it served another supervisor's attempt"))]
            }
        default: break
        }
        switch launcher.phase {
        case .ready: return place(launcher, now)
        case .acknowledged, .launching:
            settling[launcher.slot] = Settling(launcher: launcher, isFresh: false, readyBy: readyBy)
            return isStopped ? [.close(launcher, Self.stoppedEnd)] : []
        case .running, .ended:
            return [.close(launcher, .asked("it was given back before its outcome was acknowledged"))]
        case .lost: return []
        }
    }

    /// A launcher's control socket is closed.
    mutating func ended(_ launcher: Launcher, _ gone: Retiring) -> [Action] {
        guard isLiving(launcher) else { return [] }
        idle.removeAll { $0.launcher === launcher }
        retiring[launcher.slot] = gone
        guard let settled = settling.removeValue(forKey: launcher.slot) else { return [] }
        guard settled.isFresh else { return isStopped ? [] : startForWaiters() }
        return failWaiters(
            BulkheadError(.host, "a new launcher was lost before it was ready", cause: gone.end.words)
        )
    }

    /// Notes when a retiring launcher's process was first seen to have ended.
    mutating func sawEnd(of launcher: Launcher, at now: ContinuousClock.Instant) {
        retiring[launcher.slot]?.endedAt = now
    }

    /// Notes that what a retiring launcher left behind is being ended.
    mutating func sweeps(_ launcher: Launcher) {
        retiring[launcher.slot]?.isSwept = true
    }

    /// Nothing is left of a launcher.
    mutating func forget(_ launcher: Launcher) -> [Action] {
        retiring[launcher.slot] = nil
        living[launcher.slot] = nil
        return finishStop()
    }

    /// Closes launchers that have been idle for too long, or that do not become ready.
    mutating func expire(now: ContinuousClock.Instant, idleTime: Duration) -> [Action] {
        var actions: [Action] = []
        while let first = idle.first, first.since + idleTime <= now {
            actions.append(.close(idle.removeFirst().launcher, .asked("it was idle for long")))
        }
        for (slot, late) in settling where late.readyBy.map({ $0 <= now }) ?? false {
            settling[slot]?.readyBy = nil
            actions.append(.close(late.launcher, .breach("it did not say ready in time")))
        }
        return actions
    }

    /// Ends everything.
    mutating func stop(_ stopper: CheckedContinuation<Void, Never>) -> [Action] {
        isStopped = true
        stoppers.append(stopper)
        idle = []
        let refused = waiters.map { Action.answer($0, .failure(Self.stoppedError)) }
        waiters = []
        return refused + living.values.map { .close($0, Self.stoppedEnd) } + finishStop()
    }

    private mutating func finishStop() -> [Action] {
        guard isStopped, living.isEmpty, starting.isEmpty else { return [] }
        defer { stoppers = [] }
        return stoppers.map { .stopped($0) }
    }

    private static let stoppedEnd = PacketEnd.asked("the supervisor is stopping")
    private static let stoppedError = BulkheadError(
        .unavailable,
        "no launcher is started: the supervisor is stopping"
    )
}
