import Synchronization

/// Tells those who wait that something was committed; what it was, they read themselves.
final class CommitFeed: Sendable {
    private struct State {
        var nextNumber: UInt64 = 0
        var waiting: [UInt64: AsyncStream<Void>.Continuation] = [:]
        var isClosed = false
    }

    private let state = Mutex(State())

    /// Commits from now on; several that come together are one.
    func commits() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Void.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        let number = state.withLock { state -> UInt64? in
            guard !state.isClosed else { return nil }
            state.nextNumber += 1
            state.waiting[state.nextNumber] = continuation
            return state.nextNumber
        }
        guard let number else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.waiting[number] = nil } }
        return stream
    }

    /// Says that something was committed.
    func tell() {
        let waiting = state.withLock { $0.waiting.isEmpty ? [] : Array($0.waiting.values) }
        for continuation in waiting { continuation.yield() }
    }

    /// Ends every wait, now and later.
    func close() {
        let waiting = state.withLock { state in
            state.isClosed = true
            return Array(state.waiting.values)
        }
        for continuation in waiting { continuation.finish() }
    }
}
