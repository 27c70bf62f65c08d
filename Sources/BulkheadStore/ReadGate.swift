import BulkheadCore
import Synchronization

/// Lets reads through until the store closes, and lets it close once none is under way.
///
/// A read on a connection that has been closed meanwhile would be an error without a meaning to its caller.
final class ReadGate: Sendable {
    private struct State {
        var underWay = 0
        var isClosed = false
        var closers: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    /// Enters a read, which ``leave()`` ends.
    /// - Throws: ``BulkheadError`` with the code `unavailable` once the store is closed.
    func enter() throws(BulkheadError) {
        let isOpen = state.withLock { state in
            if !state.isClosed { state.underWay += 1 }
            return !state.isClosed
        }
        guard isOpen else { throw Self.closed }
    }

    /// Ends a read.
    func leave() {
        let closers = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.underWay -= 1
            guard state.isClosed, state.underWay == 0 else { return [] }
            defer { state.closers = [] }
            return state.closers
        }
        for closer in closers { closer.resume() }
    }

    /// Refuses later reads and returns when those under way have ended.
    func close() async {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                state.isClosed = true
                if state.underWay > 0 { state.closers.append(continuation) }
                return state.underWay == 0
            }
            if isIdle { continuation.resume() }
        }
    }

    /// What a call gets that comes when the store is closed.
    static let closed = BulkheadError(.unavailable, "the store is closed", retryAfterSeconds: 1)
}
