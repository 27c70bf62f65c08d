import BulkheadAPI
import BulkheadCore
import Hummingbird
import NIOCore
import ServiceLifecycle

/// What Hummingbird needs to carry along with one call.
struct CallContext: RequestContext {
    var coreContext: CoreRequestContextStorage

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
    }

    /// The task's id, or its beginning, from the path.
    func reference() throws -> String {
        let text = try parameters.require("id")
        guard TaskID.isBeginning(text) else {
            throw BulkheadError(
                .malformed,
                "\"\(text.cut(toBytes: 64))\" is not a task's id",
                advice: "give the whole UUID, or at least its first \(Limits.idPrefixCharacters) characters"
            )
        }
        return text.lowercased()
    }
}

extension Query {
    /// Reads the parameters of a call that knows these names.
    init(_ request: Request, _ names: String...) throws(BulkheadError) {
        try self.init(request.uri.query, names: names)
    }
}

extension Request {
    /// The whole body, of at most so many bytes; one that announces more is refused before it is taken.
    mutating func bytes(upTo limit: Int) async throws -> [UInt8] {
        let announced = headers[.contentLength].flatMap(Int.init)
        if let announced, announced > limit { throw Self.tooLarge(limit) }
        let buffer: ByteBuffer
        do { buffer = try await collectBody(upTo: limit) } catch is NIOTooManyBytesError {
            throw Self.tooLarge(limit)
        } catch {
            throw BulkheadError(.malformed, "the body cannot be read to its end", cause: "\(error)")
        }
        guard announced == nil || announced == buffer.readableBytes else {
            throw BulkheadError(.malformed, "the body ended before its Content-Length")
        }
        return Array(buffer.readableBytesView)
    }

    /// Refuses a body where the call takes none.
    func refuseBody() throws {
        guard headers[.transferEncoding] == nil, headers[.contentLength] ?? "0" == "0" else {
            throw BulkheadError(.malformed, "this call takes no body", advice: "leave it out")
        }
    }

    /// Runs what may take long, until it ends, the client goes away or the supervisor stops.
    ///
    /// In the last two cases it is cancelled, and the answer is nil. The connection is used up by it.
    func waiting<Value: Sendable>(
        _ operation: @Sendable @escaping () async throws -> Value?
    ) async throws -> Value? {
        let body = body
        do {
            return try await cancelWhenGracefulShutdown {
                try await body.consumeWithCancellationOnInboundClose { _ in try await operation() }
            }
        } catch is CancellationError {
            return nil
        }
    }

    private static func tooLarge(_ limit: Int) -> BulkheadError {
        BulkheadError(
            .tooLarge,
            "the body is larger than \(Quantities.text(bytes: Int64(limit)))",
            advice: limit == Limits.batchBytes
                ? "send it in several batches" : "put large input into a file and send its path"
        )
    }
}
