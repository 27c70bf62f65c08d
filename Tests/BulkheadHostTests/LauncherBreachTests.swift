import BulkheadCore
import BulkheadLaunch
import Testing

@testable import BulkheadHost

/// Launchers that do wrong: shell scripts whose stdin is the control socket.
@Suite("Launchers that break the protocol", .serialized, .timeLimit(.minutes(5)))
struct LauncherBreachTests {
    private typealias Bench = LauncherWorkbench

    /// Says `ready` as a real launcher does, with the shell's own number.
    private static let sayReady = """
        byte() { printf '\\\\%03o' $(( $$ >> $1 & 255 )); }
        ready() { printf "BHKL\\001\\000A\\001\\000$(byte 0)$(byte 8)$(byte 16)$(byte 24)" >&0; }
        packet() { dd bs=204800 count=1 <&0 >/dev/null 2>&1; }
        packet; ready
        """

    /// What `take` says about a launcher with this body.
    private func failure(_ body: String, ready: Duration = .seconds(30)) async throws -> BulkheadError {
        let script = try Bench.script(body)
        defer { Bench.removeScript(script) }
        let pool = try Bench.pool(launcher: script, times: LauncherPool.Times(ready: ready))
        let error = await #expect(throws: BulkheadError.self) { _ = try await pool.take() }
        await pool.stop()
        return try #require(error)
    }

    /// What the reader of an attempt learns at last from a launcher that is ready and then does this.
    private func loss(_ body: String) async throws -> String? {
        let script = try Bench.script(Self.sayReady + "\n" + body)
        defer { Bench.removeScript(script) }
        let pool = try Bench.pool(launcher: script, times: LauncherPool.Times(retiring: .milliseconds(200)))
        let launcher = try await pool.take()
        let said = try await launcher.run(Bench.spec(1, "/bin/true"))
        #expect(said.outcome == nil)
        await pool.stop()
        return said.lost
    }

    @Test("garbage instead of ready")
    func garbage() async throws {
        let error = try await failure("printf 'what is this' >&0; exec sleep 100")
        #expect(error.code == .host)
        #expect(error.cause == "it broke the protocol: unknown magic number 0x74616877")
    }

    @Test("an end before ready")
    func endsAtOnce() async throws {
        let error = try await failure("exit 3")
        #expect(error.code == .host)
    }

    @Test("silence instead of ready")
    func silence() async throws {
        let error = try await failure("exec sleep 100", ready: .milliseconds(50))
        #expect(error.code == .host)
        #expect(error.cause == "it broke the protocol: it did not say ready in time")
    }

    @Test("a packet that is longer than any message")
    func oversized() async throws {
        let error = try await failure("dd if=/dev/zero bs=204801 count=1 >&0 2>/dev/null; exec sleep 100")
        #expect(error.cause == "it sent a packet of more than 204800 bytes")
    }

    @Test("ready of another process")
    func foreignReady() async throws {
        let error = try await failure(#"printf 'BHKL\001\000A\001\000\001\000\000\000' >&0; exec sleep 100"#)
        #expect(error.cause?.hasPrefix("it broke the protocol: ready names process 1, not ") == true)
    }

    @Test("garbage during an attempt")
    func garbageInAttempt() async throws {
        let reason = try await loss("packet; printf garbage >&0; exec sleep 100 </dev/null")
        #expect(reason?.hasPrefix("it broke the protocol: unknown magic number") == true)
    }

    @Test("a second ready during an attempt")
    func readyInAttempt() async throws {
        let reason = try await loss("packet; ready; exec sleep 100 </dev/null")
        #expect(reason?.hasPrefix("it broke the protocol: ready came unasked") == true)
    }

    @Test("a death during an attempt, with last words and exit status")
    func lastWords() async throws {
        let reason = try await loss("packet; echo 'out of luck' >&2; exit 7")
        #expect(reason == "its control socket ended; it exited with 7, its last words: out of luck")
    }

    @Test("a missing or unfit launcher is said by name, and costs no descriptors")
    func missing() async throws {
        for path in ["/nowhere/launcher", "/etc", "/etc/passwd"] {
            let pool = try Bench.pool(launcher: path)
            let error = await #expect(throws: BulkheadError.self) { _ = try await pool.take() }
            #expect(error?.code == .host)
            #expect(error?.message.contains(path) == true)
            await pool.stop()
        }
    }
}
