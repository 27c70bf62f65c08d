import BulkheadLaunch
import Testing

@Suite("HMAC")
struct HMACTests {
    /// Test cases 1 to 4, 6 and 7 of RFC 4231.
    @Test(
        "the examples of RFC 4231 have their codes",
        arguments: [
            (
                [UInt8](repeating: 0x0b, count: 20), Array("Hi There".utf8),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                [UInt8](repeating: 0xaa, count: 20), [UInt8](repeating: 0xdd, count: 50),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
            ),
            (
                Array(1...25), [UInt8](repeating: 0xcd, count: 50),
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
            ),
            (
                [UInt8](repeating: 0xaa, count: 131),
                Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
            (
                [UInt8](repeating: 0xaa, count: 131),
                Array(
                    ("This is a test using a larger than block-size key and a larger than block-size data. "
                        + "The key needs to be hashed before being used by the HMAC algorithm.").utf8
                ),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
            ),
        ] as [([UInt8], [UInt8], String)]
    )
    func examples(_ key: [UInt8], _ message: [UInt8], _ code: String) {
        let bytes = HMAC.code(of: message, key: key)
        let digits = bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
        #expect(digits.joined() == code)
    }

    @Test("codes match only when every byte does")
    func matching() {
        let code = HMAC.code(of: [1], key: [2])
        #expect(HMAC.matches(code, code))
        for index in code.indices {
            var other = code
            other[index] ^= 0x80
            #expect(!HMAC.matches(code, other))
        }
        #expect(!HMAC.matches(code, Array(code.dropLast())))
    }
}

@Suite("AdoptionHandshake")
struct AdoptionHandshakeTests {
    private static let secret = [UInt8](repeating: 1, count: 32)
    private static let one = [UInt8](repeating: 2, count: 32)
    private static let other = [UInt8](repeating: 3, count: 32)
    private static let handshake = AdoptionHandshake(
        secret: secret,
        launcherNonce: one,
        supervisorNonce: other
    )

    @Test("both sides with the secret accept each other")
    func accepts() {
        #expect(Self.handshake.accepts(supervisorProof: Self.handshake.supervisorProof))
        #expect(Self.handshake.accepts(launcherProof: Self.handshake.launcherProof))
    }

    @Test("what one side said does not serve the other, nor with the randoms exchanged")
    func reflection() {
        #expect(!Self.handshake.accepts(supervisorProof: Self.handshake.launcherProof))
        #expect(!Self.handshake.accepts(launcherProof: Self.handshake.supervisorProof))
        let mirrored = AdoptionHandshake(
            secret: Self.secret,
            launcherNonce: Self.other,
            supervisorNonce: Self.one
        )
        #expect(!Self.handshake.accepts(supervisorProof: mirrored.launcherProof))
        #expect(!Self.handshake.accepts(launcherProof: mirrored.supervisorProof))
        #expect(!Self.handshake.accepts(supervisorProof: mirrored.supervisorProof))
    }

    @Test("another secret, another random and an old proof are refused")
    func strangers() {
        let stranger = AdoptionHandshake(
            secret: Self.other,
            launcherNonce: Self.one,
            supervisorNonce: Self.other
        )
        #expect(!Self.handshake.accepts(supervisorProof: stranger.supervisorProof))
        let later = AdoptionHandshake(
            secret: Self.secret,
            launcherNonce: Self.secret,
            supervisorNonce: Self.other
        )
        #expect(!later.accepts(supervisorProof: Self.handshake.supervisorProof))
    }

    @Test("a short secret or random proves nothing")
    func short() {
        for (secret, nonce) in [([], Self.one), (Self.secret, [])] as [([UInt8], [UInt8])] {
            let handshake = AdoptionHandshake(secret: secret, launcherNonce: nonce, supervisorNonce: Self.one)
            #expect(!handshake.accepts(supervisorProof: handshake.supervisorProof))
            #expect(!handshake.accepts(launcherProof: handshake.launcherProof))
        }
    }
}
