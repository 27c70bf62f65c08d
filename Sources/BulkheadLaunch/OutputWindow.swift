/// Why a window refused what it was given.
public enum WindowError: Error, Sendable, Equatable {
    /// An acknowledgement lies beyond everything that was produced.
    case beyondProduced(offset: UInt64, produced: UInt64)
    /// More bytes came than there was room for.
    case beyondBound(bytes: Int, room: Int)
}

/// The bytes of one stream that are not yet acknowledged, bounded.
///
/// Offsets count from the attempt's start. What is below `acknowledged` is committed and forgotten. While a
/// supervisor is there the bound stops the reader; without one the oldest bytes go, and are counted.
public struct OutputWindow: Sendable, Equatable {
    /// What happens at the bound.
    public enum Mode: Sendable, Equatable {
        /// The reader waits for acknowledgements.
        case attended
        /// The oldest bytes are dropped.
        case unattended
        /// The handler has ended: what its pipe still holds gets extra room.
        case draining
    }

    /// A run of unacknowledged bytes.
    public struct Chunk: Sendable, Equatable {
        /// Offset of the first byte.
        public var offset: UInt64
        /// The bytes.
        public var bytes: ArraySlice<UInt8>

        var end: UInt64 { offset + UInt64(bytes.count) }
    }

    /// Bytes read from the stream in all.
    public private(set) var produced: UInt64 = 0
    /// The offset below which everything is committed.
    public private(set) var acknowledged: UInt64 = 0
    /// Bytes that were dropped before they were acknowledged.
    public private(set) var dropped: UInt64 = 0
    /// What happens at the bound.
    public var mode = Mode.attended

    private static let sharedChunkBytes = 4096

    private let bound: Int
    private let drainBound: Int
    private var chunks: [Chunk] = []
    private var first = 0

    /// Makes an empty window.
    ///
    /// - Parameters:
    ///   - bound: Bytes that may be unacknowledged.
    ///   - drainBound: Bytes that may be unacknowledged beyond that while draining.
    public init(bound: Int = LaunchLimits.windowBytes, drainBound: Int = LaunchLimits.drainBytes) {
        self.bound = bound
        self.drainBound = drainBound
    }

    /// Bytes held.
    public var heldBytes: Int {
        guard first < chunks.count else { return 0 }
        return Int(produced - chunks[first].offset)
    }

    /// Bytes that may be appended now; without a supervisor always the whole bound.
    public var room: Int {
        switch mode {
        case .attended: max(0, bound - heldBytes)
        case .unattended: bound
        case .draining: max(0, bound + drainBound - heldBytes)
        }
    }

    /// Whether the stream may be read.
    public var canRead: Bool { room > 0 }

    /// Takes bytes that were read.
    ///
    /// - Parameter bytes: At most `room` bytes.
    /// - Returns: The offset of the first of them.
    /// - Throws: `WindowError.beyondBound` if there are more; nothing is taken then.
    public mutating func append(_ bytes: [UInt8]) throws(WindowError) -> UInt64 {
        guard bytes.count <= room else { throw .beyondBound(bytes: bytes.count, room: room) }
        let offset = produced
        guard !bytes.isEmpty else { return offset }
        keep(bytes, at: offset)
        produced += UInt64(bytes.count)
        if mode == .unattended { dropOldest() }
        return offset
    }

    /// Forgets everything below an offset; an offset that was passed already changes nothing.
    ///
    /// - Parameter offset: The offset below which everything is committed.
    /// - Throws: `WindowError.beyondProduced` if nothing was produced there yet.
    public mutating func acknowledge(_ offset: UInt64) throws(WindowError) {
        guard offset <= produced else { throw .beyondProduced(offset: offset, produced: produced) }
        guard offset > acknowledged else { return }
        acknowledged = offset
        forget(below: offset)
    }

    /// What is held at and after an offset, oldest first, to be sent again.
    public func unacknowledged(from offset: UInt64) -> [Chunk] {
        chunks[first...].compactMap { chunk in
            guard chunk.end > offset else { return nil }
            return chunk.offset >= offset ? chunk : Self.tail(of: chunk, from: offset)
        }
    }

    /// What is held at and after an offset, in as few runs as fit packets.
    ///
    /// - Parameters:
    ///   - offset: The first offset of interest.
    ///   - limit: Bytes of the longest run.
    /// - Returns: The runs, oldest first.
    public func runs(from offset: UInt64, limit: Int = LaunchLimits.outputPacketBytes) -> [Chunk] {
        var runs: [Chunk] = []
        for chunk in unacknowledged(from: offset) {
            var rest = chunk.bytes
            while !rest.isEmpty {
                let room = runs.last.map { limit - $0.bytes.count } ?? 0
                if room > 0 {
                    runs[runs.count - 1].bytes += rest.prefix(room)
                    rest = rest.dropFirst(room)
                } else {
                    let start = chunk.offset + UInt64(chunk.bytes.count - rest.count)
                    runs.append(Chunk(offset: start, bytes: rest.prefix(limit)))
                    rest = rest.dropFirst(limit)
                }
            }
        }
        return runs
    }

    /// Small runs share a chunk: a stream of single bytes would else take many times its size.
    private mutating func keep(_ bytes: [UInt8], at offset: UInt64) {
        let last = chunks.count - 1
        if last >= first, chunks[last].bytes.count + bytes.count <= Self.sharedChunkBytes {
            chunks[last].bytes += bytes
        } else {
            chunks.append(Chunk(offset: offset, bytes: bytes[...]))
        }
    }

    private mutating func dropOldest() {
        let excess = heldBytes - bound
        guard excess > 0 else { return }
        dropped += UInt64(excess)
        forget(below: chunks[first].offset + UInt64(excess))
    }

    private mutating func forget(below offset: UInt64) {
        while first < chunks.count, chunks[first].end <= offset {
            chunks[first].bytes = []
            first += 1
        }
        if first < chunks.count, chunks[first].offset < offset {
            chunks[first] = Self.tail(of: chunks[first], from: offset)
        }
        // Moving the rest to the front only once half is empty keeps this cheap however small the chunks are.
        if first * 2 >= chunks.count {
            chunks.removeFirst(first)
            first = 0
        }
    }

    private static func tail(of chunk: Chunk, from offset: UInt64) -> Chunk {
        Chunk(offset: offset, bytes: chunk.bytes.dropFirst(Int(offset - chunk.offset)))
    }
}
