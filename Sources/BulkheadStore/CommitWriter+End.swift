import BulkheadCore
import GRDB
import Synchronization

/// The end of the writer: an error after which nothing can be relied on, or a file that has lost its name.
extension CommitWriter {
    /// Ends the writer where an error that was met elsewhere says that the store cannot be trusted.
    func note(_ error: any Error, _ doing: String) {
        if StorageFault(error) == .lasting { stop(error, doing) }
    }

    func stop(_ cause: any Error, _ doing: String) {
        // A connection that is opened when the log has lost its name makes a new one, and finds nothing in it.
        if let outcome = rescueIfNeeded() { return stop(with: outcome.error) }
        let error = BulkheadError(storing: cause, doing)
        if let damage = Damage(cause) {
            // Where this cannot be written either, the next start finds the damage by itself or not at all.
            _ = try? Quarantine(path: files.path).begin(damage.reason, now: .ofWallClock)
        }
        stop(with: error)
    }

    /// Looks now and then whether the files still have their names, and saves what is in them where they do not;
    /// then the writer ends.
    /// - Returns: Whether what has been committed is safe.
    func confirmFiles() -> Bool {
        let isDue = nextLook.withLock { next in
            guard ContinuousClock.now >= next else { return false }
            next = .now + Self.look
            return true
        }
        guard isDue, end == nil, let outcome = rescueIfNeeded() else { return true }
        stop(with: outcome.error)
        return outcome.isWhole
    }

    /// Saves what is in files that have lost their names, once; whoever meets it meanwhile waits for the same outcome.
    /// - Returns: What came of it; nil where each file is in its place.
    func rescueIfNeeded() -> Rescue.Outcome? {
        rescued.withLock { rescued in
            if rescued == nil {
                let changes = files.changes()
                guard !changes.isEmpty else { return nil }
                state.withLock { $0.isBeingRescued = true }
                rescued = Rescue(files: files, changes: changes, pool: pool, now: .ofWallClock).run()
            }
            return rescued
        }
    }

    private func stop(with error: BulkheadError) {
        let isFirst = state.withLock { state in
            defer { state.end = state.end ?? error }
            return state.end == nil
        }
        if isFirst { failed.yield(error) }
    }
}
