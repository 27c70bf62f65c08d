public import BulkheadCore
import BulkheadPolicy
import BulkheadStore

extension Supervisor {
    /// A new id, a UUID of version 7.
    public func newTaskID() -> TaskID {
        TaskID(milliseconds: settings.clocks.wall().milliseconds, random: settings.clocks.randomBits())
    }

    /// Submits a task; when this returns, the task survives a crash and a loss of power.
    /// - Returns: What the submit did, by contract §3.
    /// - Throws: ``BulkheadError`` where it was refused.
    public func submit(_ submission: Submission) async throws(BulkheadError) -> SubmitOutcome {
        guard let outcome = try await submit(batch: [submission]).first else {
            throw BulkheadError(.internal, "a submit got no answer")
        }
        return try outcome.get()
    }

    /// Submits tasks in one transaction; one that is refused costs the others nothing.
    /// - Returns: An answer for each, in order.
    /// - Throws: ``BulkheadError`` where none could be taken.
    public func submit(
        batch: [Submission]
    ) async throws(BulkheadError) -> [Result<SubmitOutcome, BulkheadError>] {
        guard phase != .stopping else { throw Self.stopping }
        // Before that every type would be unknown, which a caller takes for the last word.
        guard catalog.isRead else { throw Self.starting }
        let catalog = await freshCatalog(for: Set(batch.map(\.type)))
        let now = settings.clocks.wall()
        var answers: [Result<SubmitOutcome, BulkheadError>?] = []
        var requests: [SubmitRequest] = []
        for submission in batch {
            switch await request(for: submission, in: catalog, now: now) {
            case .success(let request):
                requests.append(request)
                answers.append(nil)
            case .failure(let error):
                answers.append(.failure(error))
            }
        }
        var stored = try await typed { try await store.submit(requests) }[...]
        let all = answers.map { $0 ?? stored.removeFirst() }
        let queued = all.compactMap { if case .success(.queued(let task)) = $0 { task.id } else { nil } }
        for id in queued { feed.tell(id) }
        if !queued.isEmpty { dispatcher.wake() }
        return all
    }

    /// What the store is asked for a submission, or why it is refused.
    ///
    /// A type that is refused now still answers for an id that exists, since such a submit starts nothing.
    private func request(
        for submission: Submission,
        in catalog: Catalog,
        now: Timestamp
    ) async -> Result<SubmitRequest, BulkheadError> {
        let refusal: BulkheadError
        switch catalog.resolve(submission.type) {
        case .ready(let entry):
            return .success(
                SubmitRequest(
                    submission: submission,
                    pool: entry.policy.pool,
                    priority: submission.priority ?? entry.policy.priority,
                    queueLimit: catalog.settings(of: entry.policy.pool).queueLimit,
                    now: now
                )
            )
        case .refused(let reason): refusal = reason.error
        case .unknown: refusal = catalog.unknownType(submission.type)
        }
        guard let existing = try? await store.task(submission.id) else { return .failure(refusal) }
        let decision = SubmitRule.decide(
            existing: SubmitRule.Existing(
                status: existing.status,
                type: existing.type,
                params: existing.params
            ),
            type: submission.type,
            params: submission.params
        )
        switch decision {
        case .returnExisting, .refuse:
            return .success(
                SubmitRequest(
                    submission: submission,
                    pool: existing.pool,
                    priority: existing.priority,
                    queueLimit: 0,
                    now: now
                )
            )
        case .create, .runAgain: return .failure(refusal)
        }
    }

    private static let starting = BulkheadError(
        .unavailable,
        "the supervisor is starting and has not read its handlers yet",
        advice: "try again in a moment",
        retryAfterSeconds: 1
    )

    static let stopping = BulkheadError(
        .unavailable,
        "the supervisor is stopping and takes no new work",
        advice: "try again when it has been started again",
        retryAfterSeconds: 5
    )
}
