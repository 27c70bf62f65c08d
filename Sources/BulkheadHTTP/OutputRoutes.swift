import BulkheadAPI
import BulkheadCore
import BulkheadEngine
import HTTPTypes
import Hummingbird

/// A task's output: pages of JSON, or plain text from where the call begins to what there is now.
struct OutputRoutes: Sendable {
    let supervisor: Supervisor

    func add(to table: RouteTable) {
        table.add("/v1/tasks/:id/output", [.get: output])
    }

    @Sendable private func output(_ request: Request, _ context: CallContext) async throws -> Response {
        try request.refuseBody()
        let query = try Query(request, "stream", "attempt", "offset", "limit", "after", "wait")
        let wanted = try Self.outputQuery(query)
        let reference = try context.reference()
        let atMost = try query.duration("wait") ?? .zero
        let page = try await firstPage(request, reference, wanted, atMost)
        let headers: HTTPFields = atMost > .zero ? .closing : [:]
        guard let page else { return Response(Problem(ProblemMiddleware.stopping), headers: headers) }
        guard Self.wantsText(request) else { return Response(OutputJSON.value(page), headers: headers) }
        return text(reference, wanted, page, onlyOne: query.text("limit") != nil, headers: headers)
    }

    /// The first page, waited for where the call says so; nil where the wait was cut short.
    private func firstPage(
        _ request: Request,
        _ reference: String,
        _ wanted: OutputQuery,
        _ atMost: Duration
    ) async throws -> OutputPage? {
        guard atMost > .zero else {
            return try await supervisor.output(of: reference, wanted, waiting: .zero)
        }
        return try await request.waiting { [supervisor] in
            try await supervisor.output(of: reference, wanted, waiting: atMost)
        }
    }

    /// Page after page is read only when the last one has been written, so a slow client costs one page.
    private func text(
        _ reference: String,
        _ wanted: OutputQuery,
        _ first: OutputPage,
        onlyOne: Bool,
        headers: HTTPFields
    ) -> Response {
        var headers = headers
        headers[.contentType] = "text/plain"
        headers[.xContentTypeOptions] = "nosniff"
        let body = ResponseBody { [supervisor] writer in
            var text = OutputText()
            var places = OutputPlaces()
            var page = first
            var query = wanted
            while !page.pieces.isEmpty {
                for piece in page.pieces {
                    guard let rest = places.unread(piece) else { continue }
                    try await writer.write(ByteBuffer(bytes: text.append(rest)))
                }
                if onlyOne || page.isEnd { break }
                query.goOn(behind: page)
                page = try await supervisor.output(of: reference, query, waiting: .zero)
            }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: headers, body: body)
    }

    private static func outputQuery(_ query: Query) throws(BulkheadError) -> OutputQuery {
        var wanted = OutputQuery()
        wanted.channel = try query.word("stream", as: OutputChannel.self)
        wanted.attempt = try query.number("attempt", in: 1...Int64(Int32.max)).map { Int($0) }
        wanted.offset = try query.number("offset", in: 0...(.max))
        wanted.after = try query.number("after", in: 0...(.max))
        if let limit = try query.number("limit", in: 1...Int64(Limits.outputPageBytes)) {
            wanted.limit = Int(limit)
        }
        guard wanted.offset == nil || wanted.channel != nil else {
            throw BulkheadError(
                .malformed,
                "an offset counts within one stream",
                advice: "add stream=stdout or stream=stderr"
            )
        }
        return wanted
    }

    private static func wantsText(_ request: Request) -> Bool {
        request.headers[.accept]?.lowercased().split(separator: ",").first?.contains("text/plain") ?? false
    }
}

extension OutputQuery {
    /// Asks for what comes behind a page, of the same attempt.
    fileprivate mutating func goOn(behind page: OutputPage) {
        attempt = page.attempt
        guard let last = page.pieces.last else { return }
        if channel == nil { after = last.sequence } else { offset = last.offset + last.length }
    }
}
