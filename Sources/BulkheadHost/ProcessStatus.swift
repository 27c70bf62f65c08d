import Foundation
import Glibc

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
    /// Reads the line of a stat file; the name in field 2 may itself hold blanks and parentheses.
    init?(parsing line: [UInt8]) {
        guard let opening = line.firstIndex(of: UInt8(ascii: "(")),
            let closing = line.lastIndex(of: UInt8(ascii: ")")),
            opening < closing
        else { return nil }
        let first = String(decoding: line[..<opening], as: UTF8.self).split(separator: " ")
        // The first of these is field 3.
        let rest = String(decoding: line[(closing + 1)...], as: UTF8.self).split(separator: " ")
        guard first.count == 1, rest.count > 19, let pid = Int32(first[0]), let parent = Int32(rest[1]),
            let session = Int32(rest[3]), let startTime = UInt64(rest[19])
        else { return nil }
        self.pid = pid
        self.parent = parent
        self.session = session
        self.startTime = startTime
    }
}
