import BulkheadHost
import Synchronization

extension Supervisor {
    /// Takes what may change while the supervisor runs, and looks at handlers, policies and pools again.
    /// - Parameter drain: How long a stop waits for running attempts.
    public func reload(drain: Duration) {
        self.drain.withLock { $0 = drain }
        loader.lookAgain()
    }
}
