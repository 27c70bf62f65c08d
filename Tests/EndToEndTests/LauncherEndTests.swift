import BulkheadLaunch
import CLinux
import Foundation
import Glibc
import Testing

@Suite("Launcher's own end", .serialized)
struct LauncherEndTests {
    @Test("the end of the control socket ends the tree and the launcher")
    func hangUp() throws {
        let mark = "33\(getpid())"
        let driver = try LauncherDriver()
        let attempt = try driver.launch(
            shell("trap '' TERM; (setsid sleep \(mark) &); echo up; exec sleep \(mark)")
        )
        var report = AttemptReport()
        while report.stdout.isEmpty { _ = try report.take(try driver.receive()) }
        #expect(attempt == 1)
        driver.hangUp()
        #expect(try driver.waitForExit() == 0)
        #expect(try processes(holding: "sleep\0\(mark)").isEmpty)
    }

    @Test("an idle launcher goes with its supervisor")
    func idleHangUp() throws {
        let driver = try LauncherDriver()
        driver.hangUp()
        #expect(try driver.waitForExit() == 0)
    }

    @Test("a handler dies with a launcher that is killed")
    func killedLauncher() throws {
        let mark = "34\(getpid())"
        let driver = try LauncherDriver()
        _ = try driver.launch(shell("exec sleep \(mark)"))
        guard case .started(_, let pid, _) = try driver.receive() else {
            Issue.record("no started message")
            return
        }
        let handler = clinux_pidfd_open(pid)
        defer { close(handler) }
        kill(driver.pid, SIGKILL)
        #expect(try driver.waitForExit() == 128 + SIGKILL)
        var entry = pollfd(fd: handler, events: Int16(POLLIN), revents: 0)
        #expect(unsafe clinux_poll(&entry, 1, 10_000_000_000) == 1)
    }

    @Test("a terminal's and a service manager's signals do not end a launcher")
    func ignoresSignals() throws {
        let driver = try LauncherDriver()
        for number in [SIGTERM, SIGINT, SIGHUP] { kill(driver.pid, number) }
        #expect(try driver.run(shell("exit 2")).outcome?.ending == .exited(code: 2))
    }

    @Test("what the protocol does not know ends a launcher with its own exit status", arguments: 0..<5)
    func violation(kind: Int) throws {
        let driver = try LauncherDriver()
        switch kind {
        case 0: try driver.send([1, 2, 3])
        case 1: try driver.send([UInt8](repeating: 0, count: 10_000))
        case 2: try driver.send(MessageCodec.encode(LauncherMessage.ready(version: 1, pid: 1)))
        case 3: try driver.send(.outcomeAck(attempt: 1), [STDIN_FILENO])
        default: try driver.send(.prepare(Preparation(slot: 1, secret: [UInt8](repeating: 0, count: 32))))
        }
        #expect(try driver.waitForExit() == 76)
    }

    @Test("a second launch ends the running tree and the launcher")
    func secondLaunch() throws {
        let mark = "35\(getpid())"
        let driver = try LauncherDriver()
        _ = try driver.launch(shell("exec sleep \(mark)"))
        guard case .started = try driver.receive() else {
            Issue.record("no started message")
            return
        }
        _ = try driver.launch(shell("exit 0"))
        #expect(try driver.waitForExit() == 76)
        #expect(try processes(holding: "sleep\0\(mark)").isEmpty)
    }

    @Test("messages about other attempts change nothing")
    func staleMessages() throws {
        let driver = try LauncherDriver()
        let attempt = try driver.launch(shell("echo up; sleep 0.1; exit 8"))
        try driver.send(.stop(attempt: 99, reason: .cancelled))
        try driver.send(.outputAck(attempt: 99, stream: .stdout, offset: 1 << 40))
        try driver.send(.outcomeAck(attempt: 99))
        try driver.send(.outcomeAck(attempt: attempt))
        let report = try driver.collect(attempt)
        #expect(report.outcome?.ending == .exited(code: 8))
    }

    @Test("without the supervisor's socket the program says what it is")
    func byHand() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: LauncherDriver.program)
        process.standardInput = FileHandle.nullDevice
        let pipe = Foundation.Pipe()
        process.standardError = pipe
        try process.run()
        let words = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 64)
        #expect(String(decoding: words, as: UTF8.self).contains("bulkhead serve"))
    }
}
