import BulkheadLaunch
import CLinux
import Foundation
import Glibc
import Testing

/// What this host gives, as the launcher itself says.
private let reports = try? probedNamespaces(as: .own)

/// What it gives an ordinary user; nil where we can be none.
private let ordinaryReports =
    isRoot ? SupervisorUser.canBeOrdinary ? try? probedNamespaces(as: .ordinary) : nil : reports

private func probedNamespaces(as user: SupervisorUser) throws -> [NamespaceReport] {
    let process = Process()
    let (program, arguments) = user.command(LauncherDriver.program, ["probe-namespaces"])
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    let output = Foundation.Pipe()
    process.standardOutput = output
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return text.split(separator: "\n").compactMap { NamespaceReport(text: String($0)) }
}

/// The first means that gives everything.
private let complete = reports?.first(where: \.failures.isEmpty)

/// Whether a supervisor here gives its handlers every namespace: a user namespace is of no use to root, who changes
/// users.
let hasNamespaces = complete.map { $0.means == .direct || !isRoot } ?? false

/// The same for an ordinary user's supervisor.
let ordinaryHasNamespaces = ordinaryReports?.contains { $0.means == .user && $0.failures.isEmpty } ?? false

@Suite(
    "Launcher's namespaces",
    .serialized,
    .enabled(if: complete != nil, "needs pid, mount, network and ipc namespaces and a new /proc")
)
struct LauncherNamespaceTests {
    /// A shell script in every namespace, with the host's programs and nothing else.
    private static func secluded(_ script: String, _ more: [MountStep] = []) -> LaunchSpec {
        var spec = shell(script)
        var steps: [MountStep] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc"].map {
            .bind(path: $0, access: .execute, optional: true)
        }
        steps += [.bind(path: "/dev/null", access: .device, optional: false)] + more + [.proc]
        spec.namespaces = NamespaceSpec(
            inUserNamespace: complete?.means == .user,
            hasNetwork: true,
            hasIPC: true,
            mounts: MountSpec(base: .empty, steps: steps)
        )
        return spec
    }

    /// What hides all of this host's `/proc` that belongs to no process, folders first.
    private static var masks: [MountStep] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        let steps = names.filter { !$0.allSatisfy(\.isNumber) }.sorted().compactMap { name -> MountStep? in
            let path = "/proc/" + name
            let kind = (try? FileManager.default.attributesOfItem(atPath: path))?[.type] as? FileAttributeType
            return kind == .typeSymbolicLink ? nil : .mask(path: path, isFolder: kind == .typeDirectory)
        }
        return steps.filter { if case .mask(_, true) = $0 { true } else { false } }
            + steps.filter { if case .mask(_, false) = $0 { true } else { false } }
    }

    /// A driver whose launcher is an ordinary user's, and the same spec as that needs it.
    private static func ordinaryDriver(_ folder: TemporaryFolder) throws -> LauncherDriver {
        let copy = "\(folder.path)/launcher"
        let copied = try LauncherDriver().run(
            shell("cp '\(LauncherDriver.program)' \(copy) && chmod 755 \(copy)")
        )
        #expect(copied.outcome?.ending == .exited(code: 0))
        return try LauncherDriver(
            by: ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
            program: copy
        )
    }

    @Test("a handler sees its own processes, no network, and no file but what it is shown")
    func view() throws {
        let report = try LauncherDriver().run(
            Self.secluded(
                """
                cd /proc; echo [0-9]*; cat /proc/1/comm; ls /; cat /proc/net/route | wc -l
                sh -c 'tr "\\0" " " </proc/self/cmdline'; echo; sh -c 'echo > /new' 2>/dev/null || echo kept
                """
            )
        )
        let lines = report.text.split(separator: "\n").map(String.init)
        #expect(lines.first?.hasPrefix("1 2") == true && lines.first.map { $0.count < 8 } == true)
        #expect(lines.contains("init") && lines.contains("kept"))
        for hidden in ["run", "tmp", "home", "root", "var", "sys"] { #expect(!lines.contains(hidden)) }
        #expect(report.outcome?.ending == .exited(code: 0))
        #expect(report.text.contains("sh -c tr") || report.text.contains("tr \\0"))
    }

    @Test(
        "what may be read cannot be written or executed, what may be executed cannot be written, by root neither"
    )
    func accesses() throws {
        let folder = try TemporaryFolder()
        var script = "cd '\(folder.path)'"
        for name in ["read", "execute", "write"] {
            try FileManager.default.createDirectory(
                atPath: "\(folder.path)/\(name)",
                withIntermediateDirectories: false
            )
            _ = try folder.program("\(name)/program", Array("#!/bin/sh\n".utf8))
            script += "; ./\(name)/program 2>/dev/null && echo executed \(name)"
            script += "; (: >\(name)/new) 2>/dev/null && echo written \(name)"
        }
        let accesses: [(String, BindAccess)] = [("read", .read), ("execute", .execute), ("write", .write)]
        let steps = accesses.map {
            MountStep.bind(path: "\(folder.path)/\($0.0)", access: $0.1, optional: false)
        }
        let report = try LauncherDriver().run(Self.secluded(script, steps))
        #expect(report.text == "executed execute\nexecuted write\nwritten write\n")
    }

    @Test(
        "as an ordinary user a user namespace gives the same",
        .enabled(
            if: isRoot && ordinaryHasNamespaces,
            "needs root to become another, and user namespaces for that one"
        )
    )
    func ordinaryUser() throws {
        let folder = try TemporaryFolder()
        let driver = try Self.ordinaryDriver(folder)
        var spec = Self.secluded(
            "id -u; cd /proc; echo [0-9]*; grep CapEff /proc/self/status; (setsid sleep 1000 &)"
        )
        spec.namespaces?.inUserNamespace = true
        spec.namespaces?.mounts?.steps.append(
            .memory(path: "/scratch", bytes: 1 << 20, inodes: 64, isOwned: true)
        )
        spec.workingFolder = "/scratch"
        for _ in 0..<3 {
            let report = try driver.run(spec)
            #expect(report.text.hasPrefix("65534\n1 2"), "\(report)")
            #expect(report.text.contains("CapEff:\t0000000000000000"))
            #expect(report.outcome?.ending == .exited(code: 0))
        }
        spec.arguments[2] = "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait"
        spec.namespaces?.processes = 5
        let report = try driver.run(spec)
        #expect(String(decoding: report.stderr, as: UTF8.self).contains("fork"))
    }

    @Test("whatever a handler leaves behind ends with a launcher that is killed, setsid or not")
    func killedLauncher() throws {
        let mark = "35\(getpid())"
        let driver = try LauncherDriver()
        _ = try driver.launch(
            Self.secluded(
                "trap '' TERM HUP; setsid setsid -f env -i sh -c 'echo up; sleep 1000; :' \(mark); sleep 1000; :"
            )
        )
        var report = AttemptReport()
        while report.stdout.isEmpty { _ = try report.take(try driver.receive()) }
        let left = try processes(holding: mark).map { clinux_pidfd_open($0) }.filter { $0 >= 0 }
        defer { for process in left { close(process) } }
        // The handler, and what has left its session and its environment.
        #expect(left.count >= 2)
        kill(driver.pid, SIGKILL)
        #expect(try driver.waitForExit() == 128 + SIGKILL)
        for process in left {
            var entry = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
            #expect(unsafe clinux_poll(&entry, 1, 10_000_000_000) == 1)
        }
    }

    @Test("kill(-1) reaches the handler's own processes alone, and its exit ends them")
    func killEverybody() throws {
        let driver = try LauncherDriver()
        var spec = Self.secluded(
            "[ $$ -lt 10 ] || exit 9; sleep 1000 & (setsid sleep 1000 &); kill -9 -1; exit 7"
        )
        spec.user = isRoot ? LaunchUser(uid: 2_000_000_017, gid: 2_000_000_017) : nil
        #expect(try driver.run(spec).outcome?.ending == .exited(code: 7))
        #expect(try driver.run(Self.secluded("exit 3")).outcome?.ending == .exited(code: 3))
    }

    @Test("what a handler leaves behind is told, without the first process, which is ours")
    func leftBehind() throws {
        let driver = try LauncherDriver()
        let none = try driver.run(Self.secluded("exit 0"))
        #expect(none.leftBehind == nil && none.outcome != nil)
        let one = try driver.run(Self.secluded("setsid -f sh -c 'echo up >&2; exec sleep 1000'; exit 0"))
        #expect(one.leftBehind?.processes == 1 && one.leftBehind?.holdsPipes == true)
    }

    @Test("a stop reaches every process of the namespace, and the grace ends it")
    func stop() throws {
        var spec = Self.secluded(
            "(setsid sh -c 'trap \"echo stopped >&2; exit\" TERM; while :; do sleep 0.01; done' &); trap '' TERM; while :; do sleep 0.01; done"
        )
        spec.timeoutNanoseconds = 200_000_000
        spec.graceNanoseconds = 300_000_000
        let report = try LauncherDriver().run(spec)
        #expect(report.outcome?.stop == .timeout)
        #expect(report.outcome?.ending == .signaled(signal: SIGKILL))
        #expect(String(decoding: report.stderr, as: UTF8.self).contains("stopped"))
    }

    @Test("memory is bounded in bytes and in files, and a sparse file takes none")
    func boundedMemory() throws {
        var spec = Self.secluded(
            """
            truncate -s 1T sparse && echo sparse; rm sparse
            head -c 4M /dev/zero > big || echo full; stat -c %s big; rm big
            for i in $(seq 200); do : > f$i || break; done; ls | wc -l
            """,
            [
                .bind(path: "/dev/zero", access: .device, optional: false),
                .memory(path: "/work", bytes: 1 << 20, inodes: 64, isOwned: true),
            ]
        )
        spec.workingFolder = "/work"
        let lines = try LauncherDriver().run(spec).text.split(separator: "\n").map(String.init)
        #expect(lines == ["sparse", "full", "\(1 << 20)", "63"])
    }

    @Test("what cannot be mounted refuses the launch, by name")
    func refusal() throws {
        let spec = Self.secluded("exit 0", [.bind(path: "/no/such/path", access: .read, optional: false)])
        let report = try LauncherDriver().run(spec)
        #expect(report.refusal?.stage == .namespaces && report.refusal?.errno == ENOENT)
        #expect(report.refusal?.detail == "showing /no/such/path")
    }

    @Test(
        "a path that is closed to the handler's user is not opened by showing it",
        .enabled(if: isRoot, "needs root to have another user")
    )
    func closedFolder() throws {
        let folder = try TemporaryFolder()
        _ = try folder.file("secret", Array("secret".utf8))
        unsafe chmod(folder.path, 0o700)
        let mount = MountStep.bind(path: "\(folder.path)/secret", access: .read, optional: false)
        var spec = Self.secluded("cat \(folder.path)/secret", [mount])
        #expect(try LauncherDriver().run(spec).text == "secret")
        spec.user = LaunchUser(uid: 2_000_000_017, gid: 2_000_000_017)
        let report = try LauncherDriver().run(spec)
        #expect(report.refusal?.stage == .namespaces && report.refusal?.errno == EACCES)
    }

    @Test("what is hidden stays hidden, and what is only shown is not written, emptied or changed in mode")
    func readOnly() throws {
        let folder = try TemporaryFolder()
        _ = try folder.file("open", Array("open".utf8), mode: 0o666)
        try FileManager.default.createDirectory(
            atPath: "\(folder.path)/state",
            withIntermediateDirectories: false
        )
        _ = try folder.file("state/secret", Array("secret".utf8))
        let spec = Self.secluded(
            """
            cd \(folder.path); cat open; : > open || echo kept; chmod 600 open || echo mode; touch open || echo time
            ls state | wc -l; touch state/x || echo covered
            """,
            [.bind(path: folder.path, access: .read, optional: false), .cover(path: "\(folder.path)/state")]
        )
        #expect(try LauncherDriver().run(spec).text == "openkept\nmode\ntime\n0\ncovered\n")
        #expect(try String(contentsOfFile: "\(folder.path)/open", encoding: .utf8) == "open")
    }

    @Test("usage counts orphans that ended or had to be ended, and not the launcher's own preparations")
    func usage() throws {
        let burn = "import time\nwhile time.process_time() < 0.3: pass"
        for end in ["", "\nprint(flush=True)\ntime.sleep(1000)"] {
            // The orphan holds the pipe until it ends, or until it has written to it.
            let script = "(setsid python3 -c '\(burn + end)' &) | head -n 1"
            let outcome = try LauncherDriver().run(Self.secluded(script)).outcome
            let used = (outcome?.userMicroseconds ?? 0) + (outcome?.systemMicroseconds ?? 0)
            #expect(used >= 250_000 && outcome?.ending == .exited(code: 0), "\(end)")
        }
    }

    @Test(
        "descriptors and processes of the launcher are what they were after many attempts",
        .enabled(if: isRoot, "needs root: a launcher shows its descriptors to nobody else")
    )
    func leaks() throws {
        let driver = try LauncherDriver()
        _ = try driver.run(Self.secluded("exit 0"))
        let before = try driver.openDescriptors()
        for _ in 0..<20 { _ = try driver.run(Self.secluded("sleep 100 & exit 0")) }
        #expect(try driver.openDescriptors() == before)
        let children = try String(
            contentsOfFile: "/proc/\(driver.pid)/task/\(driver.pid)/children",
            encoding: .utf8
        )
        #expect(children.isEmpty)
    }

    @Test(
        "what namespaces cost a launch",
        .enabled(
            if: ProcessInfo.processInfo.environment["BULKHEAD_LAUNCHES"] != nil,
            "needs BULKHEAD_LAUNCHES, the number of launches to measure"
        )
    )
    func cost() throws {
        let count = Int(ProcessInfo.processInfo.environment["BULKHEAD_LAUNCHES"] ?? "") ?? 200
        let driver = try LauncherDriver()
        let variants: [(String, (inout LaunchSpec) -> Void)] = [
            ("no namespaces", { $0.namespaces = nil }),
            ("pid", { $0.namespaces = NamespaceSpec(inUserNamespace: complete?.means == .user) }),
            (
                "pid, mounts",
                {
                    $0.namespaces?.hasIPC = false; $0.namespaces?.hasNetwork = false
                }
            ),
            ("pid, mounts, network", { $0.namespaces?.hasIPC = false }),
            ("pid, mounts, network, ipc", { _ in }),
            (
                "the same, and /proc without what tells of the machine",
                {
                    $0.namespaces?.mounts?.steps += Self.masks
                }
            ),
        ]
        for (name, change) in variants + variants.suffix(2) + variants.suffix(2) {
            var spec = Self.secluded("")
            spec.executable = "/bin/true"
            spec.arguments = ["true"]
            change(&spec)
            _ = try driver.run(spec)
            let start = ContinuousClock.now
            for _ in 0..<count { _ = try driver.run(spec) }
            let took = ContinuousClock.now - start
            print("\(name): \(count * 1000 / Int(took / .milliseconds(1))) launches/s")
        }
    }
}
