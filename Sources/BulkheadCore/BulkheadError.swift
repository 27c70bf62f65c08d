/// An error of Bulkhead's own: what happened, where, and what the user can do about it.
public struct BulkheadError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of error this is; the HTTP status and the exit code follow from it.
    public enum Code: String, Sendable, CaseIterable {
        /// The request cannot be understood.
        case malformed
        /// A size is over its limit.
        case tooLarge = "too-large"
        /// No handler has this task type.
        case unknownType = "unknown-type"
        /// The handler or its policy has a problem, so nothing of this type runs.
        case typeRefused = "type-refused"
        /// The id exists with another type or other params.
        case conflict
        /// The task's state does not allow this now.
        case wrongState = "wrong-state"
        /// There is no such thing.
        case notFound = "not-found"
        /// The caller may not do this.
        case forbidden
        /// The pool's queue has reached its `queue-limit`.
        case queueFull = "queue-full"
        /// The spool has no room left for another final result.
        case noReserve = "no-reserve"
        /// The supervisor does not take work at this moment.
        case unavailable
        /// A setting, a policy or a command line is wrong.
        case invalidSetting = "invalid-setting"
        /// The host lacks something that is needed, or refused it.
        case host
        /// The store could not read or write.
        case storage
        /// Something is wrong with Bulkhead itself.
        case `internal`
    }

    /// The kind of error.
    public var code: Code
    /// One sentence: what happened and where.
    public var message: String
    /// What lies behind it, such as the text of a system call's error.
    public var cause: String?
    /// What the user can do about it, as a sentence.
    public var advice: String?
    /// Seconds after which trying again makes sense.
    public var retryAfterSeconds: Int?

    /// Makes an error from its parts.
    public init(
        _ code: Code,
        _ message: String,
        cause: String? = nil,
        advice: String? = nil,
        retryAfterSeconds: Int? = nil
    ) {
        self.code = code
        self.message = message
        self.cause = cause
        self.advice = advice
        self.retryAfterSeconds = retryAfterSeconds
    }

    /// Message, cause and advice as one text.
    public var description: String {
        var text = message
        if let cause { text += ": \(cause)" }
        if let advice { text = Self.words(text, advice: advice) }
        return text
    }

    /// What happened and what to do as one text: the advice in brackets, but never two brackets in a row.
    public static func words(_ text: String, advice: String) -> String {
        text.utf8.last == UInt8(ascii: ")") ? "\(text); \(advice)" : "\(text) (\(advice))"
    }
}
