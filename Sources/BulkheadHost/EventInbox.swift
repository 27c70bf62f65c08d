public import BulkheadLaunch
import Synchronization

/// What the reader of an attempt learns.
public enum LauncherEvent: Sendable, Equatable {
    /// The launcher said this.
    case message(LauncherMessage)
    /// The launcher's process is gone, or was ended since it broke the protocol: no outcome comes from it.
    case lost(reason: String)
    /// This supervisor reads no further: the attempt is left to its launcher and to another supervisor.
    case left
}

/// Events of one attempt between the packet thread and the one task that reads them, bounded in bytes.
final class EventInbox: Sendable {
    /// Bytes of unread events beyond which no more are wanted; the launcher then waits, and its handler too.
    static let byteLimit = 4 << 20

    fileprivate struct State {
        var events: [LauncherEvent] = []
        var next = 0
        var bytes = 0
        var isFull = false
        var isFinished = false
        var isAbandoned = false
        var reader: CheckedContinuation<LauncherEvent?, Never>?
    }

    private let state = Mutex(State())
    private let limit: Int

    init(byteLimit: Int = EventInbox.byteLimit) {
        limit = byteLimit
    }

    /// Whether there is room; false from the bound on, until half of it is free again.
    var wantsMore: Bool {
        state.withLock { !$0.isFull }
    }

    /// Adds an event.
    ///
    /// - Parameters:
    ///   - event: What happened.
    ///   - last: Whether nothing follows.
    /// - Returns: Whether there is room for more.
    @discardableResult
    func put(_ event: LauncherEvent, last: Bool) -> Bool {
        let (reader, hasRoom) = state.withLock {
            state -> (CheckedContinuation<LauncherEvent?, Never>?, Bool) in
            guard !state.isFinished, !state.isAbandoned else { return (nil, true) }
            state.isFinished = last
            if let reader = state.reader {
                state.reader = nil
                return (reader, true)
            }
            state.events.append(event)
            state.bytes += event.byteCount
            state.isFull = state.isFull || state.bytes > limit
            return (nil, !state.isFull)
        }
        reader?.resume(returning: event)
        return hasRoom
    }

    /// Waits for the next event.
    ///
    /// - Parameter onRoom: Called when there is room again after there was none.
    /// - Returns: The event; nil after the last.
    func next(onRoom: () -> Void) async -> LauncherEvent? {
        var hasRoomAgain = false
        let event = await withCheckedContinuation { continuation in
            let answer = state.withLock { state -> LauncherEvent?? in
                guard !state.isAbandoned else { return .some(nil) }
                if let event = state.take() {
                    hasRoomAgain = state.isFull && state.bytes <= limit / 2
                    if hasRoomAgain { state.isFull = false }
                    return event
                }
                // One task reads; a second one at the same time is told that there is nothing for it.
                guard !state.isFinished, state.reader == nil else { return .some(nil) }
                state.reader = continuation
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
        if hasRoomAgain { onRoom() }
        return event
    }

    /// Drops everything, now and from now on: the reader was cancelled.
    func abandon() {
        let reader = state.withLock { state in
            let reader = state.reader
            state = State(isFinished: state.isFinished, isAbandoned: true)
            return reader
        }
        reader?.resume(returning: nil)
    }
}

extension EventInbox.State {
    mutating func take() -> LauncherEvent? {
        guard next < events.count else { return nil }
        let event = events[next]
        bytes -= event.byteCount
        next += 1
        if next == events.count {
            events.removeAll(keepingCapacity: true)
            next = 0
        } else if next >= 1024 {
            events.removeFirst(next)
            next = 0
        }
        return event
    }
}

extension LauncherEvent {
    /// About what the event holds in memory, its own size included.
    fileprivate var byteCount: Int {
        switch self {
        case .message(.output(_, _, _, let bytes)): bytes.count + 128
        case .message(.event(_, let line, _, _)): line.count + 128
        default: 128
        }
    }
}
