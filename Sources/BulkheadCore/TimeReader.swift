/// Reads a moment as RFC 3339 writes it, field by field, and takes nothing else.
///
/// Foundation's reader takes the 30th of February, 24:60:61 and whatever stands behind the moment.
struct TimeReader {
    private var rest: Substring.UTF8View

    /// Milliseconds since 1970 UTC, further digits of the second dropped; nil where the text is no moment.
    static func milliseconds(_ text: String) -> Int64? {
        var reader = TimeReader(rest: text[...].utf8)
        guard let days = reader.date(), reader.take("Tt"), let time = reader.time(),
            let offset = reader.offset(), reader.rest.isEmpty
        else { return nil }
        return (days * 86_400 - offset * 60) * 1_000 + time
    }

    /// Days since 1970.
    private mutating func date() -> Int64? {
        guard let year = number(digits: 4, in: 1...9999), take("-"),
            let month = number(digits: 2, in: 1...12),
            take("-"), let day = number(digits: 2, in: 1...Self.days(inMonth: month, of: year))
        else { return nil }
        // Years that begin in March have their leap day at the end, and every 400 of them have as many days.
        let marchYear = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = marchYear.quotientAndRemainder(dividingBy: 400)
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    /// Milliseconds since midnight; a leap second is the one behind it.
    private mutating func time() -> Int64? {
        guard let hour = number(digits: 2, in: 0...23), take(":"), let minute = number(digits: 2, in: 0...59),
            take(":"), let second = number(digits: 2, in: 0...60), let fraction = fraction()
        else { return nil }
        return ((hour * 60 + minute) * 60 + second) * 1_000 + fraction
    }

    private mutating func fraction() -> Int64? {
        guard take(".") else { return 0 }
        let digits = rest.prefix { (0x30...0x39).contains($0) }
        rest = rest[digits.endIndex...]
        guard !digits.isEmpty else { return nil }
        let three = digits.prefix(3)
        let value = three.reduce(Int64(0)) { $0 * 10 + Int64($1 - 0x30) }
        return three.count == 3 ? value : three.count == 2 ? value * 10 : value * 100
    }

    /// Minutes east of UTC.
    private mutating func offset() -> Int64? {
        if take("Zz") { return 0 }
        let isEast = take("+")
        guard isEast || take("-"), let hours = number(digits: 2, in: 0...23), take(":"),
            let minutes = number(digits: 2, in: 0...59)
        else { return nil }
        return (isEast ? 1 : -1) * (hours * 60 + minutes)
    }

    private static func days(inMonth month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private mutating func number(digits count: Int, in bounds: ClosedRange<Int64>) -> Int64? {
        let digits = rest.prefix(count)
        guard digits.count == count, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        rest = rest[digits.endIndex...]
        let value = digits.reduce(Int64(0)) { $0 * 10 + Int64($1 - 0x30) }
        return bounds.contains(value) ? value : nil
    }

    /// Steps over one of these characters, where it is next.
    private mutating func take(_ characters: StaticString) -> Bool {
        guard let first = rest.first, "\(characters)".utf8.contains(first) else { return false }
        rest = rest.dropFirst()
        return true
    }
}
