import BulkheadAPI
import BulkheadCore
import HTTPTypes
import HummingbirdCore
import NIOCore
import NIOHTTP1
import NIOHTTPTypes

/// Stands before one connection: keeps out processes of our own attempts, answers `Expect: 100-continue`, says
/// why what is no HTTP is refused, and closes on clients that send or take too slowly.
///
/// Until its headers are there a request is bounded by the server's idle time; from then on by this.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let isRefused: @Sendable (PeerCredentials) -> Bool
    private var refuses = false
    /// Why what came cannot be read on; the server's answer to it, which is bare, comes after all others.
    private var parserError: HTTPParserError?
    private var isReading = false
    /// Requests whose head has come, and answers that were written to their end.
    private var counts = (requests: 0, answers: 0)
    private var closesAfterAnswer = false
    private var requestDeadline: Scheduled<Void>?
    private var answerDeadline: Scheduled<Void>?
    private var stallDeadline: Scheduled<Void>?

    /// - Parameter isRefused: Whether nothing of this peer is to be answered; asked once.
    init(isRefused: @escaping @Sendable (PeerCredentials) -> Bool) {
        self.isRefused = isRefused
    }

    /// The peer is asked for at once, since its process may be gone a moment later.
    func handlerAdded(context: ChannelHandlerContext) {
        guard case .unixDomainSocket? = context.channel.localAddress,
            let credentials = PeerCredentials.read(of: context.channel)
        else { return }
        credentials.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let peer): self.refuses = self.isRefused(peer)
            case .failure: self.refuses = true
            }
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        requestDeadline?.cancel()
        answerDeadline?.cancel()
        stallDeadline?.cancel()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        guard !refuses else {
            if case .head = part { refuse(context) }
            return
        }
        switch part {
        case .head(let request):
            isReading = true
            counts.requests += 1
            requestDeadline = close(context, after: Limits.requestSeconds)
            invite(request, context)
        case .body: break
        case .end:
            isReading = false
            requestDeadline?.cancel()
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let response):
            closesAfterAnswer = response.headerFields[.connection] == "close"
            if let parserError, response.status == .badRequest, response.headerFields[.contentLength] == "0" {
                writeProblem(Self.problem(parserError), context)
            } else {
                context.write(data, promise: promise)
            }
        case .body: context.write(data, promise: promise)
        case .end: writeEnd(context, data, promise)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? HTTPParserError { parserError = error }
        context.fireErrorCaught(error)
    }

    /// A client that takes nothing for long while there is more to come is as good as gone.
    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stallDeadline?.cancel()
        stallDeadline = context.channel.isWritable ? nil : close(context, after: Limits.answerSeconds)
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent { _ = close(context, after: Limits.lingerSeconds) }
        context.fireUserInboundEventTriggered(event)
    }

    /// Says that the body is welcome, since clients such as curl wait a second for that word.
    private func invite(_ request: HTTPRequest, _ context: ChannelHandlerContext) {
        guard request.headerFields[.expect]?.lowercased() == "100-continue",
            Int(request.headerFields[.contentLength] ?? "0").map({ $0 <= Limits.batchBytes }) ?? false
        else { return }
        context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
    }

    /// Bounds how long the client takes the answer's rest, and what it still sends of a request that is
    /// answered already.
    private func writeEnd(
        _ context: ChannelHandlerContext,
        _ data: NIOAny,
        _ promise: EventLoopPromise<Void>?
    ) {
        let promise = promise ?? context.eventLoop.makePromise()
        let deadline = close(context, after: Limits.answerSeconds)
        answerDeadline = deadline
        promise.futureResult.whenComplete { _ in deadline.cancel() }
        counts.answers += 1
        if closesAfterAnswer || isReading && counts.answers == counts.requests {
            requestDeadline?.cancel()
            requestDeadline = close(context, after: Limits.lingerSeconds)
        }
        context.write(data, promise: promise)
    }

    private func refuse(_ context: ChannelHandlerContext) {
        let problem = Problem(
            BulkheadError(
                .forbidden,
                "the API is not for processes of Bulkhead's own tasks",
                advice: "send results and progress over file descriptor 3 instead"
            )
        )
        writeProblem(problem, context)
        let written = context.eventLoop.makePromise(of: Void.self)
        let channel = context.channel
        written.futureResult.whenComplete { _ in channel.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
    }

    /// Writes an answer that the connection does not outlive, but for its end.
    private func writeProblem(_ problem: Problem, _ context: ChannelHandlerContext) {
        var head = Response(problem).head
        head.headerFields[.connection] = "close"
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(ByteBuffer(bytes: Response.text(problem)))), promise: nil)
    }

    private static func problem(_ error: HTTPParserError) -> Problem {
        guard error == .headerOverflow else {
            return Problem(BulkheadError(.malformed, "this is not HTTP/1.1", cause: "\(error)"))
        }
        let limit = Quantities.text(bytes: Int64(Limits.headerBytes))
        return Problem(
            status: 431,
            kind: BulkheadError.Code.tooLarge.rawValue,
            title: "The request's headers are too large",
            detail: "path and headers may have \(limit) in \(Limits.headerFields) fields",
            advice: "send fewer or shorter ones; what is large goes into the body"
        )
    }

    /// Closes the connection later, unless what is returned is cancelled before.
    private func close(_ context: ChannelHandlerContext, after seconds: Int) -> Scheduled<Void> {
        let channel = context.channel
        return context.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) { channel.close(promise: nil) }
    }
}
