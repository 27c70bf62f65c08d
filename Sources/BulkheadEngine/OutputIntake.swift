import BulkheadCore
import BulkheadLaunch
import BulkheadPolicy
import BulkheadStore
import Logging

/// Takes an attempt's output into the store and acknowledges it once it is committed.
///
/// One commit is under way at a time; what arrives meanwhile goes into the next one, in order. The launcher's
/// window bounds what waits here.
actor OutputIntake {
    private let task: TaskRecord
    private let attempt: Int
    private let policy: OutputPolicy
    private let clocks: Clocks
    private let store: Store
    private let tell: @Sendable (SupervisorMessage) -> Void
    private let live: LiveAttempt
    private let feed: TaskFeed
    private let persistence: Persistence
    private var waiting: [OutputChunk] = []
    private var commit: Task<Void, Never>?
    private var failure: (any Error)?

    init(
        task: TaskRecord,
        policy: OutputPolicy,
        clocks: Clocks,
        store: Store,
        live: LiveAttempt,
        feed: TaskFeed,
        logger: Logger,
        tell: @escaping @Sendable (SupervisorMessage) -> Void
    ) {
        self.task = task
        self.attempt = task.attempt
        self.policy = policy
        self.clocks = clocks
        self.store = store
        self.tell = tell
        self.live = live
        self.feed = feed
        persistence = Persistence(live: live, logger: logger)
    }

    /// Takes bytes of a stream; they are in the store some time later.
    func take(_ bytes: [UInt8], from stream: OutputStream, at offset: UInt64) {
        append(
            OutputChunk(
                id: task.id,
                attempt: attempt,
                channel: stream == .stdout ? .stdout : .stderr,
                offset: Int64(offset),
                bytes: bytes,
                taskLimit: policy.limit,
                at: clocks.wall()
            )
        )
        if commit == nil { commit = Task { await self.commitWaiting() } }
    }

    /// Waits until everything taken so far is committed.
    /// - Throws: What the store said, if it could not take it.
    func flush() async throws {
        await commit?.value
        if let failure { throw failure }
    }

    private func append(_ chunk: OutputChunk) {
        if let last = waiting.last, last.channel == chunk.channel,
            last.offset + Int64(last.bytes.count) == chunk.offset,
            last.bytes.count + chunk.bytes.count <= LaunchLimits.outputPacketBytes
        {
            waiting[waiting.count - 1].bytes.append(contentsOf: chunk.bytes)
        } else {
            waiting.append(chunk)
        }
    }

    private func commitWaiting() async {
        while !waiting.isEmpty, failure == nil {
            let batch = waiting
            waiting = []
            do {
                let outcome = try await persistence.write { [store] () throws(BulkheadError) in
                    try await store.append(batch)
                }
                acknowledge(batch)
                feed.tell(task.id)
                let written = outcome.entries.map(\.attemptBytes).max() ?? 0
                if policy.onLimit == .fail, written > policy.limit { live.stop(.outputLimit) }
            } catch {
                failure = error
            }
        }
        commit = nil
    }

    private func acknowledge(_ batch: [OutputChunk]) {
        for stream in OutputStream.allCases {
            let channel: OutputChannel = stream == .stdout ? .stdout : .stderr
            guard let last = batch.last(where: { $0.channel == channel }) else { continue }
            tell(
                .outputAck(
                    attempt: UInt64(attempt),
                    stream: stream,
                    offset: UInt64(last.offset + Int64(last.bytes.count))
                )
            )
        }
    }
}
