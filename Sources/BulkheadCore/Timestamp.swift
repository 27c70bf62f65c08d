/// A moment of the wall clock, in milliseconds since 1970 UTC.
public struct Timestamp: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    public var milliseconds: Int64

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
        let perDay: Int64 = 86_400_000
        // Rounded down also before 1970.
        let days = (milliseconds - (milliseconds < 0 ? perDay - 1 : 0)) / perDay
        let date = CivilDate(daysSince1970: days)
        let rest = milliseconds - days * perDay
        let (seconds, fraction) = rest.quotientAndRemainder(dividingBy: 1_000)
        let day = "\(Self.digits(date.year, 4))-\(Self.digits(date.month, 2))-\(Self.digits(date.day, 2))"
        let time = [seconds / 3_600, seconds / 60 % 60, seconds % 60].map { Self.digits($0, 2) }
        return "\(day)T\(time.joined(separator: ":")).\(Self.digits(fraction, 3))Z"
    }

    /// A number with zeros before it.
    private static func digits(_ number: Int64, _ count: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(count - text.utf8.count, 0)) + text
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
