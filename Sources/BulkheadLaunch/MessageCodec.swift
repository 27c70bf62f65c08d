/// Bytes of one packet to a message and back.
///
/// A packet is little-endian: magic (u32), version (u16), kind (u8), then the kind's fields. Kinds of the two
/// directions differ, so that a message that comes the wrong way round is unknown.
public enum MessageCodec {
    static let magic: UInt32 = 0x4C4B_4842  // "BHKL"

    /// The bytes of a supervisor's message.
    public static func encode(_ message: SupervisorMessage) -> [UInt8] {
        var writer = header()
        message.write(to: &writer)
        return writer.bytes
    }

    /// The bytes of a launcher's message.
    public static func encode(_ message: LauncherMessage) -> [UInt8] {
        var writer = header(payload: message.payloadBytes)
        message.write(to: &writer)
        return writer.bytes
    }

    /// Reads a supervisor's message from one whole packet.
    ///
    /// - Parameter packet: The packet's bytes, all of them.
    /// - Returns: The message.
    /// - Throws: What is wrong with the bytes.
    public static func supervisorMessage(_ packet: ArraySlice<UInt8>) throws(CodecError) -> SupervisorMessage
    {
        var reader = try body(of: packet)
        let message = try SupervisorMessage(from: &reader)
        try reader.end()
        return message
    }

    /// Reads a launcher's message from one whole packet.
    ///
    /// - Parameter packet: The packet's bytes, all of them.
    /// - Returns: The message.
    /// - Throws: What is wrong with the bytes.
    public static func launcherMessage(_ packet: ArraySlice<UInt8>) throws(CodecError) -> LauncherMessage {
        var reader = try body(of: packet)
        let message = try LauncherMessage(from: &reader)
        try reader.end()
        return message
    }

    private static func header(payload: Int = 0) -> ByteWriter {
        var writer = ByteWriter(reserving: 64 + payload)
        writer.put(magic)
        writer.put(LaunchLimits.protocolVersion)
        return writer
    }

    private static func body(of packet: ArraySlice<UInt8>) throws(CodecError) -> ByteReader {
        var reader = ByteReader(packet)
        let found = try reader.number(UInt32.self, "magic")
        guard found == magic else { throw .wrongMagic(found: found) }
        let version = try reader.number(UInt16.self, "version")
        guard version == LaunchLimits.protocolVersion else { throw .unknownVersion(found: version) }
        return reader
    }
}
