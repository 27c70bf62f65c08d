public import BulkheadCore
import BulkheadHost
import Synchronization

extension Supervisor {
    /// Takes what may change while the supervisor runs, and looks at handlers, policies and pools again.
    /// - Parameters:
    ///   - drain: How long a stop waits for running attempts.
    ///   - retention: How long terminal tasks are kept.
    public func reload(drain: Duration, retention: RetentionRule) {
        self.retention.change(to: retention)
        self.drain.withLock { $0 = drain }
        loader.lookAgain()
    }
}
