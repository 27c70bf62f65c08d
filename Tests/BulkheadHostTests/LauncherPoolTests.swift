import BulkheadCore
import BulkheadLaunch
import Foundation
import Glibc
import Testing

@testable import BulkheadHost

/// Over the built launcher.
@Suite("LauncherPool", .serialized, .timeLimit(.minutes(5)))
struct LauncherPoolTests {
    private typealias Bench = LauncherWorkbench

    @Test("one launcher runs task after task")
    func reuse() async throws {
        let pool = try Bench.pool()
        var marks: Set<ProcessMark> = []
        for attempt in 1...200 as ClosedRange<UInt64> {
            let launcher = try await pool.take()
            marks.insert(launcher.mark)
            let said = try await launcher.run(Bench.spec(attempt, "/bin/echo", "\(attempt)"))
            #expect(said.stdout == Array("\(attempt)\n".utf8))
            #expect(said.outcome?.ending == .exited(code: 0))
            pool.giveBack(launcher)
        }
        #expect(marks.count == 1)
        await pool.stop()
    }

    @Test("a handler reads its stdin to the end of file")
    func stdin() async throws {
        let pool = try Bench.pool()
        let launcher = try await pool.take()
        let content = (0..<2_500_000).map { UInt8(truncatingIfNeeded: $0 / 3) }
        let said = try await launcher.run(Bench.spec(1, "/bin/cat"), stdin: content)
        #expect(said.stdout == content)
        pool.giveBack(launcher)
        await pool.stop()
    }

    @Test("32 launches at once each have a launcher and a slot of their own")
    func manyAtOnce() async throws {
        let pool = try Bench.pool(maximumIdle: 32)
        let launchers = try await withThrowingTaskGroup(of: Launcher.self) { group in
            for _ in 0..<32 { group.addTask { try await pool.take() } }
            var taken: [Launcher] = []
            for try await launcher in group { taken.append(launcher) }
            return taken
        }
        #expect(Set(launchers.map(\.mark)).count == 32)
        #expect(Set(launchers.map(\.slot)) == Set(0..<32))
        #expect(Set(pool.marks) == Set(launchers.map(\.mark)))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, launcher) in launchers.enumerated() {
                group.addTask {
                    let said = try await launcher.run(Bench.spec(UInt64(number), "/bin/echo", "\(number)"))
                    #expect(said.stdout == Array("\(number)\n".utf8))
                    pool.giveBack(launcher)
                }
            }
            try await group.waitForAll()
        }
        await pool.stop()
        for launcher in launchers { #expect(!ProcessIdentity.isAlive(launcher.mark)) }
    }

    @Test("a launcher that is killed yields lost, nothing of its tree remains, and a fresh one comes next")
    func killedLauncher() async throws {
        let pool = try Bench.pool()
        let launcher = try await pool.take()
        let spec = Bench.spec(1, "/bin/sh", "-c", "sleep 100 & echo ready; sleep 100")
        var tree: [ProcessMark] = []
        var reason: String?
        for await event in try launcher.launch(spec, stdin: []) {
            switch event {
            case .message(.output):
                let handler = try #require(launcher.handler)
                tree = ProcessTree.members(of: handler, among: ProcessStatus.all()).map {
                    ProcessMark(pid: $0.pid, startTime: $0.startTime, bootID: ProcessIdentity.bootID)
                }
                #expect(ProcessIdentity.kill(launcher.mark))
            case .message, .left: break
            case .lost(let why): reason = why
            }
        }
        #expect(reason == "its control socket ended; signal 9 ended it")
        #expect(tree.count >= 2)
        for mark in tree + [launcher.mark] { #expect(!ProcessIdentity.isAlive(mark)) }
        pool.giveBack(launcher)
        let next = try await pool.take()
        #expect(next.mark != launcher.mark)
        #expect(try await next.run(Bench.spec(2, "/bin/true")).outcome?.ending == .exited(code: 0))
        await pool.stop()
    }

    @Test("an idle launcher that is killed is not handed out")
    func killedWhileIdle() async throws {
        let pool = try Bench.pool()
        let launcher = try await pool.take()
        pool.giveBack(launcher)
        #expect(ProcessIdentity.kill(launcher.mark))
        // Its end reaches the pool by itself; until then it may be handed out, and the launch then says lost.
        var next = try await pool.take()
        while next === launcher {
            let said = try? await next.run(Bench.spec(1, "/bin/true"))
            #expect(said?.outcome == nil)
            pool.giveBack(next)
            next = try await pool.take()
        }
        #expect(try await next.run(Bench.spec(2, "/bin/true")).outcome?.ending == .exited(code: 0))
        await pool.stop()
    }

    @Test("a refused launch leaves the launcher as good as before")
    func refused() async throws {
        let pool = try Bench.pool()
        let launcher = try await pool.take()
        let said = try await launcher.run(Bench.spec(1, "/nowhere/at/all"))
        #expect(said.refusal?.stage == .exec)
        #expect(said.refusal?.errno == ENOENT)
        #expect(said.started == nil)
        pool.giveBack(launcher)
        let again = try await pool.take()
        #expect(again === launcher)
        #expect(try await again.run(Bench.spec(2, "/bin/true")).outcome?.ending == .exited(code: 0))
        await pool.stop()
    }

    @Test("a spec beyond its limit is refused before it is sent")
    func oversizedSpec() async throws {
        let pool = try Bench.pool()
        let launcher = try await pool.take()
        var spec = Bench.spec(1, "/bin/true")
        spec.arguments = [String](repeating: String(repeating: "a", count: 100_000), count: 30)
        let error = #expect(throws: BulkheadError.self) { try launcher.launch(spec, stdin: []) }
        #expect(error?.code == .internal)
        #expect(try await launcher.run(Bench.spec(2, "/bin/true")).outcome?.ending == .exited(code: 0))
        await pool.stop()
    }

    @Test("a launcher that has an attempt takes no other")
    func onlyOneAttempt() async throws {
        let pool = try Bench.pool()
        let launcher = try await pool.take()
        let events = try launcher.launch(Bench.spec(1, "/bin/true"), stdin: [])
        let error = #expect(throws: BulkheadError.self) {
            try launcher.launch(Bench.spec(2, "/bin/true"), stdin: [])
        }
        #expect(error?.code == .internal)
        for await _ in events {}
        await pool.stop()
        let late = #expect(throws: BulkheadError.self) {
            try launcher.launch(Bench.spec(3, "/bin/true"), stdin: [])
        }
        #expect(late?.code == .unavailable)
    }

    @Test("a stop reaches the handler")
    func stopMessage() async throws {
        let pool = try Bench.pool()
        let launcher = try await pool.take()
        let said = try await launcher.run(Bench.spec(1, "/bin/sleep", "100")) { _ in
            launcher.send(.stop(attempt: 9, reason: .timeout))
            launcher.send(.stop(attempt: 1, reason: .cancelled))
        }
        #expect(said.outcome?.ending == .signaled(signal: SIGTERM))
        #expect(said.outcome?.stop == .cancelled)
        await pool.stop()
    }

    @Test("a reader that leaves a flood unread holds the handler up, and then gets every byte")
    func backPressure() async throws {
        let pool = try Bench.pool()
        let launcher = try await pool.take()
        let lines = 100_000
        let spec = Bench.spec(
            1,
            "/bin/sh",
            "-c",
            "seq 1 \(lines) | sed 's/.*/{\"progress\":{\"message\":\"&\"}}/' >&3"
        )
        var count = 0
        var inOrder = true
        var understood = MeaningBatch()
        for await event in try launcher.launch(spec, stdin: []) {
            guard case .message(.event(_, let line, _, _)) = event else { continue }
            if let meanings = understood.add(.progress, bytes: line.count) {
                launcher.send(.eventAck(attempt: 1, meanings: meanings))
            }
            count += 1
            inOrder = inOrder && line.starts(with: Array("{\"progress\":{\"message\":\"\(count)\"".utf8))
            if count == 1 { try await holdUntilFull(launcher) }
        }
        #expect(count == lines)
        #expect(inOrder)
        await pool.stop()
    }

    /// Waits until the handler's writer has been asleep on its pipe for a while.
    private func holdUntilFull(_ launcher: Launcher) async throws {
        let handler = try #require(launcher.handler)
        let ended = await ProcessIdentity.waitForEnd(of: handler, atMost: .seconds(2))
        #expect(!ended, "100,000 events do not fit into what may be unread")
    }

    @Test("a launcher that is given back with its attempt unfinished is ended")
    func givenBackTooEarly() async throws {
        let pool = try Bench.pool()
        let launcher = try await pool.take()
        var lost: String?
        var handler: ProcessMark?
        for await event in try launcher.launch(Bench.spec(1, "/bin/sleep", "100"), stdin: []) {
            if case .message(.started) = event {
                handler = launcher.handler
                pool.giveBack(launcher)
            }
            if case .lost(let reason) = event { lost = reason }
        }
        #expect(lost == "it was given back before its outcome was acknowledged")
        #expect(!ProcessIdentity.isAlive(try #require(handler)))
        #expect(!ProcessIdentity.isAlive(launcher.mark))
        await pool.stop()
    }

    @Test("a discarded launcher that does not react is killed")
    func discardedWhileStopped() async throws {
        let times = LauncherPool.Times(retiring: .milliseconds(100))
        let pool = try Bench.pool(times: times)
        let launcher = try await pool.take()
        var lost: String?
        var handler: ProcessMark?
        for await event in try launcher.launch(Bench.spec(1, "/bin/sleep", "100"), stdin: []) {
            if case .message(.started) = event {
                handler = launcher.handler
                #expect(ProcessIdentity.send(SIGSTOP, to: launcher.mark))
                pool.discard(launcher, reason: "it did not react")
            }
            if case .lost(let reason) = event { lost = reason }
        }
        #expect(lost == "it did not react; signal 9 ended it")
        #expect(!ProcessIdentity.isAlive(try #require(handler)))
        await pool.stop()
    }

    @Test("a launcher that stands still beyond its attempt's time is ended with its handler")
    func stuck() async throws {
        let pool = try Bench.pool(
            times: LauncherPool.Times(retiring: .milliseconds(100), silence: .milliseconds(400))
        )
        let launcher = try await pool.take()
        var handler: ProcessMark?
        var lost: String?
        for await event in try launcher.launch(Bench.spec(1, "/bin/sleep", "100"), stdin: []) {
            if case .message(.started) = event {
                handler = launcher.handler
                #expect(ProcessIdentity.send(SIGSTOP, to: launcher.mark))
                launcher.send(.stop(attempt: 1, reason: .cancelled))
            }
            if case .lost(let reason) = event { lost = reason }
        }
        #expect(lost?.contains("silent for 0.4 seconds after its attempt's time") == true)
        #expect(!ProcessIdentity.isAlive(try #require(handler)))
        await pool.stop()
    }

    @Test("idle launchers go after their time")
    func idleTime() async throws {
        let pool = try Bench.pool(idleTime: .milliseconds(30))
        let launcher = try await pool.take()
        pool.giveBack(launcher)
        #expect(await ProcessIdentity.waitForEnd(of: launcher.mark, atMost: .seconds(10)))
        let next = try await pool.take()
        #expect(next !== launcher)
        await pool.stop()
    }

    @Test("no more idle launchers are kept than asked for, also after that was changed")
    func maximumIdle() async throws {
        let pool = try Bench.pool(maximumIdle: 2)
        var launchers: [Launcher] = []
        for _ in 0..<4 { launchers.append(try await pool.take()) }
        for launcher in launchers { pool.giveBack(launcher) }
        #expect(await ProcessIdentity.waitForEnd(of: launchers[..<2].map(\.mark), atMost: .seconds(10)))
        #expect(launchers[2...].allSatisfy { ProcessIdentity.isAlive($0.mark) })
        pool.keepIdle(atMost: 0)
        #expect(await ProcessIdentity.waitForEnd(of: launchers.map(\.mark), atMost: .seconds(10)))
        await pool.stop()
    }

    @Test("the stop ends busy and idle launchers with their handlers, and none is handed out after it")
    func stopEndsEverything() async throws {
        let pool = try Bench.pool()
        let busy = try await pool.take()
        let idle = try await pool.take()
        pool.giveBack(idle)
        let events = try busy.launch(Bench.spec(1, "/bin/sh", "-c", "trap '' TERM; sleep 100"), stdin: [])
        var handler: ProcessMark?
        var lost: String?
        for await event in events {
            if case .message(.started) = event {
                handler = busy.handler
                Task { await pool.stop() }
            }
            if case .lost(let reason) = event { lost = reason }
        }
        #expect(lost == "the supervisor is stopping")
        await pool.stop()
        #expect(pool.marks.isEmpty)
        for mark in [busy.mark, idle.mark, try #require(handler)] { #expect(!ProcessIdentity.isAlive(mark)) }
        #expect(ProcessIdentity.mark(of: busy.mark.pid) != busy.mark, "it was reaped")
        let error = await #expect(throws: BulkheadError.self) { _ = try await pool.take() }
        #expect(error?.code == .unavailable)
    }

    @Test("a pool that is dropped ends its launchers")
    func dropped() async throws {
        var pool: LauncherPool? = try Bench.pool()
        let mark = try #require(try await pool?.take().mark)
        pool = nil
        #expect(await ProcessIdentity.waitForEnd(of: mark, atMost: .seconds(10)))
    }
}
