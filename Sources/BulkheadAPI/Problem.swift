public import BulkheadCore

/// An error as the API tells it: RFC 9457, `application/problem+json`.
public struct Problem: Error, Sendable, Equatable {
    /// The media type of a problem.
    public static let mediaType = "application/problem+json"
    private static let typePrefix = "urn:bulkhead:problem:"

    /// The HTTP status.
    public var status: Int
    /// The kind of problem in one word, such as `queue-full`; the last part of the member `type`.
    public var kind: String
    /// The kind of problem in plain words, the same every time.
    public var title: String
    /// What happened this time, and what lies behind it.
    public var detail: String
    /// What the user can do about it.
    public var advice: String?
    /// Seconds after which trying again makes sense; the header `Retry-After` says the same.
    public var retryAfterSeconds: Int?

    /// Makes a problem from its parts.
    public init(
        status: Int,
        kind: String,
        title: String,
        detail: String,
        advice: String? = nil,
        retryAfterSeconds: Int? = nil
    ) {
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.advice = advice
        self.retryAfterSeconds = retryAfterSeconds
    }

    /// Tells an error of Bulkhead's own.
    public init(_ error: BulkheadError) {
        let face = Face(error.code)
        self.init(
            status: face.status,
            kind: error.code.rawValue,
            title: face.title,
            detail: error.cause.map { "\(error.message): \($0)" } ?? error.message,
            advice: error.advice,
            retryAfterSeconds: error.retryAfterSeconds ?? face.retryAfterSeconds
        )
    }

    /// Reads a problem that a supervisor sent; nil where the value is none.
    public init?(_ json: JSONValue) {
        guard let status = json["status"]?.integer.flatMap({ Int(exactly: $0) }),
            let title = json["title"]?.string
        else { return nil }
        let type = json["type"]?.string ?? ""
        self.init(
            status: status,
            kind: type.hasPrefix(Self.typePrefix) ? String(type.dropFirst(Self.typePrefix.count)) : type,
            title: title,
            detail: json["detail"]?.string ?? title,
            advice: json["advice"]?.string,
            retryAfterSeconds: json["retryAfterSeconds"]?.integer.flatMap { Int(exactly: $0) }
        )
    }

    /// The problem as JSON.
    public var json: JSONValue {
        var object: JSONObject = [
            "type": .string(Self.typePrefix + kind),
            "title": .string(title),
            "status": .integer(status),
            "detail": .string(detail),
        ]
        object["advice"] = advice.map(JSONValue.string)
        object["retryAfterSeconds"] = retryAfterSeconds.map { .integer($0) }
        return .object(object)
    }

    /// The code of the error that was told, where it was one of Bulkhead's own.
    public var code: BulkheadError.Code? { BulkheadError.Code(rawValue: kind) }
}

/// What is the same for every error of one code.
private struct Face {
    var status: Int
    var title: String
    var retryAfterSeconds: Int?

    init(_ status: Int, _ title: String, retryAfterSeconds: Int? = nil) {
        self.status = status
        self.title = title
        self.retryAfterSeconds = retryAfterSeconds
    }

    init(_ code: BulkheadError.Code) {
        switch code {
        case .malformed: self.init(400, "The request cannot be understood")
        case .forbidden: self.init(403, "This caller may not do this")
        case .notFound: self.init(404, "There is no such thing")
        case .conflict: self.init(409, "The id belongs to another task")
        case .wrongState: self.init(409, "The task's state does not allow this")
        case .tooLarge: self.init(413, "Something is over its size limit")
        case .unknownType: self.init(422, "No handler has this type")
        case .typeRefused: self.init(422, "Tasks of this type are refused")
        case .queueFull: self.init(429, "The pool's queue is full", retryAfterSeconds: 5)
        case .internal: self.init(500, "Something is wrong with Bulkhead itself")
        case .host: self.init(500, "The host lacks or refused something")
        case .invalidSetting: self.init(500, "A setting is wrong")
        case .unavailable: self.init(503, "The supervisor takes no work now", retryAfterSeconds: 2)
        case .storage: self.init(503, "The store could not read or write", retryAfterSeconds: 5)
        case .noReserve: self.init(507, "The spool has no room for another result", retryAfterSeconds: 5)
        }
    }
}
