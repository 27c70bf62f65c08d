/// How the spool's cap is shared out between finals that nobody has acknowledged, reservations and output.
///
/// With F the bytes of unacknowledged finals and R the reservations, output has what is left of the cap:
/// cap − F − R. A final and a reservation are never given up, so output makes room for them.
public struct SpoolRoom: Sendable, Equatable {
    /// Bytes that may be kept in all.
    public var cap: Int64
    /// Bytes below which what is left of the cap closes the door to submits.
    public var terminalReserve: Int64
    /// Bytes of the largest final, which each running attempt reserves.
    public var final: Int64
    /// Bytes of finals that are not acknowledged; 0 with the outbox off.
    public var finals: Int64
    /// Bytes that running attempts have reserved.
    public var reserved: Int64

    /// Makes a room from its parts, in bytes.
    public init(cap: Int64, terminalReserve: Int64, final: Int64, finals: Int64, reserved: Int64) {
        self.cap = cap
        self.terminalReserve = terminalReserve
        self.final = final
        self.finals = finals
        self.reserved = reserved
    }

    /// Bytes that are neither a final's nor reserved, below 0 where the cap was lowered beneath them.
    public var free: Int64 { cap - finals - reserved }

    /// Bytes of output that may be kept.
    public var forOutput: Int64 { max(free, 0) }

    /// Attempts that can begin, each with its reservation.
    public var startsThatFit: Int {
        final > 0 ? Int(clamping: forOutput / final) : Int.max
    }

    /// Seconds after which a submit that met a full spool is worth another try.
    static let retrySeconds = 5

    /// Why a submit is refused; nil where it is not.
    public var refusal: BulkheadError? {
        guard free < terminalReserve else { return nil }
        return BulkheadError(
            .noReserve,
            """
            the spool has \(text(forOutput)) left for results, less than the terminal reserve of \
            \(text(terminalReserve))
            """,
            cause: account,
            advice: "acknowledge messages of the outbox, or submit again when tasks have ended",
            retryAfterSeconds: Self.retrySeconds
        )
    }

    /// Why a final without a reservation, that of a task that ends in its queue, cannot be kept; nil where it can.
    /// - Parameter bytes: The most that it has.
    /// - Returns: The refusal.
    public func refusal(ofFinal bytes: Int64) -> BulkheadError? {
        guard bytes > free else { return nil }
        return BulkheadError(
            .noReserve,
            "the spool has \(text(forOutput)) left, and a final message of \(text(bytes)) has no room in it",
            cause: account,
            advice: "acknowledge messages of the outbox",
            retryAfterSeconds: Self.retrySeconds
        )
    }

    /// What a task waits for that cannot begin; nil where one can.
    public var obstacle: String? {
        startsThatFit > 0
            ? nil : "room for its result in the spool (\(text(final)) of \(text(forOutput)); \(account))"
    }

    private var account: String {
        """
        of its \(text(cap)), \(text(finals)) are held by results that no controller has acknowledged, \
        \(text(reserved)) by tasks that run
        """
    }

    private func text(_ bytes: Int64) -> String { Quantities.text(bytes: bytes) }

    /// What is wrong with a cap, a reserve and a limit of results that do not go together.
    /// - Parameters:
    ///   - cap: Bytes of the cap.
    ///   - terminalReserve: Bytes of the terminal reserve.
    ///   - resultLimit: Bytes of the largest result.
    /// - Returns: The words; nil where they go together.
    public static func mismatch(cap: Int64, terminalReserve: Int64, resultLimit: Int) -> String? {
        let final = Limits.finalBytes(resultLimit: resultLimit)
        guard cap - final >= terminalReserve else {
            return """
                the spool must hold the terminal reserve of \(Quantities.text(bytes: terminalReserve)) and one \
                final message, \(Quantities.text(bytes: final)) at this result-limit
                """
        }
        return nil
    }
}
