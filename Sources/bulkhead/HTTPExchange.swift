import NIOCore
import NIOHTTP1
import NIOPosix

/// An answer as it came.
struct HTTPAnswer: Sendable {
    var status: Int
    var headers: HTTPHeaders
    var body: [UInt8]
}

/// Why no answer came.
enum HTTPFailure: Error {
    /// Longer than the time for this call.
    case tookTooLong
    /// More bytes than an answer may have.
    case tooLarge
    /// The other end closed before it had answered.
    case closed
}

/// One request and its answer over a Unix socket of its own.
enum HTTPExchange {
    /// Bytes of the largest answer that is read.
    static let answerBytes = 256 << 20
    private static let connectTime = TimeAmount.seconds(10)

    /// Connects, sends the request, and collects the answer.
    /// - Parameters:
    ///   - head: The request; length and connection headers are added here.
    ///   - body: The request's body.
    ///   - path: The socket.
    ///   - time: The longest that the answer may take.
    /// - Returns: The answer, whatever its status.
    /// - Throws: `IOError` where there is no connection, ``HTTPFailure`` where there is no answer.
    static func run(
        _ head: HTTPRequestHead,
        body: [UInt8],
        socket path: String,
        atMost time: Duration
    ) async throws -> HTTPAnswer {
        let group = MultiThreadedEventLoopGroup.singleton
        let answer = group.next().makePromise(of: HTTPAnswer.self)
        do {
            let channel = try await ClientBootstrap(group: answer.futureResult.eventLoop)
                .connectTimeout(connectTime)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        try channel.pipeline.syncOperations.addHandler(AnswerCollector(answer))
                    }
                }
                .connect(unixDomainSocketPath: path).get()
            let timeout = channel.eventLoop.scheduleTask(in: TimeAmount(time)) {
                answer.fail(HTTPFailure.tookTooLong)
            }
            send(head, body: body, to: channel)
            defer {
                timeout.cancel()
                channel.close(promise: nil)
            }
            return try await answer.futureResult.get()
        } catch {
            answer.fail(error)
            throw error
        }
    }

    /// A peer that refuses early may close while we still write, so what counts is the answer, not the write.
    private static func send(_ head: HTTPRequestHead, body: [UInt8], to channel: any Channel) {
        var head = head
        head.headers.replaceOrAdd(name: "Connection", value: "close")
        head.headers.replaceOrAdd(name: "Content-Length", value: "\(body.count)")
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
    }
}

private final class AnswerCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let promise: EventLoopPromise<HTTPAnswer>
    private var answer: HTTPAnswer?

    init(_ promise: EventLoopPromise<HTTPAnswer>) { self.promise = promise }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head) where head.status.code >= 200:
            answer = HTTPAnswer(status: Int(head.status.code), headers: head.headers, body: [])
        case .head: break
        case .body(let buffer):
            guard (answer?.body.count ?? 0) + buffer.readableBytes <= HTTPExchange.answerBytes else {
                promise.fail(HTTPFailure.tooLarge)
                context.close(promise: nil)
                return
            }
            answer?.body.append(contentsOf: buffer.readableBytesView)
        case .end:
            guard let answer else { return }
            promise.succeed(answer)
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(HTTPFailure.closed)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A broken pipe while we write a body says nothing of the answer that may already be on its way.
        guard !(error is IOError) else { return }
        promise.fail(error)
        context.close(promise: nil)
    }
}
