public import BulkheadCore

/// The `id` of a server-sent event, which a client sends back as `Last-Event-ID` to go on behind it.
public struct EventID: Sendable, Equatable, CustomStringConvertible {
    /// The id of the database from which the event came.
    public var storeID: String
    /// Its place in the order of all that happens there, at least 0.
    public var sequence: Int64

    /// The id as it is written.
    public var description: String { "\(storeID)-\(sequence)" }

    /// Makes an id from its parts.
    public init(storeID: String, sequence: Int64) {
        self.storeID = storeID
        self.sequence = sequence
    }

    /// Reads what ``description`` wrote.
    /// - Parameter text: What the client sent.
    /// - Throws: ``BulkheadError`` with the code `malformed` for any other text.
    public init(_ text: String) throws(BulkheadError) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let sequence = Int64(parts[1]), sequence >= 0 else {
            throw BulkheadError(
                .malformed,
                "the Last-Event-ID \"\(text.cut(toBytes: 64))\" is none of ours",
                advice: "send the last id as it came, or none"
            )
        }
        self.init(storeID: parts[0], sequence: sequence)
    }
}
