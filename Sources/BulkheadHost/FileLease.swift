import BulkheadCore
import Foundation

/// Asks the kernel whether somebody has a file open for writing.
enum FileLease {
    /// Whether a writer has the file open; nil where the kernel will not say, such as for another user's file.
    ///
    /// A read lease is given only while there is no writer (fcntl(2), EAGAIN). Somebody who opens the file in
    /// the instant that we hold the lease waits for its end, microseconds later, and we are told by a signal:
    /// by SIGURG, which is ignored unless somebody asks for it, instead of SIGIO, which would end us.
    static func hasWriter(_ path: String) -> Bool? {
        guard let file = try? OpenDescriptor.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY) else { return nil }
        guard fcntl(file.number, Linux.setSignal, SIGURG) == 0 else { return nil }
        guard fcntl(file.number, Linux.setLease, Int32(F_RDLCK)) != 0 else {
            _ = fcntl(file.number, Linux.setLease, Int32(F_UNLCK))
            return false
        }
        return errno == EAGAIN ? true : nil
    }
}
