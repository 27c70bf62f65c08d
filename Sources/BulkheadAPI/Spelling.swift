/// Finds the word that somebody meant.
public enum Spelling {
    /// The nearest of some words, where one is near enough to be meant.
    /// - Parameters:
    ///   - word: What was written; only its first 64 characters count.
    ///   - words: What would be right.
    /// - Returns: The nearest word, or nil where more than a third of it, and more than two letters, differ.
    public static func nearest(to word: String, among words: some Sequence<String>) -> String? {
        let written = Array(word.lowercased().prefix(64))
        let ranked = words.map { (word: $0, distance: distance(written, Array($0.lowercased()))) }
        guard let best = ranked.min(by: { ($0.distance, $0.word) < ($1.distance, $1.word) }) else {
            return nil
        }
        return best.distance <= max(2, best.word.count / 3) ? best.word : nil
    }

    /// A sentence that names the nearest word, or else every right one.
    public static func advice(for word: String, among words: [String]) -> String {
        guard let nearest = nearest(to: word, among: words) else {
            return words.isEmpty ? "leave it out" : "known are \(words.joined(separator: ", "))"
        }
        return "did you mean \"\(nearest)\"?"
    }

    /// Letters to insert, remove or replace to make one word of the other.
    private static func distance(_ left: [Character], _ right: [Character]) -> Int {
        var row = Array(0...right.count)
        for (index, letter) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for (column, other) in right.enumerated() {
                let replaced = diagonal + (letter == other ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
            }
        }
        return row[right.count]
    }
}
