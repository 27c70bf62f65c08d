import BulkheadCore
import Synchronization

/// Tells those who wait for a task that something about it has changed; what has changed, they read themselves.
final class TaskFeed: Sendable {
    private struct State {
        var nextNumber: UInt64 = 0
        var waiting: [TaskID: [UInt64: AsyncStream<Void>.Continuation]] = [:]
        var isClosed = false
    }

    private let state = Mutex(State())

    /// Changes of one task from now on; several that come together are one.
    func changes(of id: TaskID) -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Void.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        let number = state.withLock { state -> UInt64? in
            guard !state.isClosed else { return nil }
            state.nextNumber += 1
            state.waiting[id, default: [:]][state.nextNumber] = continuation
            return state.nextNumber
        }
        guard let number else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in self?.forget(id, number) }
        return stream
    }

    /// Says that something about a task has changed.
    func tell(_ id: TaskID) {
        let waiting = state.withLock { $0.waiting[id].map { Array($0.values) } }
        for continuation in waiting ?? [] { continuation.yield() }
    }

    /// Ends every wait, now and later.
    func close() {
        let waiting = state.withLock { state in
            state.isClosed = true
            return state.waiting.values.flatMap(\.values)
        }
        for continuation in waiting { continuation.finish() }
    }

    private func forget(_ id: TaskID, _ number: UInt64) {
        state.withLock { state in
            state.waiting[id]?[number] = nil
            if state.waiting[id]?.isEmpty == true { state.waiting[id] = nil }
        }
    }
}
