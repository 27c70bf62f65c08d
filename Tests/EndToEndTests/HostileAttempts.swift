import BulkheadCore
import CLinux
import Foundation
import Glibc
import Testing

/// What a handler may try against its host, its supervisor and its neighbours, and what it comes to.
struct HostileAttempts {
    /// Under whom the supervisor runs.
    let user: SupervisorUser
    /// What its host lacks.
    var withheld: Set<WithheldFeature> = []

    /// Runs a supervisor with the handler `hostile` under as many names as there are policies for it.
    static func serving(
        _ attempts: HostileAttempts,
        _ policies: [String: String] = ["hostile": ""],
        prepare: (Workbench) throws -> Void = { _ in },
        _ body: (Workbench) async throws -> Void
    ) async throws {
        try await Workbench.serving(as: attempts.user, without: attempts.withheld) { bench in
            let file = Workbench.checkout + "/Tests/Fixtures/handlers/hostile.py"
            for (name, policy) in policies {
                try FileManager.default.copyItem(atPath: file, toPath: "\(bench.plugins)/\(name).py")
                if !policy.isEmpty { try bench.policy(name, policy) }
            }
            try prepare(bench)
        } _: { bench in
            try await body(bench)
        }
    }

    /// What became of each attempt of the handler `hostile`, beside the attempt.
    static func tried(
        _ bench: Workbench,
        _ attempts: [JSONValue],
        as type: String = "hostile"
    ) async throws -> (outcomes: [(attempt: String, outcome: String)], task: JSONValue) {
        let (task, text) = try await bench.output(of: type, params: JSONValue.array(attempts).text)
        let outcomes = text.split(separator: "\n").map(String.init)
        #expect(outcomes.count == attempts.count, "\(task.text)")
        return (zip(attempts, outcomes).map { ($0.text, $1) }, task)
    }

    func administration() async throws {
        var calls = [
            "ptrace", "process_vm_readv", "process_vm_writev", "unshare", "setns", "io_uring_setup",
            "io_uring_enter", "io_uring_register", "bpf", "userfaultfd", "keyctl", "add_key",
            "request_key", "perf_event_open", "mount", "umount2", "fsopen", "fsmount", "move_mount",
            "open_tree", "mount_setattr", "pivot_root", "chroot", "open_by_handle_at",
            "name_to_handle_at", "kexec_load", "kexec_file_load", "reboot", "init_module",
            "finit_module", "delete_module", "swapon", "swapoff", "syslog", "settimeofday",
            "clock_settime", "sethostname", "setdomainname", "acct", "quotactl", "fanotify_init",
            "kcmp", "migrate_pages", "move_pages", "vhangup", "setuid", "setresuid", "setgroups",
            "pidfd_getfd",
        ]
        #if arch(x86_64)
        calls += ["iopl", "ioperm"]
        #endif
        try await Self.serving(self) { bench in
            let (outcomes, task) = try await Self.tried(bench, calls.map { ["call", .string($0)] })
            for (attempt, outcome) in outcomes { #expect(outcome == "EPERM", "\(attempt)") }
            for name in calls { #expect(task.denied[name] == 1, "\(name) is not in the record") }
            #expect(task.text("status") == "completed")
        }
    }

    func ownNamespaces() async throws {
        let policies = ["hostile": "", "pure": "sandbox: {preset: compute}\n"]
        try await Self.serving(self, policies) { bench in
            let (outcomes, task) = try await Self.tried(
                bench,
                [["unshare-user"], ["clone-user"], ["clone3-user"], ["own-listener"]]
            )
            #expect(outcomes.map(\.outcome) == ["EPERM", "EPERM", "ENOSYS", "EPERM"])
            #expect(task.denied["clone"] == 1 && task.denied["seccomp"] == 1)
            // Whoever withholds namespaces denies the call first.
            #expect(withheld.contains(.namespaces) || task.denied["unshare"] == 1)
            let (pure, record) = try await Self.tried(
                bench,
                [
                    ["fexecve"], ["exec-file"], ["call", "memfd_create"], ["call", "seccomp"],
                    ["own-listener"],
                ],
                as: "pure"
            )
            #expect(pure.map(\.outcome) == Array(repeating: "EPERM", count: 5))
            #expect(record.denied["memfd_create"] == 2 && record.denied["seccomp"] == 2, "\(record.text)")
            #expect(record.denied["execve"] ?? 0 >= 1, "\(record.text)")
        }
    }

    func foreignEntries() async throws {
        try await Self.serving(self) { bench in
            let (unknown, record) = try await Self.tried(
                bench,
                [
                    ["number", 700], ["number", 1_000_000], ["tiocsti", 0x5412],
                    ["tiocsti", 0x1_0000_5412], ["tiocsti", 0x541C], ["tiocsti", 0x1_0000_541C],
                ]
            )
            #expect(unknown.map(\.outcome) == ["ENOSYS", "ENOSYS", "EPERM", "EPERM", "EPERM", "EPERM"])
            #expect(record.denied["ioctl"] == 4, "\(record.text)")
            #if arch(x86_64)
            // i386's mkdir, and x32's getpid.
            for attempt in [["int80", 39], ["number", 0x4000_0027]] as [JSONValue] {
                let params = JSONValue.array([["number", 700], attempt]).text
                let (task, text) = try await bench.output(of: "hostile", params: params)
                #expect(text == "ENOSYS\n", "\(attempt.text)")
                #expect(task.reason == "syscall-denied", "\(attempt.text): \(task.text)")
            }
            #endif
        }
    }

    /// Tries the supervisor and a neighbour, confined by the policy or held by namespaces and users alone.
    func neighbours(isConfined: Bool = true) async throws {
        let policies = ["hostile": isConfined ? "" : "sandbox: {preset: unconfined}\n"]
        try await Self.serving(self, policies) { bench in
            try bench.gatedHandler("neighbour", "echo secret > file; pwd; gate go; cat file")
        } _: { bench in
            let neighbour = try await bench.submit("neighbour")
            let runs = try await bench.eventually {
                try await bench.bulkhead("logs", neighbour).out.hasSuffix("\n")
            }
            #expect(runs)
            let scratch = try await bench.bulkhead("logs", neighbour).out.dropLast()
            let victim = try #require(bench.handlerProcesses.first { $0.name != "sleep" })
            let victims: [Int64] = [
                try #require(try await bench.answer("status")["pid"]?.integer),
                Int64(victim.pid),
                Int64(victim.parent),
                1,
            ]
            for pid in victims {
                let (outcomes, task) = try await Self.tried(bench, Self.attacks(on: pid))
                // In a pid namespace of its own these numbers may be the handler's own processes.
                for (attempt, outcome) in outcomes where pid > 10 {
                    #expect(outcome != "done", "\(attempt) \(task.text)")
                }
                let traces = ["ptrace", "process_vm_readv", "process_vm_writev"]
                #expect(!isConfined || traces.allSatisfy { task.denied[$0] == 1 }, "\(task.text)")
            }
            let (outcomes, _) = try await Self.tried(
                bench,
                [
                    ["list", .string(String(scratch))], ["read", .string(scratch + "/file")],
                    ["write", .string(scratch + "/file")], ["kill", -1],
                ]
            )
            #expect(outcomes.prefix(3).allSatisfy { $0.outcome != "done" }, "\(outcomes)")
            try bench.open("go")
            let (task, text) = (
                try await bench.ended(neighbour), try await bench.bulkhead("logs", neighbour).out
            )
            #expect(task.text("status") == "completed" && text.hasSuffix("\nsecret\n"), "\(task.text)")
        }
    }

    /// What is tried against a process.
    private static func attacks(on pid: Int64) -> [JSONValue] {
        let calls = [
            "signal", "kill", "tgkill", "tkill", "queue", "pidfd", "pidfd-getfd", "ptrace-attach", "peek",
            "poke",
        ]
        let files = ["environ", "mem", "maps", "cmdline", "fd/0", "root/etc/hostname", "cwd/lock"]
        let proc = "/proc/\(pid)/"
        return calls.map { [.string($0), .integer(pid)] } + files.map { ["read", .string(proc + $0)] }
            + [["list", .string(proc + "fd")], ["list", .string(proc + "task")]]
    }

    func sockets() async throws {
        let server = try LoopbackServer(saying: "welcome")
        defer { server.stop() }
        try await Self.serving(self) { bench in
            let families = [
                AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET, 38 /* AF_ALG */, 40 /* AF_VSOCK */,
            ]
            var attempts: [JSONValue] = []
            for family in families {
                for kind in [1, 2, 3] as [Int64] {
                    attempts.append(["socket", .integer(Int64(family)), .integer(kind)])
                }
            }
            let port = JSONValue.integer(Int64(server.port))
            attempts += [["tcp", port], ["udp", port], ["abstract", "bulkhead"]]
            attempts += [
                ["connect", .string(bench.socket)], ["connect", "/run/dbus/system_bus_socket"],
            ]
            attempts += [["datagram", .string(bench.socket)]]
            let (outcomes, task) = try await Self.tried(bench, attempts)
            for (attempt, outcome) in outcomes { #expect(outcome == "EPERM", "\(attempt)") }
            #expect(task.denied["socketpair"] == 1 && task.denied["socket"] ?? 0 >= 20)
        }
    }

    func files() async throws {
        try await Self.serving(self) { bench in
            let paths = [
                "/bulkhead.sqlite", "/bulkhead.sqlite-wal", "/lock", "/launchers", "/runtime.json",
            ].map { bench.state + $0 }
            let closed =
                paths + [
                    "/etc/shadow", "/etc/gshadow", "/proc/kcore", "/proc/kallsyms", "/proc/1/environ",
                    "/dev/mem", "/dev/kmsg", "/dev/vda", "/sys/kernel/security", "/root/.bashrc",
                ]
            var attempts: [JSONValue] = closed.map { ["read", .string($0)] }
            attempts += [bench.state, bench.state + "/launchers", "/root"].map { ["list", .string($0)] }
            attempts += paths.flatMap { path in
                ["write", "truncate", "remove", "link"].map { [.string($0), .string(path)] }
            }
            attempts += ["write", "truncate", "remove"].map {
                [.string($0), .string(bench.plugins + "/hostile.py")]
            }
            attempts += [
                ["write", "/etc/cron.d/bulkhead-test"], ["write", "/usr/bin/bulkhead-test"],
                ["write", "/proc/sys/kernel/core_pattern"], ["write", "/sys/fs/cgroup/cgroup.procs"],
            ]
            let (outcomes, _) = try await Self.tried(bench, attempts)
            for (attempt, outcome) in outcomes { #expect(outcome != "done", "\(attempt)") }
            #expect(try await bench.isUsable("hostile"))
        }
    }

    func setuid() async throws {
        try await Self.serving(self, ["hostile": "sandbox: {preset: unconfined}\n"]) { bench in
            try FileManager.default.copyItem(atPath: "/usr/bin/id", toPath: bench.folder + "/id")
            #expect(unsafe chmod(bench.folder + "/id", 0o4755) == 0)
        } _: { bench in
            let (outcomes, _) = try await Self.tried(
                bench,
                [["setuid-program", .string(bench.folder + "/id")], ["core"]]
            )
            #expect(outcomes.map(\.outcome) == ["EPERM", "EPERM"])
        }
    }
}
