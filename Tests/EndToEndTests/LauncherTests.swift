import BulkheadLaunch
import CLinux
import Foundation
import Glibc
import Testing

let isRoot = geteuid() == 0

@Suite("Launcher", .serialized)
struct LauncherTests {
    @Test("exit codes come back as they are", arguments: [0, 1, 65, 75, 255] as [Int32])
    func exitCode(code: Int32) throws {
        let report = try LauncherDriver().run(shell("exit \(code)"))
        #expect(report.outcome?.ending == .exited(code: code))
        #expect(report.outcome?.stop == nil)
        #expect(report.started != nil)
    }

    @Test("a signal comes back as a signal")
    func signal() throws {
        let report = try LauncherDriver().run(shell("kill -SEGV $$"))
        #expect(report.outcome?.ending == .signaled(signal: SIGSEGV))
    }

    @Test("the handler reads its whole stdin to the end")
    func stdin() throws {
        let input = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let report = try LauncherDriver().run(shell("cat"), stdin: input)
        #expect(report.stdout == input)
        #expect(report.outcome?.stdoutBytes == UInt64(input.count))
    }

    @Test("environment, arguments and working folder are exactly those of the spec")
    func environment() throws {
        var spec = LaunchSpec(
            attempt: 0,
            executable: "/usr/bin/env",
            arguments: ["any name", "sh", "-c", "pwd; env; echo \"$0|$1\"", "a b", "c\nd"],
            environment: ["PATH=/usr/bin:/bin", "EMPTY=", "X=ü y"],
            workingFolder: "/usr"
        )
        let report = try LauncherDriver().run(spec)
        for line in ["/usr\n", "EMPTY=\n", "X=ü y\n", "a b|c\nd\n"] { #expect(report.text.contains(line)) }
        #expect(!report.text.contains("HOME="))
        spec.executable = "/usr/bin/printenv"
        spec.arguments = ["printenv"]
        spec.environment = ["ONLY=1"]
        #expect(try LauncherDriver().run(spec).text == "ONLY=1\n")
    }

    @Test("pid and start time are those of /proc")
    func identity() throws {
        let driver = try LauncherDriver()
        let attempt = try driver.launch(shell("sleep 100"))
        guard case .started(attempt, let pid, let startTime) = try driver.receive() else {
            Issue.record("no started message")
            return
        }
        let content = try #require(FileManager.default.contents(atPath: "/proc/\(pid)/stat"))
        #expect(ProcessStat(ArraySlice(content))?.startTime == startTime)
        try driver.send(.stop(attempt: attempt, reason: .cancelled))
        #expect(try driver.collect(attempt).outcome?.stop == .cancelled)
    }

    @Test("stdout and stderr are kept apart, each in order")
    func streams() throws {
        let report = try LauncherDriver().run(
            shell("for i in $(seq 1000); do echo out$i; echo err$i >&2; done")
        )
        #expect(report.text == (1...1000).map { "out\($0)\n" }.joined())
        #expect(String(decoding: report.stderr, as: UTF8.self) == (1...1000).map { "err\($0)\n" }.joined())
        #expect(report.outcome?.stderrBytes == UInt64(report.stderr.count))
    }

    @Test("unacknowledged output never exceeds the window, and goes on from there once it is acknowledged")
    func backPressure() throws {
        let driver = try LauncherDriver()
        let total = 5_000_000
        let attempt = try driver.launch(shell("head -c \(total) /dev/zero"))
        var report = AttemptReport()
        var acknowledged = 0
        while report.stdout.count < total {
            while report.stdout.count < min(total, acknowledged + LaunchLimits.windowBytes) {
                _ = try report.take(try driver.receive())
            }
            #expect(report.stdout.count - acknowledged <= LaunchLimits.windowBytes)
            if report.stdout.count < total - LaunchLimits.drainBytes {
                #expect(try driver.isSilent(seconds: 0.05))
            }
            acknowledged = report.stdout.count
            let offset = UInt64(acknowledged)
            try driver.send(.outputAck(attempt: attempt, stream: .stdout, offset: offset))
        }
        report = try driver.collect(attempt, report)
        #expect(report.outcome?.stdoutBytes == UInt64(total))
        #expect(report.outcome?.drainIncomplete == false)
    }

    @Test("single-byte writes all arrive, in far fewer packets than bytes")
    func singleBytes() throws {
        let driver = try LauncherDriver()
        _ = try driver.launch(shell("for ((i=0;i<20000;i++)); do printf x; done"))
        var report = AttemptReport()
        var packets = 0
        while true {
            let message = try driver.receive()
            if case .output = message { packets += 1 }
            if try report.take(message) { break }
        }
        #expect(report.stdout.count == 20_000)
        #expect(packets < 10_000)
    }

    @Test("fd 3 gives lines, the last one without a newline too")
    func eventLines() throws {
        let report = try LauncherDriver().run(
            shell("printf '{\"a\":1}\\n\\n{\"b\":2}\\n' >&3; printf last >&3")
        )
        #expect(
            report.lines.map { String(decoding: $0.bytes, as: UTF8.self) } == [
                "{\"a\":1}", "{\"b\":2}", "last",
            ]
        )
        #expect(report.lines.allSatisfy { !$0.truncated })
    }

    @Test("an over-long line of fd 3 comes once, as its head, and costs the next one nothing")
    func longLine() throws {
        let report = try LauncherDriver().run(
            shell("head -c 3000000 /dev/zero | tr '\\0' x >&3; printf '\\nnext\\n' >&3")
        )
        #expect(report.lines.map(\.length) == [3_000_000, 4])
        #expect(report.lines.map(\.truncated) == [true, false])
        #expect(report.lines.first?.bytes.count == LaunchLimits.eventHeadBytes)
        #expect(report.outcome?.eventLinesTruncated == 1)
    }

    @Test("a handler that closes fd 3 and floods stdout without end is stopped as asked")
    func flood() throws {
        let driver = try LauncherDriver()
        var spec = shell("exec 3>&-; exec yes")
        spec.graceNanoseconds = 5_000_000_000
        let report = try driver.run(spec) { attempt in
            try driver.send(.stop(attempt: attempt, reason: .outputLimit))
        }
        #expect(report.outcome?.ending == .signaled(signal: SIGTERM))
        #expect(report.outcome?.stop == .outputLimit)
    }

    @Test("what ignores SIGTERM is killed after the grace")
    func ignoreTerm() throws {
        let driver = try LauncherDriver()
        var spec = shell("trap '' TERM; echo up; while :; do sleep 1; done")
        spec.graceNanoseconds = 200_000_000
        let attempt = try driver.launch(spec)
        var report = AttemptReport()
        while report.stdout.isEmpty { _ = try report.take(try driver.receive()) }
        try driver.send(.stop(attempt: attempt, reason: .cancelled))
        report = try driver.collect(attempt, report)
        #expect(report.outcome?.ending == .signaled(signal: SIGKILL))
        #expect(report.outcome?.stop == .cancelled)
        #expect(try #require(report.outcome).wallNanoseconds >= 200_000_000)
    }

    @Test("a handler may end itself within the grace, with what it still has to say")
    func obedient() throws {
        let driver = try LauncherDriver()
        let attempt = try driver.launch(
            shell("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done")
        )
        var report = AttemptReport()
        while report.stdout.isEmpty { _ = try report.take(try driver.receive()) }
        try driver.send(.stop(attempt: attempt, reason: .supervisorStop))
        report = try driver.collect(attempt, report)
        #expect(report.outcome?.ending == .exited(code: 7))
        #expect(report.outcome?.stop == .supervisorStop)
        #expect(report.text == "up\nbye\n")
    }

    @Test("a stopped handler receives SIGTERM all the same")
    func stopped() throws {
        let driver = try LauncherDriver()
        let attempt = try driver.launch(shell("trap 'exit 9' TERM; echo up; kill -STOP $$"))
        var report = AttemptReport()
        while report.stdout.isEmpty { _ = try report.take(try driver.receive()) }
        try driver.send(.stop(attempt: attempt, reason: .cancelled))
        #expect(try driver.collect(attempt, report).outcome?.ending == .exited(code: 9))
    }

    @Test("a launcher that waits, for a window, a timeout or a grace, does not spin")
    func waitsQuietly() throws {
        let driver = try LauncherDriver()
        var spec = shell("trap '' TERM; head -c 2000000 /dev/zero & while :; do sleep 1; done")
        spec.timeoutNanoseconds = 400_000_000
        spec.graceNanoseconds = 600_000_000
        spec.cpuNanoseconds = 60_000_000_000
        let attempt = try driver.launch(spec)
        var report = AttemptReport()
        while try !report.take(try driver.receive()) {}
        #expect(report.outcome?.ending == .signaled(signal: SIGKILL))
        #expect(report.stdout.count <= LaunchLimits.windowBytes + LaunchLimits.drainBytes)
        let content = try #require(FileManager.default.contents(atPath: "/proc/\(driver.pid)/stat"))
        // A launcher that spun for the second it had to wait would show a hundred ticks.
        #expect(try #require(ProcessStat(ArraySlice(content))).ownCPUTicks < 30)
        try driver.send(.outcomeAck(attempt: attempt))
        try driver.expectReady()
    }

    @Test("the launcher ends what takes longer than its timeout")
    func timeout() throws {
        var spec = shell("exec sleep 100")
        spec.timeoutNanoseconds = 100_000_000
        let report = try LauncherDriver().run(spec)
        #expect(report.outcome?.stop == .timeout)
        #expect(report.outcome?.ending == .signaled(signal: SIGTERM))
        #expect(try #require(report.outcome).wallNanoseconds >= 100_000_000)
    }

    @Test("an exit that came before the stop counts as itself")
    func lateStop() throws {
        let driver = try LauncherDriver()
        let attempt = try driver.launch(shell("exit 3"))
        var report = AttemptReport()
        while try !report.take(try driver.receive()) {}
        try driver.send(.stop(attempt: attempt, reason: .cancelled))
        try driver.send(.outcomeAck(attempt: attempt))
        try driver.expectReady()
        #expect(report.outcome?.ending == .exited(code: 3))
        #expect(report.outcome?.stop == nil)
    }

    @Test("processor time of the whole tree is limited")
    func cpuLimit() throws {
        var spec = shell("(while :; do :; done) & (while :; do :; done) & wait")
        spec.cpuNanoseconds = 300_000_000
        let report = try LauncherDriver().run(spec)
        let outcome = try #require(report.outcome)
        #expect(outcome.stop == .cpu)
        #expect(outcome.ending == .signaled(signal: SIGKILL))
        #expect(outcome.userMicroseconds + outcome.systemMicroseconds >= 280_000)
    }

    @Test("usage counts processes that lost their parents")
    func usage() throws {
        let folder = try TemporaryFolder()
        let work = "for ((i=0;i<200000;i++)); do :; done; echo done >fifo"
        var spec = shell("mkfifo fifo; (setsid bash -c '\(work)' &); read -r line <fifo; echo $line")
        spec.workingFolder = folder.path
        let report = try LauncherDriver().run(spec)
        #expect(report.text == "done\n")
        #expect(try #require(report.outcome).userMicroseconds > 20_000)
    }

    @Test("a grandchild that keeps stdout open does not delay the end by two seconds")
    func forkAndLeave() throws {
        let driver = try LauncherDriver()
        let begin = ContinuousClock.now
        let report = try driver.run(shell("sleep 1000 & echo left; exit 4"))
        #expect(ContinuousClock.now - begin < .seconds(2))
        #expect(report.outcome?.ending == .exited(code: 4))
        #expect(report.text == "left\n")
        #expect(report.outcome?.survivors == 0)
    }

    @Test("nothing remains of a tree that leaves its session, forks twice and closes its descriptors")
    func setsidAndSurvive() throws {
        let mark = "31\(getpid())"
        let script = """
            setsid bash -c 'trap "" TERM HUP; exec 0<&- 1>&- 2>&- 3>&-; (sleep \(mark) &) & sleep \(mark)' &
            while ! pgrep -f 'sleep \(mark)' >/dev/null; do :; done; exit 0
            """
        let report = try LauncherDriver().run(shell(script))
        #expect(report.outcome?.ending == .exited(code: 0))
        #expect(try processes(holding: "sleep\0\(mark)").isEmpty)
    }

    @Test("a stop ends descendants that left the session, and the handler with them")
    func stopReachesAll() throws {
        let mark = "32\(getpid())"
        let driver = try LauncherDriver()
        var spec = shell("setsid sleep \(mark) & sleep \(mark) & echo up; wait; wait; exit 6")
        spec.graceNanoseconds = 10_000_000_000
        let attempt = try driver.launch(spec)
        var report = AttemptReport()
        while report.stdout.isEmpty { _ = try report.take(try driver.receive()) }
        try driver.send(.stop(attempt: attempt, reason: .cancelled))
        #expect(try driver.collect(attempt, report).outcome?.stop == .cancelled)
        #expect(try processes(holding: "sleep\0\(mark)").isEmpty)
    }

    @Test("a handler that closes every descriptor and lives on is seen to end")
    func closeAll() throws {
        let report = try LauncherDriver().run(
            shell(
                "exec 0<&- 1>&- 2>&- 3>&-; for fd in 4 5 6 7 8 9; do eval \"exec $fd>&-\"; done; sleep 0.2; exit 11"
            )
        )
        #expect(report.outcome?.ending == .exited(code: 11))
        #expect(try #require(report.outcome).wallNanoseconds >= 190_000_000)
    }

    @Test("a tree that forks without end is ended whole")
    func forkTree() throws {
        let mark = "bulkhead-fork-\(getpid())"
        let driver = try LauncherDriver()
        // Each of 300 processes has another parent and ignores SIGTERM.
        let script = """
            : \(mark); trap '' TERM; f() { if (( $1 > 0 )); then f $(( $1 - 1 )) & fi; sleep 1000; }; f 300
            """
        var spec = shell(script)
        spec.timeoutNanoseconds = 1_500_000_000
        spec.graceNanoseconds = 1_000_000
        let report = try driver.run(spec)
        #expect(report.outcome?.stop == .timeout)
        #expect(report.outcome?.survivors == 0)
        #expect(try processes(holding: mark).isEmpty)
    }

    @Test("a missing program is refused with stage and errno")
    func missingProgram() throws {
        var spec = shell("")
        spec.executable = "/nonexistent/handler"
        let report = try LauncherDriver().run(spec)
        #expect(report.refusal?.stage == .exec)
        #expect(report.refusal?.errno == ENOENT)
        #expect(report.refusal?.detail == "/nonexistent/handler")
        #expect(report.started == nil)
    }

    @Test("what cannot be executed is refused, two hundred times, without one descriptor more")
    func execErrors() throws {
        let folder = try TemporaryFolder()
        let broken = try folder.file("broken", [0x7f, 0x45, 0x4c, 0x46, 1, 2, 3, 4], mode: 0o755)
        let orphan = try folder.file("orphan", Array("#!/no/such/interpreter\n".utf8), mode: 0o755)
        let plain = try folder.file("plain", Array("#!/bin/sh\n".utf8), mode: 0o644)
        let driver = try LauncherDriver()
        let expected = [(broken, ENOEXEC), (orphan, ENOENT), (plain, EACCES), (folder.path, EACCES)]
        var baseline = 0
        for round in 0..<50 {
            for (path, errno) in expected {
                var spec = shell("")
                spec.executable = path
                let report = try driver.run(spec)
                #expect(report.refusal?.stage == .exec)
                #expect(report.refusal?.errno == errno)
            }
            if round == 0, isRoot { baseline = try driver.openDescriptors() }
        }
        if isRoot { #expect(try driver.openDescriptors() == baseline) }
        var spec = shell("")
        spec.executable = orphan
        #expect(try driver.run(spec).refusal?.detail.contains("interpreter") == true)
    }

    @Test("a working folder, a cgroup file and a file rule that are not there are refused by their paths")
    func missingPaths() throws {
        let driver = try LauncherDriver()
        var spec = shell("")
        spec.workingFolder = "/no/folder"
        var report = try driver.run(spec)
        #expect(report.refusal?.stage == .workingFolder)
        #expect(report.refusal?.detail == "/no/folder")
        spec = shell("")
        spec.cgroup.procs = ["/dev/null", "/no/cgroup.procs"]
        report = try driver.run(spec)
        #expect(report.refusal?.stage == .cgroup)
        #expect(report.refusal?.detail == "/no/cgroup.procs")
        spec = shell("")
        spec.landlock = LandlockSpec(
            handledAccess: CLINUX_LANDLOCK_READ_FILE,
            rules: [
                LandlockRule(path: "/no/optional", access: CLINUX_LANDLOCK_READ_FILE, optional: true),
                LandlockRule(path: "/no/rule", access: CLINUX_LANDLOCK_READ_FILE),
            ]
        )
        report = try driver.run(spec)
        #expect(report.refusal?.stage == .landlock)
        #expect(report.refusal?.errno == ENOENT)
        #expect(report.refusal?.detail == "/no/rule")
    }

    @Test("a spec that is damaged, unsealed or of another attempt is refused at its stage")
    func brokenSpec() throws {
        let driver = try LauncherDriver()
        let bytes = try shell("").encoded()
        let unsealed = unsafe clinux_memfd("unsealed")
        defer { close(unsealed) }
        let cases = [
            (try driver.sealed(Array(bytes.dropLast())), EBADMSG), (try driver.sealed(bytes), EBADMSG),
            (unsealed, EPERM),
        ]
        for (file, errno) in cases {
            let stdin = try driver.sealed([])
            try driver.send(
                .launch(LaunchHeader(attempt: 77, specBytes: UInt32(bytes.count))),
                [file, stdin]
            )
            let report = try driver.collect(77)
            #expect(report.refusal?.stage == .spec)
            #expect(report.refusal?.errno == errno)
            close(stdin)
        }
        for (file, _) in cases.prefix(2) { close(file) }
        #expect(try driver.run(shell("exit 5")).outcome?.ending == .exited(code: 5))
    }

    @Test("one launcher runs hundreds of tasks and keeps its number of descriptors")
    func warmReuse() throws {
        let driver = try LauncherDriver()
        var spec = shell("echo \"$RANDOM\" >&3; echo out; exit 0")
        spec.filter = FilterSpec(program: notifyingFilter([]), hasListener: true)
        #expect(try driver.run(spec).outcome?.ending == .exited(code: 0))
        let baseline = isRoot ? try driver.openDescriptors() : 0
        for _ in 0..<250 {
            let report = try driver.run(spec)
            #expect(report.outcome?.ending == .exited(code: 0))
            #expect(report.text == "out\n")
            #expect(report.lines.count == 1)
        }
        if isRoot { #expect(try driver.openDescriptors() == baseline) }
    }
}
