import BulkheadCore
import Foundation
import Glibc
import Synchronization
import Testing

/// A controller that reads messages and acknowledges them, and keeps a record of both.
actor RecordingController {
    /// A message as it was told.
    struct Told: Sendable, Hashable {
        var id: String
        var kind: String
        var task: String
        var text: String
    }

    private let api: APICall
    /// Every telling, in order, repeated ones too.
    private(set) var record: [Told] = []
    /// Names whose acknowledgement was answered.
    private(set) var acknowledged: Set<String> = []
    /// Messages that were told again after that.
    private(set) var toldAfterAcknowledgement: [Told] = []

    init(_ bench: Workbench) { api = bench.api }

    /// Reads one page from the beginning.
    /// - Returns: The messages; nil where the supervisor did not answer.
    func read(limit: Int = 1_000, wait: String? = nil) async -> [Told]? {
        let query = "limit=\(limit)" + (wait.map { "&wait=\($0)" } ?? "")
        guard let answer = try? await api("GET", "/v1/outbox?\(query)"), answer.status == 200 else {
            return nil
        }
        let page = (answer.json["messages"]?.array ?? []).map { message in
            Told(
                id: message.text("messageId"),
                kind: message.text("kind"),
                task: message.text("taskId"),
                text: message.text
            )
        }
        record += page
        toldAfterAcknowledgement += page.filter { acknowledged.contains($0.id) }
        return page
    }

    /// Acknowledges messages.
    /// - Returns: Whether the supervisor answered; else nobody knows whether it heard.
    func acknowledge(_ messages: [Told]) async -> Bool {
        let ids = messages.map { JSONValue.string($0.id) }
        let body = JSONValue.object(["messageIds": .array(ids)])
        guard let answer = try? await api("POST", "/v1/outbox/ack", body), answer.status == 200 else {
            return false
        }
        #expect(answer.json["acknowledged"]?.array == ids)
        #expect(answer.json["unknown"]?.array == [])
        acknowledged.formUnion(messages.map(\.id))
        return true
    }

    /// Each message once, in the order in which it was told first.
    var messages: [Told] {
        var seen: Set<String> = []
        return record.filter { seen.insert($0.id).inserted }
    }
}

/// A client of a stream, which reads as fast as it is let.
final class StreamClient: Sendable {
    private let descriptor: Int32
    private let state = EventBuffer()

    /// Asks for a stream, behind what the client has had before, and reads it unless it is told not to.
    init(
        _ bench: Workbench,
        _ path: String,
        accept: String = "text/event-stream",
        lastEventID: String? = nil,
        reads: Bool = true
    ) throws {
        let fields = ["Accept: \(accept)"] + (lastEventID.map { ["Last-Event-ID: \($0)"] } ?? [])
        let lines = ["GET \(path) HTTP/1.1", "Host: bulkhead"] + fields
        let request = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
        descriptor = try bench.api.connected()
        let count = unsafe request.withUnsafeBytes {
            unsafe send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard count == request.count else { throw POSIXError(.EIO) }
        guard reads else { return }
        Thread.detachNewThread { [descriptor, state] in
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
                guard count > 0 else { break }
                state.add(buffer[..<count])
            }
            state.end()
        }
    }

    deinit { close(descriptor) }

    /// What has come so far.
    var text: String { state.text }

    /// Whether the other end has closed.
    var hasEnded: Bool { state.hasEnded }

    /// Ends the connection, as a client that dies does.
    func hangUp() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Events that are whole, each with its id, kind and data.
    var events: [(id: String, kind: String, data: JSONValue)] {
        text.split(separator: "\n\n").compactMap { block in
            var fields: [String: String] = [:]
            for line in block.split(whereSeparator: \.isNewline) {
                let halves = line.split(separator: ":", maxSplits: 1).map(String.init)
                if halves.count == 2 { fields[halves[0]] = halves[1].trimmingCharacters(in: .whitespaces) }
            }
            guard let id = fields["id"], let kind = fields["event"], let data = fields["data"],
                let value = try? JSONParser.parse(Array(data.utf8))
            else { return nil }
            return (id, kind, value)
        }
    }

    /// Bytes that lie ready to be read, taken away.
    /// - Returns: How many; nil where the other end has closed.
    func take(atMost limit: Int) -> Int? {
        var buffer = [UInt8](repeating: 0, count: limit)
        let count = unsafe recv(descriptor, &buffer, limit, Int32(MSG_DONTWAIT))
        if count == 0 || count < 0 && errno != EAGAIN { return nil }
        return max(count, 0)
    }
}

private final class EventBuffer: Sendable {
    private let state = Mutex<(bytes: [UInt8], hasEnded: Bool)>(([], false))

    var text: String { state.withLock { String(decoding: $0.bytes, as: UTF8.self) } }
    var hasEnded: Bool { state.withLock { $0.hasEnded } }
    func add(_ bytes: ArraySlice<UInt8>) { state.withLock { $0.bytes += bytes } }
    func end() { state.withLock { $0.hasEnded = true } }
}
