import CLinux
import Foundation
import Synchronization

/// The thread behind a ``FolderWatch``: it sleeps in the kernel until something happens or is due.
final class WatchLoop: Sendable {
    /// A change is told after this at the latest, also where changes do not stop: one file that is written for
    /// ever must not hide the others.
    static let longestNanoseconds: Int64 = 2_000_000_000
    /// The time between looks where the kernel does not tell of changes.
    static let rescanNanoseconds: Int64 = 2_000_000_000

    /// For the thread alone once it runs.
    private let watches: Mutex<FolderWatches>
    private let quietNanoseconds: Int64
    private let stop: OpenDescriptor
    private let tell: @Sendable () -> Void

    init(
        paths: [String],
        quiet: Duration,
        stop: consuming OpenDescriptor,
        tell: @escaping @Sendable () -> Void
    ) {
        watches = Mutex(FolderWatches(paths: paths))
        let (seconds, attoseconds) = quiet.components
        quietNanoseconds = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
        self.stop = stop
        self.tell = tell
    }

    /// Runs until the pipe ends.
    func run() {
        let (queue, rescans) = watches.withLock { ($0.descriptor, $0.mustRescan) }
        var schedule = Schedule(quiet: quietNanoseconds, rescans: rescans, now: Self.now())
        while true {
            switch wait(queue, until: schedule.due) {
            case .stopped: return
            case .readable:
                if watches.withLock({ $0.read() }) { schedule.changed(at: Self.now()) }
            case .due: break
            }
            let now = Self.now()
            guard let due = schedule.due, due <= now else { continue }
            // A folder that could not be watched may be watchable by now.
            let rescans = watches.withLock { watches in
                watches.refresh()
                return watches.mustRescan
            }
            schedule.told(rescans: rescans, now: now)
            tell()
        }
    }

    /// When a change is told: a value, so that it is tested without waiting.
    struct Schedule {
        private let quiet: Int64
        private var first: Int64?
        private var last: Int64 = 0
        private var rescan: Int64?

        /// Begins with nothing to tell; all times are nanoseconds of a monotonic clock.
        init(quiet: Int64, rescans: Bool, now: Int64) {
            self.quiet = quiet
            told(rescans: rescans, now: now)
        }

        /// When there is something to do next; nil: only after a change.
        var due: Int64? {
            guard let first else { return rescan }
            return min(last + quiet, first + WatchLoop.longestNanoseconds)
        }

        mutating func changed(at now: Int64) {
            first = first ?? now
            last = now
        }

        mutating func told(rescans: Bool, now: Int64) {
            first = nil
            rescan = rescans ? now + WatchLoop.rescanNanoseconds : nil
        }
    }

    private enum Wake {
        case stopped
        case readable
        case due
    }

    private func wait(_ descriptor: Int32, until due: Int64?) -> Wake {
        var polls = [
            pollfd(fd: stop.number, events: Int16(POLLIN), revents: 0),
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        ]
        let left = due.map { max(0, $0 - Self.now()) } ?? -1
        let ready = unsafe clinux_poll(&polls, polls.count, left)
        if polls[0].revents != 0 { return .stopped }
        return ready > 0 && polls[1].revents != 0 ? .readable : .due
    }

    private static func now() -> Int64 {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
