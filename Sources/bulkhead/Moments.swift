import BulkheadCore
import Foundation

extension Timestamp {
    /// The moment at which this is read.
    static var now: Timestamp { Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000)) }
}

/// Times, lengths and amounts as people read them.
enum Moments {
    private static let units: [(name: String, seconds: Int64)] = [
        ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1),
    ]

    /// A length of time in its largest unit and the next one: `4m10s`.
    static func brief(_ duration: Duration) -> String {
        let milliseconds = max(duration.wholeMilliseconds, 0)
        if milliseconds < 1_000 { return "\(milliseconds)ms" }
        if milliseconds < 10_000 { return "\(oneDecimal(Double(milliseconds) / 1_000))s" }
        let seconds = milliseconds / 1_000
        let first = units.firstIndex { seconds >= $0.seconds } ?? units.count - 1
        let large = "\(seconds / units[first].seconds)\(units[first].name)"
        guard first + 1 < units.count else { return large }
        let rest = seconds % units[first].seconds / units[first + 1].seconds
        return rest == 0 ? large : large + "\(rest)\(units[first + 1].name)"
    }

    /// How long ago a moment was, in one unit: `3m`.
    static func age(_ text: String, now: Timestamp) -> String {
        guard let moment = try? Timestamp(text) else { return "" }
        let seconds = max((now - moment).wholeMilliseconds / 1_000, 0)
        let unit = units.first { seconds >= $0.seconds } ?? ("s", 1)
        return "\(seconds / unit.seconds)\(unit.name)"
    }

    /// A moment, and how long ago it was or how soon it comes.
    static func full(_ text: String, now: Timestamp) -> String {
        guard let moment = try? Timestamp(text) else { return text }
        let past = now - moment
        let relation = past >= .zero ? "\(brief(past)) ago" : "in \(brief(.zero - past))"
        return "\(text) (\(relation))"
    }

    /// How long a task's latest attempt has run, or ran.
    static func took(_ task: JSONValue, now: Timestamp) -> String {
        guard let start = try? Timestamp(task.text("startedAt")) else { return "" }
        let isOver = TaskStatus(rawValue: task.text("status"))?.isTerminal ?? false
        if isOver, let end = try? Timestamp(task.text("completedAt")) { return brief(end - start) }
        return task.text("status") == TaskStatus.running.rawValue ? brief(now - start) : ""
    }

    /// How far a handler says it is: `40 % reading`.
    static func progress(_ progress: JSONValue) -> String {
        let percent = progress["fraction"]?.double.map { "\(Int(($0 * 100).rounded())) %" }
        let message = progress["message"]?.string?.oneLine
        return [percent, message].compactMap { $0 }.joined(separator: " ")
    }

    /// An amount of bytes in its largest unit: `1.2 MiB`.
    static func size(_ bytes: Int64) -> String {
        var amount = Double(bytes)
        var units = ["B", "KiB", "MiB", "GiB", "TiB"][...]
        while amount >= 1_024, units.count > 1 {
            amount /= 1_024
            units = units.dropFirst()
        }
        let isWhole = amount == amount.rounded() || amount >= 100
        return "\(isWhole ? "\(Int64(amount.rounded()))" : oneDecimal(amount)) \(units.first ?? "B")"
    }

    /// A number of seconds as `usage` has them.
    static func seconds(_ value: Double) -> String { brief(.milliseconds(Int64((value * 1_000).rounded()))) }

    private static func oneDecimal(_ value: Double) -> String {
        let tenths = Int64((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }
}
