import FoundationEssentials

/// A moment of the wall clock, in milliseconds since 1970 UTC.
public struct Timestamp: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    public var milliseconds: Int64

    private static let wholeSeconds = Date.ISO8601FormatStyle()
    /// The years 0001 to 9999, the only ones that RFC 3339 can write.
    private static let writable: ClosedRange<Int64> = -62_135_596_800_000...253_402_300_799_999

    /// Makes a moment from milliseconds since 1970, clamped to the years 1 to 9999.
    public init(milliseconds: Int64) {
        self.milliseconds = min(max(milliseconds, Self.writable.lowerBound), Self.writable.upperBound)
    }

    /// Reads RFC 3339, with or without fractions of a second.
    /// - Parameter text: Such as `2026-11-21T08:30:00.250Z`.
    /// - Throws: ``BulkheadError`` with the code `malformed`.
    public init(_ text: String) throws(BulkheadError) {
        guard let milliseconds = TimeReader.milliseconds(text) else {
            throw BulkheadError(
                .malformed,
                "\"\(text.cut(toBytes: 64))\" is not a time",
                advice: "write RFC 3339, such as 2026-11-21T08:30:00Z"
            )
        }
        self.init(milliseconds: milliseconds)
    }

    /// RFC 3339 in UTC with milliseconds.
    public var description: String {
        // Whole seconds alone go through floating point, which would lose a millisecond now and then.
        let (seconds, rest) = milliseconds.quotientAndRemainder(dividingBy: 1_000)
        let whole = rest < 0 ? seconds - 1 : seconds
        let fraction = String(1_000 + (rest < 0 ? rest + 1_000 : rest)).dropFirst()
        let date = Date(timeIntervalSince1970: Double(whole)).formatted(Self.wholeSeconds)
        return "\(date.dropLast()).\(fraction)Z"
    }

    /// Whether the left moment is earlier.
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.milliseconds < right.milliseconds
    }

    /// The moment a duration later, or earlier where the duration is negative.
    public static func + (moment: Timestamp, duration: Duration) -> Timestamp {
        let (sum, overflow) = moment.milliseconds.addingReportingOverflow(duration.wholeMilliseconds)
        return Timestamp(milliseconds: overflow ? .max : sum)
    }

    /// The time from the right moment to the left one.
    public static func - (left: Timestamp, right: Timestamp) -> Duration {
        .milliseconds(left.milliseconds - right.milliseconds)
    }
}
