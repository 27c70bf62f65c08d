import BulkheadHost
import BulkheadLaunch
import Synchronization

/// An attempt from the moment it is chosen to its committed end; what others may do to it is to stop it.
final class LiveAttempt: Sendable {
    private struct State {
        var stop: StopReason?
        var launcher: Launcher?
        var number: UInt64 = 0
        var isLeft = false
        var input: HandlerInput?
    }

    private let state = Mutex(State())

    /// The stop that was asked for, the first one where there were several.
    var stopReason: StopReason? { state.withLock(\.stop) }

    /// Whether it is left to its launcher; one that has none yet stays in its queue.
    var isLeft: Bool { state.withLock(\.isLeft) }

    /// The handler's stdin, where somebody wants to know whether it is read.
    var input: HandlerInput? {
        get { state.withLock(\.input) }
        set { state.withLock { $0.input = newValue } }
    }

    /// Whether the supervisor is about to end.
    var supervisorEnds: Bool { state.withLock { $0.isLeft || $0.stop == .supervisorStop } }

    /// Says that the launch message is on its way, and tells what was asked for before.
    func attach(_ launcher: Launcher, number: UInt64) {
        let (stop, isLeft) = state.withLock { state in
            state.launcher = launcher
            state.number = number
            return (state.stop, state.isLeft)
        }
        if let stop { launcher.stop(attempt: number, reason: stop) }
        if isLeft { launcher.endReading() }
    }

    /// Leaves it to its launcher and a later supervisor.
    func leave() {
        let launcher = state.withLock { state in
            state.isLeft = true
            return state.launcher
        }
        launcher?.endReading()
    }

    /// Asks for the attempt's end; the first reason holds.
    func stop(_ reason: StopReason) {
        let target = state.withLock { state -> (Launcher, UInt64)? in
            guard state.stop == nil else { return nil }
            state.stop = reason
            return state.launcher.map { ($0, state.number) }
        }
        if let (launcher, number) = target { launcher.stop(attempt: number, reason: reason) }
    }
}
