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
            advice: error.advice ?? face.advice,
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
    /// What to do where the error itself does not say it better.
    var advice: String
    var retryAfterSeconds: Int?

    init(_ status: Int, _ title: String, _ advice: String, retryAfterSeconds: Int? = nil) {
        self.status = status
        self.title = title
        self.advice = advice
        self.retryAfterSeconds = retryAfterSeconds
    }

    init(_ code: BulkheadError.Code) {
        switch code {
        case .malformed:
            self.init(400, "The request cannot be understood", "mend the request and send it again")
        case .forbidden: self.init(403, "This caller may not do this", "ask as the supervisor's user")
        case .notFound:
            self.init(404, "There is no such thing", "see /v1/tasks and /v1/status for what there is")
        case .conflict: self.init(409, "The id belongs to another task", "use another id")
        case .wrongState:
            self.init(
                409,
                "The task's state does not allow this",
                "see the task's status, and ask accordingly"
            )
        case .tooLarge:
            self.init(413, "Something is over its size limit", "make it smaller and send it again")
        case .unknownType:
            self.init(422, "No handler has this type", "put a handler of that name into the plugins folder")
        case .typeRefused:
            self.init(422, "Tasks of this type are refused", "bulkhead plugins tells what is to be mended")
        case .queueFull:
            self.init(429, "The pool's queue is full", "submit again later", retryAfterSeconds: 5)
        case .internal:
            self.init(
                500,
                "Something is wrong with Bulkhead itself",
                "see the supervisor's log, and report it"
            )
        case .host:
            self.init(500, "The host lacks or refused something", "see the supervisor's log")
        case .invalidSetting: self.init(500, "A setting is wrong", "mend the setting")
        case .unavailable:
            self.init(503, "The supervisor takes no work now", "ask again soon", retryAfterSeconds: 2)
        case .storage:
            self.init(
                503,
                "The store could not read or write",
                "see to the state folder's disk, then ask again",
                retryAfterSeconds: 5
            )
        case .noReserve:
            self.init(
                507,
                "The spool has no room for another result",
                "submit again when some tasks have ended",
                retryAfterSeconds: 5
            )
        }
    }
}
