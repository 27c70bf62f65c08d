import BulkheadLaunch
import Foundation

/// What `/proc/PID/stat` says about a process (proc_pid_stat(5)).
struct ProcessStatus: Sendable, Equatable {
    /// The process's number: field 1.
    var pid: Int32
    /// Its parent's number: field 4; 0 where the parent is outside this pid namespace.
    var parent: Int32
    /// The number of the process that made its session: field 6.
    var session: Int32
    /// When it started, in clock ticks since boot: field 22.
    var startTime: UInt64

    /// Reads the status of a living or unreaped process; nil when there is none.
    static func of(_ pid: Int32) -> ProcessStatus? {
        guard pid > 0, let bytes = ProcFile.read("/proc/\(pid)/stat", atMost: 4096) else { return nil }
        return ProcessStatus(parsing: bytes)
    }

    /// Every process that /proc shows.
    static func all() -> [ProcessStatus] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.compactMap { of($0) }
    }
}

extension ProcessStatus {
    /// Reads the line of a stat file; nil if it is not of that form.
    init?(parsing line: [UInt8]) {
        guard let stat = ProcessStat(line[...]) else { return nil }
        self.init(pid: stat.pid, parent: stat.parent, session: stat.session, startTime: stat.startTime)
    }
}
