import BulkheadAPI
import BulkheadCore
import BulkheadEngine
import FoundationEssentials
import Hummingbird

/// What an operator and a load balancer ask for.
struct OperatorRoutes: Sendable {
    let supervisor: Supervisor

    func add(to table: RouteTable) {
        table.add("/v1/pools", [.get: pools])
        table.add("/v1/plugins", [.get: plugins])
        table.add("/v1/status", [.get: status])
        table.add("/v1/prune", [.post: prune])
        for path: RouterPath in ["/livez", "/v0/livez"] { table.add(path, [.get: livez]) }
        for path: RouterPath in ["/healthz", "/v0/healthz"] { table.add(path, [.get: healthz]) }
        table.addLater(
            "/v1/pools/:name",
            "/v1/pools/:name/reset",
            "/metrics"
        )
    }

    @Sendable private func pools(_ request: Request, _ context: CallContext) async throws -> Response {
        _ = try Query(request)
        return Response(StatusJSON.value(try await supervisor.pools()))
    }

    @Sendable private func plugins(_ request: Request, _ context: CallContext) async throws -> Response {
        _ = try Query(request)
        return Response(StatusJSON.value(await supervisor.plugins()))
    }

    @Sendable private func status(_ request: Request, _ context: CallContext) async throws -> Response {
        _ = try Query(request)
        return Response(StatusJSON.value(try await supervisor.report(), now: supervisor.steadyNow))
    }

    @Sendable private func prune(_ request: Request, _ context: CallContext) async throws -> Response {
        try request.refuseBody()
        let query = try Query(request, "olderThan", "type", "dryRun", "cursor")
        var prune = PruneRequest(dryRun: try query.flag("dryRun"))
        if let text = query.text("olderThan") { prune.olderThan = try Quantities.duration(text) }
        if let text = query.text("type") { prune.type = try TaskType(text) }
        prune.cursor = try query.text("cursor").map { text throws(BulkheadError) in
            guard let cursor = PruneCursor(text) else {
                throw BulkheadError(
                    .malformed,
                    "this is no cursor of Bulkhead's",
                    advice: "send the cursor of the answer before, or none to begin anew"
                )
            }
            return cursor
        }
        return Response(StatusJSON.value(try await supervisor.prune(prune)))
    }

    /// Alive is who answers and whose store answers, whether it takes work or not.
    @Sendable private func livez(_ request: Request, _ context: CallContext) async throws -> Response {
        guard await supervisor.storeAnswers() else {
            throw BulkheadError(.storage, "the store does not answer", advice: "see the supervisor's log")
        }
        return Response(.object(["status": .string("alive")]))
    }

    @Sendable private func healthz(_ request: Request, _ context: CallContext) async throws -> Response {
        let phase = supervisor.phase
        guard phase == .ready else {
            throw BulkheadError(.unavailable, "the supervisor is \(phase.rawValue), not ready")
        }
        return Response(.object(["status": .string(phase.rawValue)]))
    }
}
