/// The right word that a wrong one was probably meant to be.
public enum NearestWord {
    /// Characters of a wrong word that are looked at; a longer one is no slip of the pen.
    private static let longest = 64

    /// The candidate that is fewest slips away: a letter more, less, other, or two exchanged.
    /// - Parameters:
    ///   - word: What was written.
    ///   - candidates: The right words.
    /// - Returns: The nearest, the first by spelling among equals; nil where none is near.
    public static func of(_ word: String, among candidates: some Sequence<String>) -> String? {
        let written = plain(word)
        guard !written.isEmpty, written.count <= longest else { return nil }
        let near = candidates.compactMap { candidate -> (slips: Int, word: String)? in
            let right = plain(candidate)
            if right == written { return (0, candidate) }
            let allowed = max(1, min(written.count, right.count) / 3)
            if abs(right.count - written.count) <= allowed {
                let slips = distance(written, right)
                if slips <= allowed { return (slips, candidate) }
            }
            // Half a word, such as `env` for `environment`, is farther than any slip.
            return written.count >= 3 && right.starts(with: written) ? (longest, candidate) : nil
        }
        return near.min { ($0.slips, $0.word) < ($1.slips, $1.word) }?.word
    }

    /// The question that goes behind a message, or nothing.
    public static func question(_ word: String, among candidates: some Sequence<String>) -> String {
        of(word, among: candidates).map { "; did you mean \"\($0)\"?" } ?? ""
    }

    /// A sentence that names the nearest word, or else every right one.
    public static func advice(for word: String, among words: [String]) -> String {
        guard let nearest = of(word, among: words) else {
            return words.isEmpty ? "leave it out" : "known are \(words.joined(separator: ", "))"
        }
        return "did you mean \"\(nearest)\"?"
    }

    /// Lower case, and one kind of dash: `on_Denied` is `on-denied`.
    private static func plain(_ word: String) -> [UInt8] {
        word.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
            case UInt8(ascii: "_"): UInt8(ascii: "-")
            default: byte
            }
        }
    }

    /// The optimal string alignment distance, by three rows of its table.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for row in 1...max(left.count, 1) where row <= left.count {
            var current = [row]
            for column in 1...max(right.count, 1) where column <= right.count {
                let other = left[row - 1] == right[column - 1] ? 0 : 1
                var least = min(last[column] + 1, current[column - 1] + 1, last[column - 1] + other)
                let exchanged =
                    row > 1 && column > 1 && left[row - 1] == right[column - 2]
                    && left[row - 2] == right[column - 1]
                if exchanged { least = min(least, beforeLast[column - 2] + 1) }
                current.append(least)
            }
            (beforeLast, last) = (last, current)
        }
        return last[right.count]
    }
}
