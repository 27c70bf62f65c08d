public import BulkheadCore
import CLinux
import Foundation
import Glibc

/// Tells processes apart by number, start time and boot, and signals only the one that is meant.
public enum ProcessIdentity {
    /// This boot's random name (random(4)); empty where /proc is not mounted, and then no mark fits.
    public static let bootID: String = {
        let bytes = ProcFile.read("/proc/sys/kernel/random/boot_id", atMost: 64) ?? []
        return String(decoding: bytes.prefix { $0 > 0x20 }, as: UTF8.self)
    }()

    /// The mark of the process that has this number now; nil when there is none.
    public static func mark(of pid: Int32) -> ProcessMark? {
        guard !bootID.isEmpty, let status = ProcessStatus.of(pid) else { return nil }
        return ProcessMark(pid: pid, startTime: status.startTime, bootID: bootID)
    }

    /// Whether the process still runs; one that has ended and is not yet reaped does not.
    public static func isAlive(_ mark: ProcessMark) -> Bool {
        guard let process = ProcessHandle(mark) else { return false }
        return !process.hasEnded
    }

    /// Sends SIGKILL to the process, never to another one that has its number by now.
    ///
    /// - Parameter mark: The process that is meant.
    /// - Returns: Whether it was there to be signalled.
    @discardableResult
    public static func kill(_ mark: ProcessMark) -> Bool {
        send(SIGKILL, to: mark)
    }

    /// Sends a signal to the process, never to another one that has its number by now.
    ///
    /// - Parameters:
    ///   - signal: The signal's number.
    ///   - mark: The process that is meant.
    /// - Returns: Whether it was there to be signalled.
    @discardableResult
    public static func send(_ signal: Int32, to mark: ProcessMark) -> Bool {
        guard let process = ProcessHandle(mark) else { return false }
        return process.send(signal)
    }

    /// Waits until the process has ended, reaped or not.
    ///
    /// - Parameters:
    ///   - mark: The process that is meant; one that is not there has ended.
    ///   - limit: How long to wait at most.
    /// - Returns: Whether it has ended.
    public static func waitForEnd(of mark: ProcessMark, atMost limit: Duration) async -> Bool {
        await waitForEnd(of: [mark], atMost: limit)
    }

    /// Waits until all of these processes have ended, reaped or not.
    ///
    /// - Parameters:
    ///   - marks: The processes that are meant; those that are not there have ended.
    ///   - limit: How long to wait at most, for all of them together.
    /// - Returns: Whether all have ended.
    public static func waitForEnd(of marks: [ProcessMark], atMost limit: Duration) async -> Bool {
        let processes = marks.compactMap { ProcessHandle($0) }.filter { !$0.hasEnded }
        guard !processes.isEmpty else { return true }
        let deadline = ContinuousClock.now + limit
        // A thread of its own, since poll(2) would hold one of the few that all Swift tasks share.
        return await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(returning: processes.allSatisfy { $0.waitForEnd(until: deadline) })
            }
        }
    }

    /// A process and everything above it, from itself up to the first that this pid namespace knows.
    ///
    /// A parent that started after its child is another process with a reused number: the line ends there.
    public static func lineage(of pid: Int32) -> [ProcessMark] {
        var line: [ProcessMark] = []
        var next = ProcessStatus.of(pid)
        while let status = next, !bootID.isEmpty {
            guard line.last.map({ status.startTime <= $0.startTime }) ?? true,
                !line.contains(where: { $0.pid == status.pid })
            else { break }
            line.append(ProcessMark(pid: status.pid, startTime: status.startTime, bootID: bootID))
            next = ProcessStatus.of(status.parent)
        }
        return line
    }

    /// The numbers of the processes above this one, its parent first.
    public static func ancestors(of pid: Int32) -> [Int32] {
        lineage(of: pid).dropFirst().map(\.pid)
    }
}

/// A descriptor that means one process for ever (pidfd_open(2)), whatever becomes of its number.
final class ProcessHandle: Sendable {
    private let descriptor: Int32

    /// Takes hold of the marked process; nil when it is gone, or its number belongs to another.
    init?(_ mark: ProcessMark) {
        guard mark.pid > 0, !mark.bootID.isEmpty, mark.bootID == ProcessIdentity.bootID else { return nil }
        let opened = clinux_pidfd_open(mark.pid)
        guard opened >= 0 else { return nil }
        descriptor = opened
        // Read after the opening: whoever has the mark's start time now had the number then, too.
        guard ProcessStatus.of(mark.pid)?.startTime == mark.startTime else { return nil }
    }

    deinit {
        close(descriptor)
    }

    /// Whether all of its threads have ended.
    var hasEnded: Bool { poll(nanoseconds: 0) }

    /// Signals it; false when it has been reaped or may not be signalled.
    func send(_ signal: Int32) -> Bool {
        clinux_pidfd_send_signal(descriptor, signal) >= 0
    }

    /// Blocks the calling thread until it has ended; false at the deadline.
    func waitForEnd(until deadline: ContinuousClock.Instant) -> Bool {
        while true {
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { return hasEnded }
            let (seconds, attoseconds) = min(left, .seconds(3600)).components
            if poll(nanoseconds: seconds * 1_000_000_000 + attoseconds / 1_000_000_000) { return true }
        }
    }

    private func poll(nanoseconds: Int64) -> Bool {
        var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe clinux_poll(&polled, 1, nanoseconds) > 0
    }
}
