/// What a launcher leaves in a file when no supervisor is there to hear the end of an attempt.
///
/// It holds the messages that a supervisor would be sent: who reads it takes them as if they came now.
public struct OutcomeRecord: Sendable, Equatable {
    /// The task, as the launch told it.
    public var task: String
    /// Number of the attempt.
    public var attempt: UInt64
    /// `started`, kept event lines, denied calls, output that was not acknowledged, and at last `finished` or
    /// `refused`.
    public var messages: [LauncherMessage]

    private static let magic: UInt32 = 0x4F4B_4842  // "BHKO"

    /// Makes a record from its fields.
    public init(task: String, attempt: UInt64, messages: [LauncherMessage]) {
        self.task = task
        self.attempt = attempt
        self.messages = messages
    }

    /// The name of a launcher's record in the folder of launchers.
    public static func fileName(ofLauncher name: String) -> String { name + ".outcome" }

    /// The record's bytes, which end in a checksum of all before it.
    public func encoded() -> [UInt8] {
        let packets = messages.map { MessageCodec.encode($0) }
        var writer = ByteWriter(reserving: 256 + packets.reduce(0) { $0 + $1.count + 4 })
        writer.put(Self.magic)
        writer.put(LaunchLimits.protocolVersion)
        writer.put(task)
        writer.put(attempt)
        writer.put(UInt32(packets.count))
        for packet in packets { writer.put(packet) }
        return Self.sealed(writer.bytes[...])
    }

    /// Bytes with their checksum behind them.
    package static func sealed(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var writer = ByteWriter(reserving: 8)
        writer.put(checksum(bytes))
        return bytes + writer.bytes
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
        task = try reader.text("task", limit: LaunchLimits.nameBytes)
        let about = try reader.number(UInt64.self, "attempt")
        attempt = about
        let count = try reader.number(UInt32.self, "messages")
        var messages: [LauncherMessage] = []
        for _ in 0..<count {
            let packet = try reader.bytes("message", limit: LaunchLimits.packetBytes)
            messages.append(try MessageCodec.launcherMessage(packet[...]))
        }
        try reader.end()
        self.messages = messages
        guard messages.last?.endsAttempt == true, messages.allSatisfy({ $0.attempt == about }) else {
            throw .unknownValue(field: "attempt", value: about)
        }
    }

    /// FNV-1a with 64 bits: finds torn and flipped bytes, is no proof against forgery.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
