import BulkheadCore
import BulkheadStore

/// Stores a handler's progress at most four times a second; the last report always is.
actor ProgressIntake {
    private let id: TaskID
    private let attempt: Int
    private let store: Store
    private let feed: TaskFeed
    private var waiting: TaskProgress?
    private var writer: Task<Void, Never>?

    init(id: TaskID, attempt: Int, store: Store, feed: TaskFeed) {
        self.id = id
        self.attempt = attempt
        self.store = store
        self.feed = feed
    }

    /// Takes a report; a later one takes its place if it has not been stored yet.
    func take(_ progress: TaskProgress) {
        waiting = progress
        if writer == nil { writer = Task { await self.write() } }
    }

    /// Ends the writing; the report that the final transaction holds is the last one.
    func stop() {
        writer?.cancel()
    }

    private func write() async {
        let pause = Duration.milliseconds(1_000 / Limits.progressPerSecond)
        while let progress = waiting, !Task.isCancelled {
            waiting = nil
            // A progress report that cannot be stored is no reason to end a task: the next commit of its
            // outcome meets the same store and says so.
            try? await store.record(progress, id: id, attempt: attempt)
            feed.tell(id)
            try? await Task.sleep(for: pause)
        }
        writer = nil
    }
}
