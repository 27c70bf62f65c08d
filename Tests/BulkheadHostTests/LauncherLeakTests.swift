import BulkheadCore
import BulkheadLaunch
import CLinux
import Foundation
import Testing

@testable import BulkheadHost

/// In processes of their own, where nothing else opens descriptors or lowers limits.
@Suite("What launchers cost the supervisor", .serialized, .timeLimit(.minutes(5)))
struct LauncherLeakTests {
    @Test("descriptors and threads are flat over many tasks, and launchers leave none behind")
    func flat() async {
        await #expect(processExitsWith: .success) {
            let pool = try LauncherWorkbench.pool()
            var early: Usage?
            for attempt in 1...400 as ClosedRange<UInt64> {
                let launcher = try await pool.take()
                let said = try await launcher.run(LauncherWorkbench.spec(attempt, "/bin/echo", "hello"))
                #expect(said.stdout.count == 6)
                pool.giveBack(launcher)
                if attempt == 100 { early = try Usage() }
            }
            let late = try Usage()
            // The margin is for threads and queues that the runtime makes and drops with its load.
            #expect(late.descriptors <= (try #require(early).descriptors) + 4)
            #expect(late.threads <= (try #require(early).threads) + 4)
            await pool.stop()
        }
    }

    @Test("pools and launchers that come and go leave no descriptor, thread or zombie behind")
    func cycles() async {
        await #expect(processExitsWith: .success) {
            var early: Usage?
            for cycle in 0..<25 {
                let pool = try LauncherWorkbench.pool()
                let launchers = [try await pool.take(), try await pool.take()]
                for launcher in launchers { pool.giveBack(launcher) }
                await pool.stop()
                if cycle == 4 { early = try Usage() }
            }
            let late = try Usage()
            #expect(late.descriptors <= (try #require(early).descriptors) + 8)
            #expect(late.threads <= (try #require(early).threads) + 4)
            #expect(late.children == 0)
        }
    }

    @Test("near the limit of open files no launcher is started, and it recovers by itself")
    func gate() async {
        await #expect(processExitsWith: .success) {
            let pool = try LauncherWorkbench.pool()
            let first = try await pool.take()
            let limit = UInt64(try Usage().descriptors + 40)
            var hard: UInt64 = 0
            var soft: UInt64 = 0
            try #require(unsafe clinux_get_limit(clinux_limit_open_files, &soft, &hard) == 0)
            #expect(soft == hard, "the soft limit was raised")
            try #require(clinux_set_limit(clinux_limit_open_files, limit, hard) == 0)
            let error = await #expect(throws: BulkheadError.self) { _ = try await pool.take() }
            #expect(error?.code == .host)
            #expect(error?.message.contains("file descriptors are free, 64 must be") == true)
            // The one that was there before goes on with its tasks.
            let said = try await first.run(LauncherWorkbench.spec(1, "/bin/true"))
            #expect(said.outcome?.ending == .exited(code: 0))
            try #require(clinux_set_limit(clinux_limit_open_files, hard, hard) == 0)
            let second = try await pool.take()
            #expect(try await second.run(LauncherWorkbench.spec(2, "/bin/true")).outcome != nil)
            await pool.stop()
        }
    }

    @Test("a launch without a single descriptor is refused, and the launcher is as good as before")
    func exhausted() async {
        await #expect(processExitsWith: .success) {
            let pool = try LauncherWorkbench.pool()
            let launcher = try await pool.take()
            var hard: UInt64 = 0
            var soft: UInt64 = 0
            try #require(unsafe clinux_get_limit(clinux_limit_open_files, &soft, &hard) == 0)
            try #require(clinux_set_limit(clinux_limit_open_files, 3, hard) == 0)
            let error = #expect(throws: BulkheadError.self) {
                try launcher.launch(LauncherWorkbench.spec(1, "/bin/true"), stdin: [])
            }
            try #require(clinux_set_limit(clinux_limit_open_files, hard, hard) == 0)
            #expect(error?.code == .host)
            #expect(error?.advice?.contains("LimitNOFILE") == true)
            #expect(try await launcher.run(LauncherWorkbench.spec(1, "/bin/true")).outcome != nil)
            await pool.stop()
        }
    }
}

/// What this process holds.
private struct Usage {
    let descriptors: Int
    let threads: Int
    let children: Int

    init() throws {
        descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count
        children = ProcessStatus.all().count { $0.parent == ProcessInfo.processInfo.processIdentifier }
    }
}
