/// The bytes of fd 3, cut into lines, with bounded memory.
public struct EventLines: Sendable, Equatable {
    /// One line, without its newline.
    public struct Line: Sendable, Equatable {
        /// The whole line, or the head of one that is longer than the bound.
        public var bytes: [UInt8]
        /// Whether it was longer than the bound.
        public var truncated: Bool
        /// Bytes of the whole line.
        public var length: UInt64
    }

    /// Lines that were longer than the bound.
    public private(set) var truncatedCount: UInt64 = 0

    private let bound: Int
    private let head: Int
    private var partial: [UInt8] = []
    private var length: UInt64 = 0

    /// Makes an empty splitter.
    ///
    /// - Parameters:
    ///   - bound: Bytes of the longest line that is delivered whole.
    ///   - head: Bytes that are delivered of a longer one.
    public init(bound: Int = LaunchLimits.eventLineBytes, head: Int = LaunchLimits.eventHeadBytes) {
        self.bound = bound
        self.head = min(head, bound)
    }

    /// Takes bytes and gives the lines that they complete; empty lines are none.
    public mutating func append(_ bytes: ArraySlice<UInt8>) -> [Line] {
        var lines: [Line] = []
        var rest = bytes
        while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
            keep(rest[..<newline])
            if let line = take() { lines.append(line) }
            rest = rest[(newline + 1)...]
        }
        keep(rest)
        return lines
    }

    /// Gives what follows the last newline, if anything does, as the last line.
    public mutating func finish() -> Line? {
        take()
    }

    private mutating func keep(_ bytes: ArraySlice<UInt8>) {
        length += UInt64(bytes.count)
        guard length > bound else {
            partial += bytes
            return
        }
        if partial.count > head {
            partial.removeLast(partial.count - head)
        } else {
            partial += bytes.prefix(head - partial.count)
        }
    }

    private mutating func take() -> Line? {
        defer {
            partial = []
            length = 0
        }
        guard length > 0 else { return nil }
        let truncated = length > bound
        if truncated { truncatedCount += 1 }
        return Line(bytes: partial, truncated: truncated, length: length)
    }
}
