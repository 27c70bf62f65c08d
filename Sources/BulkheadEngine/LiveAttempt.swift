import BulkheadHost
import BulkheadLaunch
import Synchronization

/// An attempt from the moment it is chosen to its committed end; what others may do to it is to stop it.
final class LiveAttempt: Sendable {
    private struct State {
        var stop: StopReason?
        var launcher: Launcher?
        var number: UInt64 = 0
    }

    private let state = Mutex(State())

    /// The stop that was asked for, the first one where there were several.
    var stopReason: StopReason? { state.withLock(\.stop) }

    /// Says that the launch message is on its way, and sends the stop that was asked for before.
    func attach(_ launcher: Launcher, number: UInt64) {
        let stop = state.withLock { state in
            state.launcher = launcher
            state.number = number
            return state.stop
        }
        if let stop { launcher.send(.stop(attempt: number, reason: stop)) }
    }

    /// Asks for the attempt's end; the first reason holds.
    func stop(_ reason: StopReason) {
        let target = state.withLock { state -> (Launcher, UInt64)? in
            guard state.stop == nil else { return nil }
            state.stop = reason
            return state.launcher.map { ($0, state.number) }
        }
        if let (launcher, number) = target { launcher.send(.stop(attempt: number, reason: reason)) }
    }
}
