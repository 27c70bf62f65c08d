import BulkheadAPI
import BulkheadCore
import HTTPTypes
import Hummingbird
import ServiceLifecycle
import Synchronization

/// Streams of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
///
/// A stream reads a page from the store, writes it, and reads the next one only when that has gone out: nothing
/// is held for a slow client but one page, and it goes on where it was however slow it is. One that takes nothing
/// for ``Limits/answerSeconds`` is disconnected, and resumes by `Last-Event-ID`.
final class ServerSentEvents: Sendable {
    /// A part of a stream, and the sequence number behind which the next one begins; nil is the end.
    struct Part: Sendable {
        var text: String
        var next: Int64?
    }

    private static let lastEventID = HTTPField.Name("Last-Event-ID")

    private let open = Mutex(0)

    /// Answers with a stream.
    /// - Parameters:
    ///   - request: The call; its connection is used up by it.
    ///   - start: Behind which sequence number the stream begins.
    ///   - read: Waits for the next part, for as long as ``Limits/heartbeatSeconds``; empty where none came.
    /// - Returns: The answer.
    /// - Throws: ``BulkheadError`` with the code `unavailable` where too many are open.
    func response(
        to request: Request,
        from start: Int64,
        _ read: @escaping @Sendable (_ after: Int64) async throws -> Part
    ) throws(BulkheadError) -> Response {
        guard open.withLock({ $0 < Limits.eventStreams }) else {
            throw BulkheadError(
                .unavailable,
                "\(Limits.eventStreams) streams of events are open, which is the most",
                advice: "close one, or poll instead",
                retryAfterSeconds: Limits.heartbeatSeconds
            )
        }
        var headers = HTTPFields.closing
        headers[.contentType] = "text/event-stream"
        headers[.cacheControl] = "no-store"
        let body = ResponseBody { [self] writer in
            open.withLock { $0 += 1 }
            defer { open.withLock { $0 -= 1 } }
            // So that the client knows at once that it is heard.
            try await writer.write(ByteBuffer(string: ": bulkhead\n\n"))
            try await request.body.consumeWithCancellationOnInboundClose { _ in
                for try await text in Self.texts(from: start, read).cancelOnGracefulShutdown() {
                    try await writer.write(ByteBuffer(string: text))
                }
            }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: headers, body: body)
    }

    /// Where the stream goes on that a client has had before.
    /// - Parameters:
    ///   - request: The call.
    ///   - storeID: This database's id: a place in another one says nothing.
    /// - Returns: The sequence number; nil where the client has had none, or none of this database.
    /// - Throws: ``BulkheadError`` with the code `malformed`.
    static func place(in request: Request, storeID: String) throws(BulkheadError) -> Int64? {
        guard let name = lastEventID, let text = request.headers[name], !text.isEmpty else { return nil }
        let id = try EventID(text)
        return id.storeID == storeID ? id.sequence : nil
    }

    /// One event as it is written.
    static func text(storeID: String, sequence: Int64, event: String, data: JSONValue) -> String {
        "id: \(EventID(storeID: storeID, sequence: sequence))\nevent: \(event)\ndata: \(data.text)\n\n"
    }

    /// Whether the call asks for a stream.
    static func isWanted(by request: Request) -> Bool {
        request.headers[.accept]?.lowercased().contains("text/event-stream") ?? false
    }

    private static func texts(
        from start: Int64,
        _ read: @escaping @Sendable (_ after: Int64) async throws -> Part
    ) -> AsyncThrowingStream<String, any Error> {
        let place = Mutex<Int64?>(start)
        return AsyncThrowingStream {
            guard let after = place.withLock(\.self) else { return nil }
            let part = try await read(after)
            place.withLock { $0 = part.next }
            guard part.text.isEmpty else { return part.text }
            return part.next == nil ? nil : ": waiting\n\n"
        }
    }
}
