public import BulkheadCore
import GRDB

extension Store {
    /// Seconds after which a submit to a full queue is worth another try.
    private static let queueFullRetrySeconds = 5

    /// Submits tasks, all in one transaction, each by ``SubmitRule`` and none at another's cost.
    /// - Parameter requests: What is asked for.
    /// - Returns: An outcome for each in order; a refusal is an error with the code `conflict`, `queueFull`
    ///   or `noReserve`.
    /// - Throws: ``BulkheadError`` where nothing of it could be stored.
    public func submit(
        _ requests: [SubmitRequest]
    ) async throws(BulkheadError) -> [Result<SubmitOutcome, BulkheadError>] {
        let prepared = requests.map(PreparedSubmit.init)
        let bytes = prepared.reduce(0) { $0 + $1.params.utf8.count + ($1.metadata?.utf8.count ?? 0) }
        let rows: [Submitted]
        do {
            rows = try await store(prepared, bytes: bytes, refusal: await refusalOfSubmits())
        } catch  where error.code == .noReserve {
            // The disk has no room for them; a submit that queues nothing is answered all the same.
            rows = try await store(prepared, bytes: 0, refusal: error)
        }
        var outcomes: [Result<SubmitOutcome, BulkheadError>] = []
        count { counters in
            for row in rows { counters.submits[row.kind, default: 0] += 1 }
        }
        for row in rows {
            switch row {
            case .queued(let row): outcomes.append(.success(.queued(try row.parsed())))
            case .existing(let row): outcomes.append(.success(.existing(try row.parsed())))
            case .refused(let error): outcomes.append(.failure(error))
            }
        }
        return outcomes
    }

    private func refusalOfSubmits() async -> BulkheadError? {
        if let refusal = writer.pressure.refusal { return refusal }
        return await refusalByDisk()
    }

    private func store(
        _ submits: [PreparedSubmit],
        bytes: Int,
        refusal: BulkheadError?
    ) async throws(BulkheadError) -> [Submitted] {
        let settings = self.settings
        return try await writer.commit(bytes: bytes, for: refusal == nil ? .growth : .relief) { db in
            let noRoom = try refusal ?? settings.room(db).refusal
            return try submits.map { try Self.submit($0, noRoom, outboxOn: settings.outboxOn, db) }
        }
    }

    /// A submit whose JSON is text already, so that the writer's thread does not make it.
    private struct PreparedSubmit: Sendable {
        var request: SubmitRequest
        var params: String
        var metadata: String?

        init(_ request: SubmitRequest) {
            self.request = request
            params = request.submission.params.text
            metadata = request.submission.metadata?.text
        }

        var isReady: Bool { request.submission.notBefore.map { $0 <= request.now } ?? true }
    }

    private enum Submitted: Sendable {
        case queued(TaskRow)
        case existing(TaskRow)
        case refused(BulkheadError)

        var kind: StoreCounters.Submit {
            switch self {
            case .queued: .queued
            case .existing: .existing
            case .refused: .refused
            }
        }
    }

    private static func submit(
        _ submit: PreparedSubmit,
        _ noRoom: BulkheadError?,
        outboxOn: Bool,
        _ db: Database
    ) throws -> Submitted {
        let submission = submit.request.submission
        let row = try TaskRow.fetch(db, id: submission.id)
        let existing = try row.map { row in
            SubmitRule.Existing(
                status: row.record.status,
                type: row.record.type,
                // The same text is the same value; only another text has to be looked into.
                params: row.params == submit.params ? submission.params : try StoredJSON.value(row.params)
            )
        }
        switch (SubmitRule.decide(existing: existing, type: submission.type, params: submission.params), row)
        {
        case (.refuse, let row?): return .refused(conflict(row.record, submission.type))
        case (.returnExisting, let row?): return .existing(row)
        case (.runAgain, let row?):
            if let error = try noRoom ?? queueIsFull(submit, db) { return .refused(error) }
            try Outbox.keepBeginning(of: row, db)
            try runAgain(submit, key: row.key, outboxOn: outboxOn, db)
            return .queued(try TaskRow.fetch(db, key: row.key))
        default:
            if let error = try noRoom ?? queueIsFull(submit, db) { return .refused(error) }
            return .queued(try TaskRow.fetch(db, key: try create(submit, outboxOn: outboxOn, db)))
        }
    }

    private static func create(
        _ submit: PreparedSubmit,
        outboxOn: Bool,
        _ db: Database
    ) throws -> Int64 {
        let request = submit.request
        let submission = request.submission
        let number = try Ledger.next(db)
        try db.run(
            """
            INSERT INTO task (key, sequence, id, type, pool, status, ready, priority, caller, submittedAt,
                notBefore, expiresAt, receivedAcknowledged)
            VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                number, number, submission.id.text, submission.type.name, request.pool.name,
                submit.isReady, request.priority, submission.caller, request.now.milliseconds,
                submission.notBefore?.milliseconds, submission.expiresAt?.milliseconds,
                outboxOn ? 0 : nil,
            ]
        )
        try db.run(
            "INSERT INTO input (task, params, metadata) VALUES (?, ?, ?)",
            [number, submit.params, submit.metadata]
        )
        return number
    }

    /// Begins a new run at the end of the queue; attempts and output of the runs before stay.
    private static func runAgain(
        _ submit: PreparedSubmit,
        key: Int64,
        outboxOn: Bool,
        _ db: Database
    ) throws {
        let request = submit.request
        let submission = request.submission
        let isTerminal = try db.changes(
            """
            UPDATE task SET sequence = ?, pool = ?, status = 'queued', ready = ?, run = run + 1,
                lossesInRow = 0, retries = 0, priority = ?, caller = ?, submittedAt = ?, notBefore = ?,
                expiresAt = ?, startedAt = NULL, completedAt = NULL, progressFraction = NULL,
                progressMessage = NULL, result = NULL, error = NULL, deniedSyscalls = NULL, usage = NULL,
                warnings = NULL, cancelRequested = 0, waitingFor = NULL, waitUntil = NULL, waitLength = NULL,
                receivedAcknowledged = ?, startedSequence = NULL, startedAttempt = NULL,
                runStartedAt = NULL, startedAcknowledged = NULL
            WHERE key = ? AND status IN ('failed', 'cancelled', 'interrupted')
            """,
            [
                try Ledger.next(db), request.pool.name, submit.isReady, request.priority,
                submission.caller, request.now.milliseconds, submission.notBefore?.milliseconds,
                submission.expiresAt?.milliseconds, outboxOn ? 0 : nil, key,
            ]
        )
        guard isTerminal else { throw DatabaseError.damaged("the table task") }
        try db.run("UPDATE input SET metadata = ? WHERE task = ?", [submit.metadata, key])
    }

    private static func queueIsFull(_ submit: PreparedSubmit, _ db: Database) throws -> BulkheadError? {
        guard let limit = submit.request.queueLimit else { return nil }
        let pool = submit.request.pool
        let queued = try db.first(
            "SELECT tasks FROM tally WHERE pool = ? AND status = 'queued'",
            [pool.name]
        ) { try $0.count() }
        guard (queued ?? 0) >= limit else { return nil }
        return BulkheadError(
            .queueFull,
            "the queue of the pool \(pool) is full: \(limit) tasks wait, its queue-limit",
            advice: "submit again when some have started",
            retryAfterSeconds: queueFullRetrySeconds
        )
    }

    private static func conflict(_ existing: TaskRecord, _ type: TaskType) -> BulkheadError {
        let difference = existing.type == type ? " with other params" : ", not \(type)"
        return BulkheadError(
            .conflict,
            "the id \(existing.id) belongs to a task of type \(existing.type)\(difference)",
            advice: "use another id, or leave it out to have one made"
        )
    }
}
