public import BulkheadCore
import CLinux
import Foundation
import Glibc

/// What this process uses, as /proc says (proc_pid_stat(5), proc_pid_fd(5)).
public enum OwnProcess {
    /// Bounds the number of the allocator's arenas, each of which keeps what was freed in it: one for each core,
    /// and not the eight that glibc gives (M_ARENA_MAX in mallopt(3)).
    ///
    /// Under a flood of output the supervisor otherwise holds twice the memory, and more from hour to hour. To be
    /// called before there are other threads.
    public static func boundMemoryArenas() {
        let most: Int = 8
        clinux_limit_malloc_arenas(Int32(min(max(ProcessInfo.processInfo.processorCount, 2), most)))
    }

    /// Reads it; what /proc does not show is 0.
    public static func measures() -> ProcessMeasures {
        // Behind the name in brackets, which may hold anything: field 3 and so on.
        let stat = ProcFile.text("/proc/self/stat") ?? ""
        let fields = stat.split(separator: ")").last?.split(separator: " ").map(String.init) ?? []
        func field(_ number: Int) -> Int64 {
            fields.indices.contains(number - 3) ? Int64(fields[number - 3]) ?? 0 : 0
        }
        var limit = rlimit()
        let hasLimit = unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
        // The one that this look itself holds open is not counted.
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
        return ProcessMeasures(
            descriptors: max(open - 1, 0),
            descriptorLimit: hasLimit ? Int(clamping: limit.rlim_cur) : 0,
            threads: Int(field(20)),
            residentBytes: field(24) * Int64(sysconf(Int32(_SC_PAGESIZE))),
            cpuSeconds: Double(field(14) + field(15)) / Double(max(sysconf(Int32(_SC_CLK_TCK)), 1))
        )
    }
}
