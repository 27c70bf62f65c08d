import BulkheadAPI
import BulkheadCore
import HTTPTypes
import Hummingbird

extension Response {
    /// An answer with a JSON value as its body, on a line of its own.
    init(_ json: JSONValue, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) {
        self.init(json: json.bytes, status: status, headers: headers)
    }

    /// An answer with JSON text as its body, on a line of its own.
    init(json bytes: [UInt8], status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) {
        var headers = headers
        if headers[.contentType] == nil { headers[.contentType] = "application/json" }
        var buffer = ByteBuffer()
        buffer.reserveCapacity(bytes.count + 1)
        buffer.writeBytes(bytes)
        buffer.writeInteger(UInt8(ascii: "\n"))
        self.init(status: status, headers: headers, body: ResponseBody(byteBuffer: buffer))
    }

    /// An answer that tells a problem.
    init(_ problem: Problem, headers: HTTPFields = [:]) {
        var headers = headers
        headers[.contentType] = Problem.mediaType
        headers[.retryAfter] = problem.retryAfterSeconds.map(String.init)
        let status = HTTPResponse.Status(code: problem.status)
        self.init(problem.json, status: status, headers: headers)
    }

    /// The body of ``init(_:headers:)``.
    static func text(_ problem: Problem) -> [UInt8] {
        problem.json.bytes + [UInt8(ascii: "\n")]
    }
}

extension HTTPFields {
    /// For answers after which the connection cannot be used again: the request's stream has been used up by
    /// the watch for the client's going away.
    static let closing: HTTPFields = [.connection: "close"]
}
