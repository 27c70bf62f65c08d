import BulkheadAPI
import BulkheadCore
import Glibc
import NIOCore
import NIOHTTP1

/// The supervisor's HTTP API, as the verbs use it.
struct APIClient: Sendable {
    /// A member of a query, such as `wait=25s`.
    typealias Query = [(name: String, value: String?)]

    /// How long an answer may take beyond the time for which the call asked to wait.
    private static let patience = Duration.seconds(60)
    /// An answer holds a task's params, which may nest as deep as is allowed, some levels down.
    private static let depth = Limits.jsonDepth + 8

    let socket: SocketChoice

    /// Reads something that is always there to be read.
    func get(_ path: [String], _ query: Query = [], waiting: Duration = .zero) async throws -> JSONValue {
        try await call(.GET, path, query, waiting: waiting) ?? .null
    }

    /// Reads something that may not have come within the time; then nil.
    func awaited(_ path: [String], _ query: Query, waiting: Duration) async throws -> JSONValue? {
        try await call(.GET, path, query, waiting: waiting)
    }

    /// Sends something and reads what it made.
    func post(
        _ path: [String],
        _ query: Query = [],
        body: JSONValue? = nil,
        waiting: Duration = .zero
    ) async throws -> JSONValue {
        try await call(.POST, path, query, body: body, waiting: waiting) ?? .null
    }

    /// Removes something.
    func delete(_ path: [String], _ query: Query, waiting: Duration) async throws {
        _ = try await call(.DELETE, path, query, waiting: waiting)
    }

    private func call(
        _ method: HTTPMethod,
        _ path: [String],
        _ query: Query,
        body: JSONValue? = nil,
        waiting: Duration
    ) async throws -> JSONValue? {
        let answer = try await exchange(method, path, query, body: body, waiting: waiting)
        guard (200..<300).contains(answer.status) else { throw failure(answer) }
        guard answer.status != 204, !answer.body.isEmpty else { return nil }
        return try parse(answer.body)
    }

    private func exchange(
        _ method: HTTPMethod,
        _ path: [String],
        _ query: Query,
        body: JSONValue?,
        waiting: Duration
    ) async throws -> HTTPAnswer {
        var head = HTTPRequestHead(version: .http1_1, method: method, uri: Self.target(path, query))
        head.headers.add(name: "Host", value: "localhost")
        head.headers.add(name: "Accept", value: "application/json, application/problem+json")
        if body != nil { head.headers.add(name: "Content-Type", value: "application/json") }
        do {
            return try await HTTPExchange.run(
                head,
                body: body?.bytes ?? [],
                socket: socket.path,
                atMost: waiting + Self.patience
            )
        } catch {
            throw explained(error)
        }
    }

    /// The path and query of a request, each part encoded (RFC 3986, section 2).
    static func target(_ path: [String], _ query: Query) -> String {
        let parts = query.compactMap { name, value in value.map { "\(name)=\(encoded($0))" } }
        let end = parts.isEmpty ? "" : "?" + parts.joined(separator: "&")
        return "/" + path.map(encoded).joined(separator: "/") + end
    }

    private static func encoded(_ text: String) -> String {
        text.utf8.map { byte in
            let character = Character(Unicode.Scalar(byte))
            let isPlain =
                byte < 0x80 && (character.isLetter || character.isNumber || "-._~".contains(character))
            return isPlain ? String(character) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }

    private func parse(_ body: [UInt8]) throws -> JSONValue {
        do {
            return try JSONParser.parse(body, depthLimit: Self.depth)
        } catch {
            throw Failure(.ownFault, "what answers at \(socket.path) does not speak our language: \(error)")
        }
    }

    /// The end of a verb for an answer that is not a success, in the supervisor's own words.
    private func failure(_ answer: HTTPAnswer) -> Failure {
        let status = ExitStatus(httpStatus: answer.status)
        guard let json = try? JSONParser.parse(answer.body, depthLimit: Self.depth),
            let problem = Problem(json)
        else {
            return Failure(.ownFault, "what answers at \(socket.path) said HTTP \(answer.status)")
        }
        var message = problem.detail
        if let advice = problem.advice { message = BulkheadError.words(message, advice: advice) }
        if let wait = problem.retryAfterSeconds { message += "; try again in \(wait) s" }
        return Failure(status, message)
    }

    /// The end of a verb that reached no supervisor, with what to do about it.
    private func explained(_ error: any Error) -> Failure {
        switch error {
        case let error as IOError: return explained(error)
        case HTTPFailure.tookTooLong:
            return Failure(.unavailable, "the supervisor at \(socket.path) does not answer")
        case HTTPFailure.closed:
            return Failure(.unavailable, "the supervisor at \(socket.path) ended before it had answered")
        case HTTPFailure.tooLarge:
            let limit = Quantities.text(bytes: Int64(HTTPExchange.answerBytes))
            return Failure(.ownFault, "the answer of \(socket.path) is larger than \(limit)")
        case SocketAddressError.unixDomainSocketPathTooLong:
            return Failure(.wrongUsage, "the socket's path is too long for Linux (107 bytes): \(socket.path)")
        default:
            return Failure(.ownFault, "what answers at \(socket.path) does not speak HTTP: \(error)")
        }
    }

    private func explained(_ error: IOError) -> Failure {
        switch error.errnoCode {
        case EACCES, EPERM: Failure(.unavailable, socket.wordsForNoRight)
        case ENOENT, ECONNREFUSED, ENOTDIR: Failure(.unavailable, socket.wordsForNoSupervisor)
        default: Failure(.unavailable, "the supervisor at \(socket.path) cannot be reached: \(error)")
        }
    }
}
