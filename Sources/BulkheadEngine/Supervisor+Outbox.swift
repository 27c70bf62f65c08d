public import BulkheadCore
import BulkheadStore

extension Supervisor {
    /// Between two looks of somebody who waits, so that many commits in a row are one look.
    private static let lookPause = Duration.milliseconds(10)

    /// Eight hexadecimal digits that tell this supervisor's database from every other.
    public func storeID() async throws(BulkheadError) -> String {
        try await typed { try await store.storeID() }
    }

    // MARK: Outbox

    /// Messages that no controller has acknowledged, in order; waits while there is none.
    /// - Parameters:
    ///   - after: Only those behind this sequence number.
    ///   - limit: At most this many.
    ///   - bytes: Bytes after which the page ends early.
    ///   - wait: How long to wait for the first.
    /// - Returns: The page, empty where none came in time.
    /// - Throws: ``BulkheadError`` with `wrongState` where the outbox is off.
    public func messages(
        after: Int64,
        limit: Int,
        bytes: Int,
        waiting wait: Duration
    ) async throws(BulkheadError) -> OutboxPage {
        try confirmOutbox()
        let page = try await waiting(wait, for: store.commits()) { [store] in
            let page = try await store.messages(after: after, limit: limit, bytes: bytes)
            return page.messages.isEmpty ? nil : page
        }
        return page ?? OutboxPage(messages: [], next: after)
    }

    /// Acknowledges messages, in any order and as often as one likes.
    /// - Parameter ids: Their names.
    /// - Returns: Which are known.
    /// - Throws: ``BulkheadError`` with `wrongState` where the outbox is off.
    public func acknowledge(_ ids: [String]) async throws(BulkheadError) -> AcknowledgeOutcome {
        try confirmOutbox()
        let now = settings.clocks.wall()
        let outcome = try await typed { try await store.acknowledge(ids, now: now) }
        // Finals that are acknowledged give room back, for which submits and starts may wait.
        dispatcher.wake()
        return outcome
    }

    private func confirmOutbox() throws(BulkheadError) {
        guard !settings.outboxIsOn else { return }
        throw BulkheadError(
            .wrongState,
            "the outbox is off, so nothing waits to be acknowledged",
            advice: "start the supervisor with --outbox on"
        )
    }

    /// A page of what a controller needs that has lost touch.
    /// - Parameters:
    ///   - place: Where the page begins.
    ///   - limit: Entries that each of its lists has at most.
    /// - Returns: The page.
    /// - Throws: ``BulkheadError`` where the store could not be read.
    public func snapshot(
        from place: SpoolSnapshot.Place,
        limit: Int
    ) async throws(BulkheadError) -> SnapshotReport {
        SnapshotReport(
            page: try await typed { try await store.snapshot(from: place, limit: limit) },
            phase: phase,
            spoolCap: settings.spoolCap,
            outboxIsOn: settings.outboxIsOn,
            historyLost: store.historyLoss
        )
    }

    // MARK: Events

    /// Where those begin who watch everything from now on.
    public func lastSequence() async throws(BulkheadError) -> Int64 {
        try await typed { try await store.lastSequence() }
    }

    /// What has happened since; waits while there is nothing.
    /// - Parameters:
    ///   - reference: Of this task alone; nil is all.
    ///   - after: Only what lies behind this sequence number.
    ///   - wait: How long to wait for the first.
    /// - Returns: The page, empty where nothing came in time.
    /// - Throws: ``BulkheadError`` with `notFound` where that task is not there.
    public func events(
        of reference: String?,
        after: Int64,
        waiting wait: Duration
    ) async throws(BulkheadError) -> EventPage {
        var id: TaskID?
        if let reference { id = try await find(reference).id }
        let changes = id.map { feed.changes(of: $0) } ?? store.commits()
        let page = try await waiting(wait, for: changes) { [store, id] in
            let page = try await store.events(
                of: id,
                after: after,
                limit: Limits.streamPage,
                bytes: Limits.streamPageBytes
            )
            return page.events.isEmpty && !page.isEnd ? nil : page
        }
        return page ?? EventPage(events: [], next: after, isEnd: false)
    }

    /// Looks at once, and again after each change, until there is something or the time has run out.
    private func waiting<Value: Sendable>(
        _ limit: Duration,
        for changes: AsyncStream<Void>,
        _ look: @escaping @Sendable () async throws -> Value?
    ) async throws(BulkheadError) -> Value? {
        try await typed {
            try await Deadline.race(limit) {
                var next = changes.makeAsyncIterator()
                while true {
                    if let value = try await look() { return value }
                    guard limit > .zero, await next.next() != nil else { return nil }
                    // Cut short where nobody waits any more; the next change is none then.
                    try? await Task.sleep(for: Self.lookPause)
                }
            }
        }
    }
}
