import BulkheadCore
import Glibc

extension BulkheadError {
    /// A system call of the supervisor's own that failed.
    static func system(_ call: String, _ doing: String, errno: Int32) -> BulkheadError {
        let advice: String? =
            switch errno {
            case EMFILE: "raise the supervisor's limit of open files (LimitNOFILE, ulimit -n)"
            case ENFILE: "raise the host's limit of open files (fs.file-max)"
            case EAGAIN: "raise the limit of processes (TasksMax, ulimit -u)"
            default: nil
            }
        return BulkheadError(.host, doing, cause: "\(call): \(SystemFailure(errno))", advice: advice)
    }
}
