public import BulkheadCore
import BulkheadLaunch
import BulkheadStore

extension Supervisor {
    // MARK: Look

    /// A task with its attempts and what it waits for.
    /// - Parameter reference: An id or its unique beginning.
    /// - Returns: The task as it stands.
    /// - Throws: ``BulkheadError`` with `notFound` or, where a beginning is not unique, `malformed`.
    public func report(on reference: String) async throws(BulkheadError) -> TaskReport {
        try await report(on: try await find(reference))
    }

    /// A page of tasks, newest first.
    public func tasks(_ filter: TaskFilter) async throws(BulkheadError) -> TaskPage {
        var page = try await typed { try await store.tasks(filter) }
        page.tasks = page.tasks.map(dated)
        return page
    }

    /// Waits until a task is terminal, or in another status that the caller waits for.
    /// - Returns: The task; nil when the time has run out before.
    public func wait(
        for reference: String,
        until isReached: @escaping @Sendable (TaskStatus) -> Bool = \.isTerminal,
        atMost limit: Duration
    ) async throws(BulkheadError) -> TaskReport? {
        let id = try await find(reference).id
        let changes = feed.changes(of: id)
        return try await typed {
            try await Deadline.race(limit) {
                var next = changes.makeAsyncIterator()
                while true {
                    guard let task = try await self.store.task(id) else { throw Self.notFound(reference) }
                    if isReached(task.status) { return try await self.report(on: task) }
                    guard limit > .zero, await next.next() != nil else { return nil }
                }
            }
        }
    }

    /// A page of a task's output; waits while there is nothing new and the attempt goes on, or has still to begin.
    /// - Throws: ``BulkheadError`` with `notFound` where there is no such task, or where the attempt is not there and
    ///   does not begin any more.
    public func output(
        of reference: String,
        _ query: OutputQuery,
        waiting limit: Duration
    ) async throws(BulkheadError) -> OutputPage {
        let id = try await find(reference).id
        guard limit > .zero else { return try await typed { try await store.output(of: id, query) } }
        let changes = feed.changes(of: id)
        let page: OutputPage? = try await typed {
            try await Deadline.race(limit) {
                var next = changes.makeAsyncIterator()
                while true {
                    if let page = try await self.page(of: id, query), !page.pieces.isEmpty || page.isEnd {
                        return page
                    }
                    guard await next.next() != nil else { return nil }
                }
            }
        }
        if let page { return page }
        let rest = try await self.page(of: id, query)
        return rest ?? OutputPage(attempt: query.attempt ?? 0, pieces: [], isEnd: false)
    }

    /// A page of output; nil where its attempt has still to begin.
    private func page(of id: TaskID, _ query: OutputQuery) async throws(BulkheadError) -> OutputPage? {
        do {
            return try await store.output(of: id, query)
        } catch {
            guard error.code == .notFound, let attempt = query.attempt, let task = try await store.task(id),
                attempt > task.attempt, !task.status.isTerminal
            else { throw error }
            return nil
        }
    }

    // MARK: End

    /// Cancels a task: at once while it is queued, by a stop while it runs.
    /// - Returns: The task as it stands now.
    /// - Throws: ``BulkheadError`` with `wrongState` where it is terminal.
    public func cancel(_ reference: String) async throws(BulkheadError) -> TaskReport {
        let id = try await find(reference).id
        // A task on its way into or out of an attempt, or to which recovery has not come yet, says when it is there.
        var changes = feed.changes(of: id).makeAsyncIterator()
        repeat {
            guard let task = try await typed({ try await store.task(id) }) else {
                throw Self.notFound(reference)
            }
            guard !task.status.isTerminal else {
                throw BulkheadError(
                    .wrongState,
                    "task \(id) is \(task.status.rawValue) already and cannot be cancelled"
                )
            }
            if let report = try await cancel(task) { return report }
        } while await changes.next() != nil
        throw Self.stopping
    }

    private func cancel(_ task: TaskRecord) async throws(BulkheadError) -> TaskReport? {
        let error = TaskError(.cancelled, "cancelled while it was queued")
        let changed = try await typed {
            if task.status == .queued {
                return try await store.endQueued(
                    task.id,
                    event: .cancel,
                    error: error,
                    now: settings.clocks.wall()
                )
            }
            let marked = try await store.requestCancel(task.id)
            return await dispatcher.stop(task.id, .cancelled) ? marked : nil
        }
        guard let changed else { return nil }
        feed.tell(task.id)
        return try await report(on: changed)
    }

    /// Removes a terminal task with all that is kept of it.
    /// - Parameters:
    ///   - reference: An id or its unique beginning.
    ///   - cancelFirst: Whether a task that is not terminal is cancelled first.
    ///   - discardMessages: Whether messages that nobody has acknowledged go with it.
    /// - Throws: ``BulkheadError`` with `wrongState` where it is not terminal or has such messages.
    public func remove(
        _ reference: String,
        cancelFirst: Bool,
        discardMessages: Bool
    ) async throws(BulkheadError) {
        let task = try await find(reference)
        if cancelFirst, !task.status.isTerminal {
            do {
                _ = try await cancel(task.id.text)
            } catch  where error.code == .wrongState {
                // It has ended by itself in the meantime, which is just as well.
            }
            _ = try await wait(for: task.id.text, atMost: .seconds(Limits.waitSeconds))
        }
        switch try await typed({ try await store.remove(task.id, discardingMessages: discardMessages) }) {
        case .removed: feed.tell(task.id)
        case .notFound: throw Self.notFound(reference)
        case .notTerminal:
            throw BulkheadError(
                .wrongState,
                "task \(task.id) is \(task.status.rawValue) and cannot be removed",
                advice: "cancel it first, or remove it with cancel"
            )
        case .unacknowledged:
            throw BulkheadError(
                .wrongState,
                "task \(task.id) has messages that were not acknowledged",
                advice: "acknowledge them, or remove it with discard"
            )
        }
    }

    // MARK: Parts

    private func report(on task: TaskRecord) async throws(BulkheadError) -> TaskReport {
        try await typed {
            var report = TaskReport(
                task: dated(task),
                attempts: try await store.attempts(of: task.id, limit: Limits.attemptsShown)
            )
            if task.status == .queued {
                report.queuePosition = try await store.queuePosition(of: task)
                report.waitingFor = await obstacle(for: task)
            }
            return report
        }
    }

    /// The task with the date of its next try, where it waits for one, as the wall clock stands now.
    private func dated(_ task: TaskRecord) -> TaskRecord {
        guard let end = task.waitUntil else { return task }
        var dated = task
        dated.notBefore = settings.clocks.date(of: end)
        return dated
    }

    private func obstacle(for task: TaskRecord) async -> String? {
        if phase == .recovering { return "the end of recovery" }
        if let end = task.waitUntil {
            if end > settings.clocks.steady() { return "its next try at \(settings.clocks.date(of: end))" }
        } else if let date = task.notBefore, date > settings.clocks.wall() {
            return "its notBefore, \(date)"
        }
        if let reason = await dispatcher.obstacle(in: task.pool) { return reason }
        if let shortage = store.diskShortage {
            return "room on the disk of the state folder (\(shortage.cause ?? shortage.message))"
        }
        return try? await store.room().obstacle
    }

    func find(_ reference: String) async throws(BulkheadError) -> TaskRecord {
        if let id = try? TaskID(reference) {
            guard let task = try await typed({ try await store.task(id) }) else {
                throw Self.notFound(reference)
            }
            return task
        }
        guard TaskID.isBeginning(reference) else {
            throw BulkheadError(
                .malformed,
                "\"\(reference.cut(toBytes: 64))\" is neither an id nor the beginning of one",
                advice: "give a UUID or at least \(Limits.idPrefixCharacters) characters of its beginning"
            )
        }
        let ids = try await typed { try await store.tasks(beginning: reference.lowercased(), limit: 3) }
        guard let id = ids.first else { throw Self.notFound(reference) }
        guard ids.count == 1, let task = try await typed({ try await store.task(id) }) else {
            throw BulkheadError(
                .malformed,
                "several ids begin with \(reference)",
                advice: "give more characters: \(ids.map(\.text).joined(separator: ", "))"
            )
        }
        return task
    }

    private static func notFound(_ reference: String) -> BulkheadError {
        BulkheadError(
            .notFound,
            "there is no task \(reference.cut(toBytes: 64))",
            advice: "bulkhead list shows those that are kept"
        )
    }

    /// Runs a step whose errors are ours, and says so in its type.
    func typed<Value: Sendable>(
        _ step: () async throws -> Value
    ) async throws(BulkheadError) -> Value {
        do {
            return try await step()
        } catch let error as BulkheadError {
            throw error
        } catch {
            throw BulkheadError(.internal, "\(error)")
        }
    }
}
