import BulkheadAPI
import BulkheadCore
import BulkheadEngine
import HTTPTypes
import Hummingbird
import ServiceLifecycle

/// What a controller needs: messages, their acknowledgement, and a snapshot for one that has lost touch.
struct OutboxRoutes: Sendable {
    let supervisor: Supervisor
    let streams: ServerSentEvents

    func add(to table: RouteTable) {
        table.add("/v1/outbox", [.get: messages])
        table.add("/v1/outbox/ack", [.post: acknowledge])
        table.add("/v1/snapshot", [.get: snapshot])
    }

    @Sendable private func messages(_ request: Request, _ context: CallContext) async throws -> Response {
        try request.refuseBody()
        let query = try Query(request, "limit", "after", "wait")
        let limit = try query.number("limit", in: 1...Int64(Limits.outboxPage)).map { Int($0) } ?? 100
        let after = try query.number("after", in: 0...(.max)) ?? 0
        let wait = try query.duration("wait") ?? .zero
        if ServerSentEvents.isWanted(by: request) { return try await stream(request, after: after) }
        guard wait > .zero else {
            return Response(OutboxJSON.value(try await page(after: after, limit: limit, waiting: .zero)))
        }
        let waited: OutboxPage? = try await request.waiting {
            try await self.page(after: after, limit: limit, waiting: wait)
        }
        guard let page = waited, !page.messages.isEmpty || !Task.isShuttingDownGracefully else {
            return Response(Problem(ProblemMiddleware.stopping), headers: .closing)
        }
        return Response(OutboxJSON.value(page), headers: .closing)
    }

    private func page(after: Int64, limit: Int, waiting: Duration) async throws -> OutboxPage {
        try await supervisor.messages(
            after: after,
            limit: limit,
            bytes: Limits.outputPageBytes,
            waiting: waiting
        )
    }

    private func stream(_ request: Request, after: Int64) async throws -> Response {
        let storeID = try await supervisor.storeID()
        let start = try ServerSentEvents.place(in: request, storeID: storeID) ?? after
        // An outbox that is off is told before the answer begins.
        _ = try await supervisor.messages(after: .max, limit: 1, bytes: 1, waiting: .zero)
        return try streams.response(to: request, from: start) { [supervisor] after in
            let page = try await supervisor.messages(
                after: after,
                limit: Limits.streamPage,
                bytes: Limits.streamPageBytes,
                waiting: .seconds(Limits.heartbeatSeconds)
            )
            let texts = page.messages.map { message in
                ServerSentEvents.text(
                    storeID: storeID,
                    sequence: message.sequence,
                    event: message.kind.rawValue,
                    data: OutboxJSON.value(message)
                )
            }
            return ServerSentEvents.Part(text: texts.joined(), next: page.next)
        }
    }

    @Sendable private func acknowledge(_ request: Request, _ context: CallContext) async throws -> Response {
        var request = request
        _ = try Query(request)
        let ids = try OutboxJSON.messageIDs(try await request.bytes(upTo: Limits.bodyBytes))
        return Response(OutboxJSON.value(try await supervisor.acknowledge(ids)))
    }

    @Sendable private func snapshot(_ request: Request, _ context: CallContext) async throws -> Response {
        try request.refuseBody()
        let query = try Query(request, "limit", "cursor")
        let most = Int64(Limits.snapshotPage)
        let limit = try query.number("limit", in: 1...most) ?? most
        var place = SpoolSnapshot.Place.beginning
        if let cursor = query.text("cursor") { place = try SnapshotJSON.place(ofCursor: cursor) }
        let report = try await supervisor.snapshot(from: place, limit: Int(limit))
        return Response(SnapshotJSON.value(report))
    }
}
