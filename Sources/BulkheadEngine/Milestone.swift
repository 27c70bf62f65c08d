import Synchronization

/// Something that comes to pass once, for which any number may wait.
public final class Milestone: Sendable {
    private struct State {
        var isReached = false
        var waiting: [AsyncStream<Never>.Continuation] = []
    }

    private let state = Mutex(State())

    /// Makes one that has not come to pass.
    public init() {}

    /// Whether it has come to pass.
    public var isReached: Bool { state.withLock(\.isReached) }

    /// Says that it has come to pass; to say it again changes nothing.
    public func reach() {
        let waiting = state.withLock { state in
            state.isReached = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for one in waiting { one.finish() }
    }

    /// Waits until it has come to pass.
    ///
    /// - Throws: `CancellationError` where the task was cancelled before.
    public func wait() async throws {
        let (stream, continuation) = AsyncStream.makeStream(of: Never.self)
        state.withLock { state in
            if state.isReached { continuation.finish() } else { state.waiting.append(continuation) }
        }
        for await _ in stream {}
        if !isReached { throw CancellationError() }
    }
}
