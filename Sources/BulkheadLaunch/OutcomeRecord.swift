/// What a launcher leaves in a file when no supervisor is there to hear the end of an attempt.
public struct OutcomeRecord: Sendable, Equatable {
    /// The unacknowledged end of one stream.
    public struct Tail: Sendable, Equatable {
        /// The stream.
        public var stream: OutputStream
        /// Offset of the first byte.
        public var offset: UInt64
        /// The bytes, up to the stream's end.
        public var bytes: [UInt8]

        /// Makes a tail from its fields.
        public init(stream: OutputStream, offset: UInt64, bytes: [UInt8]) {
            self.stream = stream
            self.offset = offset
            self.bytes = bytes
        }
    }

    /// Number of the attempt.
    public var attempt: UInt64
    /// How it ended.
    public var outcome: LaunchOutcome
    /// What of its streams was not acknowledged.
    public var tails: [Tail]

    private static let magic: UInt32 = 0x4F4B_4842  // "BHKO"
    private static let tailLimit = LaunchLimits.windowBytes + LaunchLimits.drainBytes

    /// Makes a record from its fields.
    public init(attempt: UInt64, outcome: LaunchOutcome, tails: [Tail]) {
        self.attempt = attempt
        self.outcome = outcome
        self.tails = tails
    }

    /// The record's bytes, which end in a checksum of all before it.
    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: 256 + tails.reduce(0) { $0 + $1.bytes.count })
        writer.put(Self.magic)
        writer.put(LaunchLimits.protocolVersion)
        writer.put(attempt)
        outcome.write(to: &writer)
        writer.put(UInt32(tails.count))
        for tail in tails {
            writer.put(tail.stream.rawValue)
            writer.put(tail.offset)
            writer.put(tail.bytes)
        }
        writer.put(Self.checksum(writer.bytes[...]))
        return writer.bytes
    }

    /// Reads a record from all of its bytes.
    ///
    /// - Parameter bytes: What `encoded()` made.
    /// - Throws: What is wrong with the bytes.
    public init(decoding bytes: ArraySlice<UInt8>) throws(CodecError) {
        guard bytes.count >= 8 else { throw .truncated(field: "checksum") }
        var end = ByteReader(bytes.suffix(8))
        let expected = try end.number(UInt64.self, "checksum")
        guard Self.checksum(bytes.dropLast(8)) == expected else { throw .wrongChecksum }
        var reader = ByteReader(bytes.dropLast(8))
        let magic = try reader.number(UInt32.self, "magic")
        guard magic == Self.magic else { throw .wrongMagic(found: magic) }
        let version = try reader.number(UInt16.self, "version")
        guard version == LaunchLimits.protocolVersion else { throw .unknownVersion(found: version) }
        attempt = try reader.number(UInt64.self, "attempt")
        outcome = try LaunchOutcome(from: &reader)
        tails = try reader.list("tails") { reader throws(CodecError) in
            Tail(
                stream: try reader.value(OutputStream.self, "stream"),
                offset: try reader.number(UInt64.self, "offset"),
                bytes: try reader.bytes("tail", limit: Self.tailLimit)
            )
        }
        try reader.end()
    }

    /// FNV-1a with 64 bits: finds torn and flipped bytes, is no proof against forgery.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
