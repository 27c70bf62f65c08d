/// The durations and sizes that users write, such as `250ms`, `5m` and `8MiB`.
public enum Quantities {
    /// The longest duration that is accepted: 366 days, beyond which a value is a mistake.
    public static let longestDuration: Duration = .seconds(366 * 24 * 3_600)

    private static let durationUnits: [(suffix: String, milliseconds: Int64)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000),
    ]
    private static let sizeUnits: [(suffix: String, bytes: Int64)] = [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1),
    ]

    /// Reads a duration: a whole number and `ms`, `s`, `m` or `h`, or a plain `0`.
    /// - Parameter text: What the user wrote.
    /// - Returns: The duration, at least zero.
    /// - Throws: ``BulkheadError`` with the code `malformed` and the forms that are right.
    public static func duration(_ text: String) throws(BulkheadError) -> Duration {
        guard text != "0" else { return .zero }
        for unit in durationUnits {
            guard let number = wholeNumber(text, before: unit.suffix) else { continue }
            let (milliseconds, overflow) = number.multipliedReportingOverflow(by: unit.milliseconds)
            guard !overflow, .milliseconds(milliseconds) <= longestDuration else {
                throw BulkheadError(.malformed, "the duration \(quoted(text)) is longer than 366 days")
            }
            return .milliseconds(milliseconds)
        }
        throw BulkheadError(
            .malformed,
            "\(quoted(text)) is not a duration",
            advice: "write a whole number and a unit, such as 250ms, 5s, 5m or 1h"
        )
    }

    /// Reads a size: a whole number and `B`, `KiB`, `MiB`, `GiB` or `TiB`.
    /// - Parameter text: What the user wrote.
    /// - Returns: The size in bytes, at least zero.
    /// - Throws: ``BulkheadError`` with the code `malformed` and the forms that are right.
    public static func bytes(_ text: String) throws(BulkheadError) -> Int64 {
        guard text != "0" else { return 0 }
        for unit in sizeUnits {
            guard let number = wholeNumber(text, before: unit.suffix) else { continue }
            let (bytes, overflow) = number.multipliedReportingOverflow(by: unit.bytes)
            guard !overflow else {
                throw BulkheadError(.malformed, "the size \(quoted(text)) is larger than 2^63 bytes")
            }
            return bytes
        }
        throw BulkheadError(
            .malformed,
            "\(quoted(text)) is not a size",
            advice: "write a whole number and a unit, such as 512B, 64KiB, 8MiB or 1GiB"
        )
    }

    /// Prints a duration in the form that ``duration(_:)`` reads, in the largest unit that keeps it whole.
    public static func text(_ duration: Duration) -> String {
        let milliseconds = duration.wholeMilliseconds
        guard milliseconds != 0 else { return "0" }
        let unit = durationUnits.last { milliseconds % $0.milliseconds == 0 } ?? ("ms", 1)
        return "\(milliseconds / unit.milliseconds)\(unit.suffix)"
    }

    /// Prints a size in the form that ``bytes(_:)`` reads, in the largest unit that keeps it whole.
    public static func text(bytes: Int64) -> String {
        let binary = sizeUnits.dropLast().last { bytes != 0 && bytes % $0.bytes == 0 } ?? ("B", 1)
        return "\(bytes / binary.bytes)\(binary.suffix)"
    }

    private static func wholeNumber(_ text: String, before suffix: String) -> Int64? {
        guard text.hasSuffix(suffix) else { return nil }
        let digits = text.dropLast(suffix.count)
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int64(digits) ?? .max
    }

    private static func quoted(_ text: String) -> String {
        "\"\(text.cut(toBytes: 64))\""
    }
}

extension Duration {
    /// The duration in whole milliseconds, rounded down.
    public var wholeMilliseconds: Int64 {
        components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
    }

    /// The duration in whole nanoseconds, clamped to what 64 bits hold.
    public var wholeNanoseconds: Int64 {
        let (seconds, overflow) = components.seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max : seconds + components.attoseconds / 1_000_000_000
    }

    /// The duration as seconds with a fraction.
    public var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }
}
