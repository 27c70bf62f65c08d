import BulkheadLaunch
import CLinux
import Foundation
import Glibc
import Testing

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
}
