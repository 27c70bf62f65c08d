import CLinux
import Glibc

/// The descriptors on which the loop waits, each in a place of its own.
@safe struct PollSet: ~Copyable {
    enum Place: Int, CaseIterable {
        case control, children, endSignals, status, stdout, stderr, events, listener, door, visitor
    }

    private let entries: UnsafeMutableBufferPointer<pollfd>

    init() {
        unsafe entries = .allocate(capacity: Place.allCases.count)
        unsafe entries.initialize(repeating: pollfd(fd: -1, events: 0, revents: 0))
    }

    deinit {
        unsafe entries.deallocate()
    }

    /// Waits for nothing until `watch` says for what.
    mutating func clear() {
        for place in Place.allCases {
            unsafe entries[place.rawValue] = pollfd(fd: -1, events: 0, revents: 0)
        }
    }

    mutating func watch(_ place: Place, _ descriptor: Int32, for events: Int16 = Int16(POLLIN)) {
        unsafe entries[place.rawValue] = pollfd(fd: descriptor, events: events, revents: 0)
    }

    /// Waits until something is ready or the deadline, on the monotonic clock, has come.
    mutating func wait(until deadline: UInt64?, now: UInt64) {
        let pause = deadline.map { Int64(clamping: $0 > now ? $0 - now : 0) } ?? -1
        let ready = unsafe clinux_poll(entries.baseAddress, entries.count, pause)
        guard ready < 0 else { return }
        // Only ENOMEM is left, which passes.
        for place in Place.allCases { unsafe entries[place.rawValue].revents = 0 }
    }

    borrowing func isReady(_ place: Place) -> Bool {
        unsafe entries[place.rawValue].revents != 0
    }
}
