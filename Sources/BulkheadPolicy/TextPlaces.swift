/// The lines of a text, by which an offset becomes a place for a message.
struct TextPlaces: Sendable {
    private let bytes: [UInt8]
    private let lineStarts: [Int]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        let newline = UInt8(ascii: "\n")
        lineStarts = [0] + bytes.indices.filter { bytes[$0] == newline }.map { $0 + 1 }
    }

    /// The line of a byte, and the column in characters of Unicode.
    func position(of offset: Int) -> YAMLPosition {
        let offset = min(max(offset, 0), bytes.count)
        let line = lineStarts.partitioningIndex { $0 > offset } - 1
        let before = bytes[lineStarts[line]..<offset]
        // A byte of the form 10xxxxxx goes on with the character before it.
        return YAMLPosition(line: line + 1, column: before.count { $0 & 0xC0 != 0x80 } + 1)
    }
}

extension [Int] {
    /// The first index whose element is beyond a bound, in a sorted array.
    fileprivate func partitioningIndex(where isBeyond: (Int) -> Bool) -> Int {
        var range = 0..<count
        while !range.isEmpty {
            let middle = (range.lowerBound + range.upperBound) / 2
            range = isBeyond(self[middle]) ? range.lowerBound..<middle : middle + 1..<range.upperBound
        }
        return range.lowerBound
    }
}
