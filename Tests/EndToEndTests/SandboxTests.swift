import BulkheadCore
import Foundation
import Glibc
import Testing

extension EndToEnd {
    /// What the system call filter lets through, what it denies, and how that is told.
    @Suite("Sandbox")
    struct SandboxTests {
        /// A python handler that makes each call of its params and prints what became of it.
        private static let caller = """
            #!/usr/bin/env python3
            import ctypes, errno, json, os, socket, sys
            libc = ctypes.CDLL(None, use_errno=True)
            def call(name):
                ctypes.set_errno(0)
                getattr(libc, name)(0, 0, 0, 0, 0)
                return errno.errorcode.get(ctypes.get_errno(), "ok")
            def connect(port):
                with socket.socket() as s:
                    s.connect(("127.0.0.1", port))
                    return s.recv(100).decode()
            def make(family, kind):
                socket.socket(getattr(socket, family), getattr(socket, kind)).close()
                return "ok"
            sys.stdout.reconfigure(line_buffering=True)
            for what in json.load(sys.stdin)["params"]:
                try:
                    print(call(what) if isinstance(what, str) else connect(what) if isinstance(what, int) else make(*what))
                except OSError as error:
                    print(errno.errorcode[error.errno])
            """

        private static func calls(
            _ bench: Workbench,
            _ type: String,
            _ params: JSONValue
        ) async throws -> [String] {
            try await bench.output(of: type, params: params.text).text.split(separator: "\n").map(String.init)
        }

        @Test(
            "a denied call is named in the result, with its count and the file that would give it",
            .timeLimit(.minutes(5))
        )
        func deniedCall() async throws {
            try await Workbench.serving { bench in
                try bench.handler("calls", Self.caller)
                try bench.handler(
                    "fails",
                    Self.caller.replacing(
                        "for what",
                        with: "call('ptrace'), call('chown')\nos._exit(9)\nfor what"
                    )
                )
                try bench.policy("fails", "retry: {limit: 0}\n")
            } _: { bench in
                let params: JSONValue = ["ptrace", "ptrace", "mount", "getpid", "ptrace", "swapoff"]
                let task = try await bench.finished("calls", params: params.text)
                let text = try await bench.bulkhead("logs", task.text("id")).out
                #expect(text == "EPERM\nEPERM\nEPERM\nok\nEPERM\nEPERM\n")
                #expect(task.text("status") == "completed")
                #expect(task.denied == ["ptrace": 3, "mount": 1, "swapoff": 1])
                #expect(
                    task["deniedSyscalls"]?.array?.first == ["name": "ptrace", "count": 3, "action": "errno"]
                )
                let shown = try await bench.bulkhead("show", task.text("id"))
                #expect(shown.out.contains("ptrace 3× (errno)"))

                let failed = try await bench.finished("fails")
                #expect(failed.reason == "exit" && failed["error"]?["exitCode"] == 9)
                let hint = failed["error"]?.text("hint") ?? ""
                #expect(hint.contains("sandbox.syscalls.allow: [chown] in policies/fails.yaml"))
                #expect(hint.contains("ptrace: nothing should"))
                let waited = try await bench.bulkhead("wait", failed.text("id"))
                #expect(waited.code == 1 && waited.err.contains("ptrace"))
            }
        }

        @Test(
            "on-denied: kill ends the task with the call's name, and is not tried again",
            .timeLimit(.minutes(5))
        )
        func kill() async throws {
            try await Workbench.serving { bench in
                try bench.handler("calls", "echo on\nmkdir x; echo went on")
                try bench.policy(
                    "calls",
                    "retry: {limit: 2}\nsandbox: {syscalls: {deny: [mkdir, mkdirat], on-denied: kill}}\n"
                )
            } _: { bench in
                let (task, text) = try await bench.output(of: "calls")
                #expect(task.text("status") == "failed" && task.reason == "syscall-denied")
                #expect(task.message.contains("mkdir") && task["attempt"] == 1 && text == "on\n")
                #expect(task["deniedSyscalls"] == [["name": "mkdir", "count": 1, "action": "kill"]])
                #expect(bench.handlerProcesses.isEmpty)
            }
        }

        @Test(
            "allow and deny take names and groups, and change what the preset gives",
            .timeLimit(.minutes(5))
        )
        func allowAndDeny() async throws {
            try await Workbench.serving { bench in
                for (type, syscalls) in [
                    ("plain", "{}"), ("given", "{allow: [\"@clock\", chroot]}"),
                    ("taken", "{deny: [\"@timer\", flock]}"),
                ] {
                    try bench.handler(type, Self.caller)
                    try bench.policy(type, "sandbox: {syscalls: \(syscalls)}\n")
                }
            } _: { bench in
                // Who reaches the kernel with nonsense is told something else than EPERM.
                let names: JSONValue = ["chroot", "adjtimex", "clock_adjtime", "getitimer", "flock"]
                let plain = try await Self.calls(bench, "plain", names)
                let given = try await Self.calls(bench, "given", names)
                let taken = try await Self.calls(bench, "taken", names)
                #expect(plain.map { $0 == "EPERM" } == [true, true, true, false, false])
                #expect(given == ["EFAULT", "EFAULT", "EFAULT"] + plain.suffix(2))
                #expect(taken.map { $0 == "EPERM" } == [true, true, true, true, true])
            }
        }

        @Test("compute executes nothing, forks nothing and opens no socket", .timeLimit(.minutes(5)))
        func compute() async throws {
            try await Workbench.serving { bench in
                try bench.handler("sums", "echo $((6 * 7))\n/bin/true; echo $?")
                try bench.policy("sums", "sandbox: {preset: compute}\n")
                try bench.handler("calls", Self.caller)
                try bench.policy("calls", "sandbox: {preset: compute}\n")
                try bench.handler("execs", "exec /bin/true")
                try bench.policy("execs", "sandbox: {preset: compute}\n")
            } _: { bench in
                let (task, text) = try await bench.output(of: "sums")
                #expect(text.hasPrefix("42\n") && task.text("status") == "failed")
                #expect(
                    !task.denied.isEmpty
                        && task.denied.keys.allSatisfy { $0.contains("fork") || $0 == "clone" }
                )
                let execs = try await bench.finished("execs")
                #expect(execs.text("status") == "failed" && execs.denied["execve"] ?? 0 >= 1)
                let sockets: JSONValue = [["AF_UNIX", "SOCK_STREAM"], ["AF_INET", "SOCK_STREAM"]]
                #expect(try await Self.calls(bench, "calls", sockets) == ["EPERM", "EPERM"])
            }
        }

        @Test(
            "network connects to a server; default, compute and network: none do not",
            .timeLimit(.minutes(5))
        )
        func network() async throws {
            let server = try LoopbackServer(saying: "welcome")
            defer { server.stop() }
            try await Workbench.serving { bench in
                for (type, sandbox) in [
                    ("plain", "{}"), ("net", "{preset: network}"),
                    ("closed", "{preset: network, network: none}"),
                    ("host", "{network: host}"), ("free", "{preset: unconfined}"),
                    ("free-closed", "{preset: unconfined, network: none}"),
                ] {
                    try bench.handler(type, Self.caller)
                    try bench.policy(type, "sandbox: \(sandbox)\n")
                }
            } _: { bench in
                let port: JSONValue = [.integer(server.port)]
                #expect(try await Self.calls(bench, "net", port) == ["welcome"])
                #expect(try await Self.calls(bench, "free", port) == ["welcome"])
                // host never widens a filter.
                for type in ["plain", "closed", "host", "free-closed"] {
                    let task = try await bench.finished(type, params: port.text)
                    #expect(try await bench.bulkhead("logs", task.text("id")).out == "EPERM\n", "\(type)")
                    #expect(task.denied["socket"] == 1)
                }
                let others: JSONValue = [
                    ["AF_PACKET", "SOCK_RAW"], ["AF_VSOCK", "SOCK_STREAM"], ["AF_ALG", "SOCK_SEQPACKET"],
                    ["AF_UNIX", "SOCK_STREAM"], "listen", "accept4",
                ]
                #expect(
                    try await Self.calls(bench, "net", others)
                        == ["EPERM", "EPERM", "EPERM", "EPERM", "EPERM", "EPERM"]
                )
            }
        }

        @Test(
            "unconfined reads what its user may and makes any call, but gains no privilege",
            .timeLimit(.minutes(5))
        )
        func unconfined() async throws {
            try await Workbench.serving { bench in
                try FileManager.default.createDirectory(
                    atPath: bench.folder + "/open",
                    withIntermediateDirectories: false
                )
                try FileManager.default.setAttributes(
                    [.posixPermissions: 0o755],
                    ofItemAtPath: bench.folder + "/open"
                )
                try bench.write("outside", to: "open/file")
                for (type, preset) in [("free", "unconfined"), ("plain", "default")] {
                    try bench.handler(
                        type,
                        "cat '\(bench.folder)/open/file'; grep -E '^(NoNewPrivs|CapEff|CapPrm|CapBnd):' /proc/self/status"
                    )
                    try bench.policy(type, "sandbox: {preset: \(preset)}\n")
                }
            } _: { bench in
                let text = try await bench.output(of: "free").text
                #expect(text.hasPrefix("outside") && text.contains("NoNewPrivs:\t1\n"))
                #expect(
                    text.contains("CapEff:\t0000000000000000\n")
                        && text.contains("CapPrm:\t0000000000000000\n")
                )
                #expect(try await !bench.output(of: "plain").text.contains("outside"))
            }
        }

        @Test("a loop of denied calls is counted, bounded and ended", .timeLimit(.minutes(5)))
        func deniedLoop() async throws {
            try await Workbench.serving { bench in
                try bench.handler(
                    "loop",
                    "#!/usr/bin/env python3\nimport ctypes\nlibc = ctypes.CDLL(None)\nwhile True: libc.ptrace(0, 0, 0, 0)\n"
                )
            } _: { bench in
                let task = try await bench.finished("loop")
                #expect(task.text("status") == "failed" && task.reason == "syscall-denied")
                #expect(task.message.contains("100000") && task.denied["ptrace"] ?? 0 > 100_000)
            }
        }
    }
}
