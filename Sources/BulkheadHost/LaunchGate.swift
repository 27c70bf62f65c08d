import BulkheadCore
import CLinux
import Foundation

/// The descriptors that must be free before a launcher is started.
///
/// Foundation's `Process.run` that meets EMFILE ends all exit detection for the process's life, so it is never
/// called near the limit.
enum LaunchGate {
    /// Descriptors that must be free.
    static let reserve = 64

    /// Checks that a launcher can be started.
    ///
    /// - Parameter free: The number of free descriptors; nil when even that cannot be told.
    /// - Throws: `BulkheadError` with code `host` when there are fewer than `reserve`.
    static func check(free: Int? = freeDescriptors()) throws(BulkheadError) {
        guard (free ?? 0) < reserve else { return }
        throw BulkheadError(
            .host,
            "no launcher can be started: \(free ?? 0) file descriptors are free, \(reserve) must be",
            advice: "raise the supervisor's limit of open files (LimitNOFILE, ulimit -n)"
        )
    }

    /// The descriptors that this process may still open.
    static func freeDescriptors() -> Int? {
        guard let (soft, _) = limits() else { return nil }
        return free(listed: "/proc/self/fd", limit: soft)
    }

    /// Counts the numbers below the limit that a folder such as /proc/PID/fd does not list.
    static func free(listed folder: String, limit: UInt64) -> Int? {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else { return nil }
        let used = names.count { name in UInt64(name).map { $0 < limit } ?? false }
        return Int(clamping: limit) - used
    }

    /// Raises the soft limit of open files to the hard one.
    static func raiseLimit() {
        guard let (soft, hard) = limits(), soft < hard else { return }
        // Where this is refused the gate holds with the lower limit.
        _ = clinux_set_limit(clinux_limit_open_files, hard, hard)
    }

    static func limits() -> (soft: UInt64, hard: UInt64)? {
        var soft: UInt64 = 0
        var hard: UInt64 = 0
        guard unsafe clinux_get_limit(clinux_limit_open_files, &soft, &hard) >= 0 else { return nil }
        return (soft, hard)
    }
}
