import BulkheadAPI
import BulkheadCore
import BulkheadEngine
import HTTPTypes
import Hummingbird
import ServiceLifecycle

/// Submitting, showing, waiting for, cancelling and removing tasks.
struct TaskRoutes: Sendable {
    let supervisor: Supervisor

    func add(to table: RouteTable) {
        table.add("/v1/tasks", [.get: list, .post: submit])
        table.add("/v1/tasks/batch", [.post: submitBatch])
        table.add("/v1/tasks/:id", [.get: show, .delete: remove])
        table.add("/v1/tasks/:id/cancel", [.post: cancel])
        table.add("/v1/tasks/:id/wait", [.get: wait])
    }

    @Sendable private func submit(_ request: Request, _ context: CallContext) async throws -> Response {
        var request = request
        let atMost = try Query(request, "wait").duration("wait")
        let bytes = try await request.bytes(upTo: Limits.bodyBytes)
        let submission = try SubmissionJSON.submission(bytes) { supervisor.newTaskID() }
        let outcome = try await supervisor.submit(submission)
        guard let atMost else { return Self.response(to: outcome, TaskJSON.value(outcome.task)) }
        let id = outcome.task.id.text
        let report = try await request.waiting { [supervisor] in
            try await supervisor.wait(for: id, atMost: atMost)
        }
        if let report { return Self.response(to: outcome, TaskJSON.value(report), headers: .closing) }
        // The submit is done whatever the wait came to, so the answer is never an error from here on.
        let current = try? await supervisor.report(on: id)
        let task = current.map { TaskJSON.value($0) } ?? TaskJSON.value(outcome.task)
        return Response(task, status: .accepted, headers: .closing)
    }

    @Sendable private func submitBatch(_ request: Request, _ context: CallContext) async throws -> Response {
        var request = request
        _ = try Query(request)
        let bytes = try await request.bytes(upTo: Limits.batchBytes)
        let read = try SubmissionJSON.batch(bytes) { supervisor.newTaskID() }
        var outcomes = try await supervisor.submit(batch: read.compactMap { try? $0.get() }).makeIterator()
        let merged = read.map { element in
            element.flatMap { _ in
                outcomes.next() ?? .failure(BulkheadError(.internal, "the task got no outcome"))
            }
        }
        return Response(.object(["outcomes": .array(merged.map(TaskJSON.value))]))
    }

    @Sendable private func list(_ request: Request, _ context: CallContext) async throws -> Response {
        try request.refuseBody()
        let query = try Query(request, "status", "type", "pool", "caller", "limit", "cursor")
        var filter = TaskFilter()
        filter.status = try query.word("status", as: TaskStatus.self)
        if let type = query.text("type") { filter.type = try TaskType(type) }
        if let pool = query.text("pool") { filter.pool = try PoolName(pool) }
        filter.caller = query.text("caller")
        if let limit = try query.number("limit", in: 1...Int64(Limits.listPage)) { filter.limit = Int(limit) }
        if let cursor = query.text("cursor") { filter.before = try TaskJSON.sequence(ofCursor: cursor) }
        let page = try await supervisor.tasks(filter)
        return Response(json: TaskJSON.bytes(of: page, atMost: Limits.listBytes))
    }

    @Sendable private func show(_ request: Request, _ context: CallContext) async throws -> Response {
        try request.refuseBody()
        _ = try Query(request)
        return Response(TaskJSON.value(try await supervisor.report(on: context.reference())))
    }

    @Sendable private func remove(_ request: Request, _ context: CallContext) async throws -> Response {
        try request.refuseBody()
        let query = try Query(request, "cancel", "discard")
        try await supervisor.remove(
            context.reference(),
            cancelFirst: query.flag("cancel"),
            discardMessages: query.flag("discard")
        )
        return Response(status: .noContent)
    }

    @Sendable private func cancel(_ request: Request, _ context: CallContext) async throws -> Response {
        _ = try Query(request)
        let report = try await supervisor.cancel(context.reference())
        return Response(TaskJSON.value(report), status: .accepted)
    }

    @Sendable private func wait(_ request: Request, _ context: CallContext) async throws -> Response {
        try request.refuseBody()
        let atMost = try Query(request, "timeout").duration("timeout") ?? .seconds(30)
        let reference = try context.reference()
        let report = try await request.waiting { [supervisor] in
            try await supervisor.wait(for: reference, atMost: atMost)
        }
        if let report { return Response(TaskJSON.value(report), headers: .closing) }
        guard !Task.isShuttingDownGracefully else {
            return Response(Problem(ProblemMiddleware.stopping), headers: .closing)
        }
        return Response(status: .noContent, headers: .closing)
    }

    private static func response(
        to outcome: SubmitOutcome,
        _ task: JSONValue,
        headers: HTTPFields = [:]
    ) -> Response {
        guard case .queued(let record) = outcome else { return Response(task, headers: headers) }
        var headers = headers
        headers[.location] = "/v1/tasks/\(record.id)"
        return Response(task, status: .created, headers: headers)
    }
}
