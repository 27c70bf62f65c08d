import BulkheadLaunch
import CLinux
import Foundation
import Glibc
import Testing

/// A folder of a test's own, removed with it.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = "/tmp/bulkhead-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        unsafe chmod(path, 0o755)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    func file(_ name: String, _ bytes: [UInt8], mode: mode_t = 0o644) throws -> String {
        let file = "\(path)/\(name)"
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        unsafe chmod(file, mode)
        return file
    }
}

@Suite("Launcher's confinement", .serialized)
struct LauncherSandboxTests {
    static let mkdir = [clinux_mkdir_number, clinux_mkdirat_number]

    @Test("a denied call gets its errno, is counted by number and told in few messages")
    func denied() throws {
        let folder = try TemporaryFolder()
        var spec = shell(
            "for i in $(seq 50); do mkdir \(folder.path)/d$i 2>/dev/null && exit 9; done; mkdir x"
        )
        spec.workingFolder = folder.path
        spec.filter = FilterSpec(
            program: notifyingFilter(Self.mkdir),
            hasListener: true,
            onDenied: .errno(EPERM)
        )
        let report = try LauncherDriver().run(spec)
        #expect(report.outcome?.ending == .exited(code: 1))
        #expect(String(decoding: report.stderr, as: UTF8.self).contains("Operation not permitted"))
        #expect(report.denied.values.reduce(0, +) == 51)
        #expect(report.outcome?.deniedTotal == 51)
        #expect(Set(report.denied.keys).isSubset(of: Set(Self.mkdir.map { UInt32(bitPattern: $0) })))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test("on-denied kill ends the tree at the first denied call and names it")
    func onDeniedKill() throws {
        var spec = shell("sleep 1000 & mkdir /tmp/never-made; echo survived")
        spec.filter = FilterSpec(program: notifyingFilter(Self.mkdir), hasListener: true, onDenied: .kill)
        let outcome = try #require(try LauncherDriver().run(spec).outcome)
        #expect(outcome.stop == .syscallDenied)
        #expect(outcome.ending == .signaled(signal: SIGKILL))
        #expect(outcome.deniedTotal == 1)
        let killer = try #require(outcome.killedBySyscall)
        #expect(Self.mkdir.contains(Int32(bitPattern: killer)))
    }

    @Test("a loop of denied calls is ended beyond its limit")
    func deniedLimit() throws {
        var spec = LaunchSpec(
            attempt: 0,
            executable: "/usr/bin/python3",
            arguments: ["python3", "-c", Self.deniedLoop],
            workingFolder: "/"
        )
        let program = notifyingFilter(Self.mkdir)
        spec.filter = FilterSpec(
            program: program,
            hasListener: true,
            onDenied: .errno(EPERM),
            deniedLimit: 2000
        )
        let report = try LauncherDriver().run(spec)
        #expect(report.outcome?.stop == .syscallDenied)
        #expect(report.outcome?.deniedTotal == 2001)
        #expect(report.denied.values.reduce(0, +) == 2001)
    }

    static let deniedLoop = """
        import os
        while True:
            try: os.mkdir("/tmp/never-made")
            except PermissionError: pass
        """

    @Test("of notified execs only the handler's own goes through")
    func firstExec() throws {
        var spec = shell("type exec >/dev/null && echo started; /bin/true || echo denied")
        spec.filter = FilterSpec(
            program: notifyingFilter([clinux_execve_number]),
            hasListener: true,
            firstExecNotified: true,
            onDenied: .errno(EPERM)
        )
        let report = try LauncherDriver().run(spec)
        #expect(report.text == "started\ndenied\n")
        #expect(report.denied[UInt32(bitPattern: clinux_execve_number)] == 1)
    }

    @Test("an exec that is denied to the launcher itself is refused at the exec")
    func deniedOwnExec() throws {
        var spec = shell("exit 0")
        let program = notifyingFilter([clinux_execve_number])
        spec.filter = FilterSpec(program: program, hasListener: true, onDenied: .errno(EPERM))
        let report = try LauncherDriver().run(spec)
        #expect(report.refusal?.stage == .exec)
        #expect(report.refusal?.errno == EPERM)
    }

    @Test("on-denied kill of the launcher's own exec is a refusal too")
    func killedByOwnDenial() throws {
        var spec = shell("exit 0")
        let program = notifyingFilter([clinux_execve_number])
        spec.filter = FilterSpec(program: program, hasListener: true, onDenied: .kill)
        let report = try LauncherDriver().run(spec)
        #expect(report.refusal?.stage == .exec)
        #expect(report.refusal?.errno == EPERM)
    }

    @Test("a filter that kills the exec is a refusal, not an end of the handler")
    func killedOwnExec() throws {
        var program = notifyingFilter([clinux_execve_number])
        program.replaceSubrange(program.count - 4..<program.count, with: [0, 0, 0, 0x80])
        var spec = shell("exit 0")
        spec.filter = FilterSpec(program: program)
        let report = try LauncherDriver().run(spec)
        #expect(report.refusal?.stage == .exec)
        #expect(report.outcome == nil)
    }

    @Test("a program that is no filter is refused at the filter")
    func badFilter() throws {
        var spec = shell("exit 0")
        for hasListener in [true, false] {
            spec.filter = FilterSpec(program: [UInt8](repeating: 0xff, count: 8), hasListener: hasListener)
            let report = try LauncherDriver().run(spec)
            #expect(report.refusal?.stage == .filter)
            #expect(report.refusal?.errno == EINVAL)
        }
    }

    @Test("file rules deny what they do not allow")
    func landlock() throws {
        let folder = try TemporaryFolder()
        let secret = try folder.file("secret", Array("secret".utf8))
        let open = try folder.file("open", Array("open".utf8))
        var spec = shell("cat \(open); cat \(secret); cat /proc/self/comm; cat < /proc/$$/comm")
        let reading = CLINUX_LANDLOCK_READ_FILE | CLINUX_LANDLOCK_READ_DIR | CLINUX_LANDLOCK_EXECUTE
        var rules = ["/usr", "/bin", "/lib", "/lib64", "/etc"].map {
            LandlockRule(path: $0, access: reading, optional: true)
        }
        rules.append(LandlockRule(path: open, access: reading))
        spec.landlock = LandlockSpec(handledAccess: reading, rules: rules, allowOwnProc: true)
        let report = try LauncherDriver().run(spec)
        #expect(report.text == "openbash\n")
        #expect(String(decoding: report.stderr, as: UTF8.self).contains("\(secret): Permission denied"))
    }

    @Test("limits are set and no core is left")
    func limits() throws {
        let folder = try TemporaryFolder()
        var spec = shell("ulimit -c; ulimit -Hc; ulimit -n; ulimit -Hn; ulimit -f; ulimit -t; kill -ABRT $$")
        spec.workingFolder = folder.path
        spec.openFiles = 64
        spec.fileSizeBytes = 4096
        spec.cpuNanoseconds = 5_000_000_000
        let report = try LauncherDriver().run(spec)
        #expect(report.text == "0\n0\n64\n64\n4\n6\n")
        #expect(report.outcome?.ending == .signaled(signal: SIGABRT))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test("a handler has fd 0 to 3 and no other, whatever the launcher inherited")
    func inheritedDescriptors() throws {
        let leaked = (0..<20).map { _ in dup(STDERR_FILENO) }
        let driver = try LauncherDriver()
        for descriptor in leaked { close(descriptor) }
        // The fourth is that of the listing itself.
        let report = try driver.run(shell("exec ls /proc/self/fd"))
        #expect(report.text == "0\n1\n2\n3\n4\n")
    }

    @Test("signals, session, umask and privileges are reset whatever the launcher inherited")
    func resetState() throws {
        let driver = try LauncherDriver(by: ["/bin/sh", "-c", "trap '' TERM USR1; umask 077; exec \"$0\""])
        let fields = "SigBlk|SigIgn|NoNewPrivs|Seccomp:|CapInh|CapPrm|CapEff|CapAmb|Umask"
        let report = try driver.run(
            shell("ps -o sid= -p $$ | grep -qw $$ && echo leads; grep -E '\(fields)' /proc/self/status")
        )
        let zero = "0000000000000000"
        for line in [
            "SigBlk:\t\(zero)", "SigIgn:\t\(zero)", "NoNewPrivs:\t1", "CapEff:\t\(zero)", "Umask:\t0022",
        ] {
            #expect(report.text.contains(line))
        }
        for set in ["CapInh", "CapPrm", "CapAmb"] { #expect(report.text.contains("\(set):\t\(zero)")) }
        #expect(report.text.contains("leads"))
    }

    @Test(
        "as root the handler gets its user, no groups and no capabilities",
        .enabled(if: isRoot, "needs root")
    )
    func userChange() throws {
        var spec = shell(
            "id -u; id -g; grep -E 'Groups|Cap(Prm|Eff|Bnd)|^Uid' /proc/self/status; kill -0 $PPID"
        )
        spec.user = LaunchUser(uid: 2_000_000_017, gid: 2_000_000_018)
        let report = try LauncherDriver().run(spec)
        let zero = "0000000000000000"
        #expect(report.text.hasPrefix("2000000017\n2000000018\n"))
        #expect(report.text.contains("Uid:\t2000000017\t2000000017\t2000000017\t2000000017"))
        for line in ["Groups:\t \n", "CapPrm:\t\(zero)", "CapEff:\t\(zero)", "CapBnd:\t\(zero)"] {
            #expect(report.text.contains(line))
        }
        #expect(report.outcome?.ending == .exited(code: 1))
    }

    @Test("as root the root user itself holds no capability", .enabled(if: isRoot, "needs root"))
    func rootWithoutCapabilities() throws {
        var spec = shell("id -u; grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status")
        spec.user = LaunchUser(uid: 0, gid: 0)
        let report = try LauncherDriver().run(spec)
        #expect(report.text.hasPrefix("0\n"))
        #expect(report.text.components(separatedBy: "0000000000000000").count == 4)
    }

    @Test(
        "with another user, filter, listener and file rules hold together",
        .enabled(if: isRoot, "needs root")
    )
    func everything() throws {
        var spec = shell("id -u; mkdir /tmp/never-made; echo $?")
        spec.user = LaunchUser(uid: 2_000_000_017, gid: 2_000_000_018)
        spec.openFiles = 32
        let reading = CLINUX_LANDLOCK_READ_FILE | CLINUX_LANDLOCK_READ_DIR | CLINUX_LANDLOCK_EXECUTE
        spec.landlock = LandlockSpec(
            handledAccess: reading,
            rules: ["/usr", "/bin", "/lib", "/lib64", "/etc", "/dev"].map {
                LandlockRule(path: $0, access: reading, optional: true)
            }
        )
        spec.filter = FilterSpec(
            program: notifyingFilter(Self.mkdir),
            hasListener: true,
            onDenied: .errno(EACCES)
        )
        let report = try LauncherDriver().run(spec)
        #expect(report.text == "2000000017\n1\n")
        #expect(report.outcome?.deniedTotal == 1)
    }

    @Test(
        "everything holds for an ordinary user too",
        .enabled(if: isRoot, "needs root to become another user")
    )
    func ordinaryUser() throws {
        let folder = try TemporaryFolder()
        let copy = "\(folder.path)/launcher"
        // A copy written by this process could be held open by what another test forks at that moment.
        let copying = try LauncherDriver().run(
            shell("cp '\(LauncherDriver.program)' \(copy) && chmod 755 \(copy)")
        )
        #expect(copying.outcome?.ending == .exited(code: 0))
        let become = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        let driver = try LauncherDriver(by: become, program: copy)
        var spec = shell("id -u; mkdir /tmp/never-made; (setsid sleep 1000 &); exit 3")
        spec.filter = FilterSpec(
            program: notifyingFilter(Self.mkdir),
            hasListener: true,
            onDenied: .errno(EPERM)
        )
        spec.landlock = LandlockSpec(
            handledAccess: CLINUX_LANDLOCK_WRITE_FILE,
            rules: [LandlockRule(path: "/dev", access: CLINUX_LANDLOCK_WRITE_FILE)]
        )
        for _ in 0..<20 {
            let report = try driver.run(spec)
            #expect(report.text == "65534\n")
            #expect(report.outcome?.ending == .exited(code: 3))
            #expect(report.outcome?.deniedTotal == 1)
        }
    }
}

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
