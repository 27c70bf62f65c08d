import BulkheadAPI
import BulkheadCore
import BulkheadEngine
import Hummingbird

/// What happens, as server-sent events: to one task from its beginning, or to all from now on.
struct EventRoutes: Sendable {
    let supervisor: Supervisor
    let streams: ServerSentEvents

    func add(to table: RouteTable) {
        table.add("/v1/events", [.get: all])
        table.add("/v1/tasks/:id/events", [.get: ofTask])
    }

    @Sendable private func all(_ request: Request, _ context: CallContext) async throws -> Response {
        try request.refuseBody()
        _ = try Query(request)
        let storeID = try await supervisor.storeID()
        let place = try ServerSentEvents.place(in: request, storeID: storeID)
        let last = try await supervisor.lastSequence()
        return try stream(request, of: nil, storeID: storeID, from: place ?? last)
    }

    @Sendable private func ofTask(_ request: Request, _ context: CallContext) async throws -> Response {
        try request.refuseBody()
        _ = try Query(request)
        let id = try await supervisor.report(on: context.reference()).task.id.text
        let storeID = try await supervisor.storeID()
        let place = try ServerSentEvents.place(in: request, storeID: storeID)
        if let place {
            let page = try await supervisor.events(of: id, after: place, waiting: .zero)
            // The standard's way to tell a client that has had everything not to come again.
            if page.isEnd { return Response(status: .noContent) }
        }
        return try stream(request, of: id, storeID: storeID, from: place ?? 0)
    }

    private func stream(
        _ request: Request,
        of task: String?,
        storeID: String,
        from start: Int64
    ) throws(BulkheadError) -> Response {
        try streams.response(to: request, from: start) { [supervisor] after in
            let page = try await supervisor.events(
                of: task,
                after: after,
                waiting: .seconds(Limits.heartbeatSeconds)
            )
            let texts = page.events.map { event in
                ServerSentEvents.text(
                    storeID: storeID,
                    sequence: event.sequence,
                    event: EventJSON.name(of: event),
                    data: EventJSON.value(event)
                )
            }
            return ServerSentEvents.Part(text: texts.joined(), next: page.isEnd ? nil : page.next)
        }
    }
}
