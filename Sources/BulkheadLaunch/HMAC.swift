/// HMAC with SHA-256 (RFC 2104, FIPS 198-1).
public enum HMAC {
    /// Makes the code of a message under a key.
    ///
    /// - Parameters:
    ///   - message: What is to be proved.
    ///   - key: The secret, of any length.
    /// - Returns: 32 bytes.
    public static func code(of message: [UInt8], key: [UInt8]) -> [UInt8] {
        var block = key
        if block.count > SHA256.blockBytes {
            var hash = SHA256()
            hash.update(key)
            block = hash.finishBytes()
        }
        block += [UInt8](repeating: 0, count: SHA256.blockBytes - block.count)
        var inner = SHA256()
        inner.update(block.map { $0 ^ 0x36 })
        inner.update(message)
        var outer = SHA256()
        outer.update(block.map { $0 ^ 0x5c })
        outer.update(inner.finishBytes())
        return outer.finishBytes()
    }

    /// Whether two codes are the same, in a time that does not tell where they differ.
    public static func matches(_ one: [UInt8], _ other: [UInt8]) -> Bool {
        guard one.count == other.count else { return false }
        var difference: UInt8 = 0
        for index in one.indices { difference |= one[index] ^ other[index] }
        return difference == 0
    }
}
