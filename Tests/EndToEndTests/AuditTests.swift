import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// `on-denied: audit`: what goes through, what does not, and that nobody can miss it.
    @Suite("Audit")
    struct AuditTests {
        /// Says what became of calls that the presets deny.
        private static let caller = """
            #!/usr/bin/env python3
            import ctypes, errno, json, os, socket, sys
            libc = ctypes.CDLL(None, use_errno=True)
            def call(name, *arguments):
                ctypes.set_errno(0)
                libc[name](*arguments)
                return errno.errorcode.get(ctypes.get_errno(), "ok")
            def make(family, kind):
                try:
                    socket.socket(getattr(socket, family), getattr(socket, kind)).close()
                    return "ok"
                except OSError as error:
                    return errno.errorcode[error.errno]
            print(call("chroot", None), call("adjtimex", None), call("chown", b".", -1, -1))
            print(make("AF_UNIX", "SOCK_STREAM"), make("AF_INET", "SOCK_STREAM"), make("AF_UNIX", "SOCK_DGRAM"))
            sys.stdout.flush()
            print(os.system("echo other; exit 3") >> 8)
            """

        private static let audit = "sandbox: {preset: PRESET, syscalls: {on-denied: audit}}\n"

        private static func actions(_ task: JSONValue) -> [String: String] {
            let calls = task["deniedSyscalls"]?.array ?? []
            return Dictionary(calls.map { ($0.text("name"), $0.text("action")) }) { first, _ in first }
        }

        @Test(
            "denied calls go through and are recorded, but for those that open sockets",
            .timeLimit(.minutes(5)),
            arguments: ["default", "compute"]
        )
        func goesThrough(preset: String) async throws {
            try await Workbench.serving { bench in
                try bench.handler("calls", Self.caller)
                try bench.policy("calls", Self.audit.replacing("PRESET", with: preset))
            } _: { bench in
                let (task, text) = try await bench.output(of: "calls")
                #expect(task.text("status") == "completed", "\(task.text)")
                // Who reaches the kernel with nonsense is told something else than EPERM.
                #expect(text == "EFAULT EFAULT ok\nEPERM EPERM EPERM\nother\n3\n")
                let actions = Self.actions(task)
                for call in ["chroot", "clock_adjtime", "chown"] {
                    #expect(actions[call] == "audit", "\(call)")
                }
                #expect(actions["socket"] == "errno" && task.denied["socket"] == 3)
                let isCompute = preset == "compute"
                #expect((actions["execve"] == "audit") == isCompute)
                let warnings = task["warnings"]?.array?.compactMap(\.string) ?? []
                #expect(warnings.contains { $0.contains("protects from nothing") }, "\(warnings)")
                let plugins = try await bench.bulkhead("plugins").out
                #expect(plugins.contains("calls: warning: on-denied: audit protects from nothing"))
                let checked = try await bench.bulkhead("policy", "check", bench.policies + "/calls.yaml")
                #expect(checked.code == 0 && checked.out.contains("warning: on-denied: audit protects from"))
            }
        }

        @Test(
            "an entry of a foreign architecture is killed under audit too",
            .timeLimit(.minutes(5)),
            .enabled(if: Self.isX86, "needs an x86-64 machine")
        )
        func foreign() async throws {
            try await Workbench.serving { bench in
                try bench.handler(
                    "x32",
                    "#!/usr/bin/env python3\nimport ctypes\nctypes.CDLL(None).syscall(0x40000027)\nprint('on')\n"
                )
                try bench.policy("x32", Self.audit.replacing("PRESET", with: "default"))
            } _: { bench in
                let (task, text) = try await bench.output(of: "x32")
                #expect(task.reason == "syscall-denied" && text.isEmpty, "\(task.text)")
            }
        }

        @Test("a loop of calls that audit lets through is bounded as well", .timeLimit(.minutes(5)))
        func bounded() async throws {
            try await Workbench.serving { bench in
                let loop = "#!/usr/bin/env python3\nimport ctypes\nlibc = ctypes.CDLL(None)\nwhile True: "
                try bench.handler("loop", loop + "libc.chroot(0)\n")
                try bench.policy("loop", Self.audit.replacing("PRESET", with: "default"))
            } _: { bench in
                let task = try await bench.finished("loop")
                #expect(task.reason == "syscall-denied" && task.message.contains("100000"))
                #expect(task.denied["chroot"] ?? 0 > 100_000)
                #expect(Self.actions(task)["chroot"] == "audit")
            }
        }

        private static let isX86: Bool = {
            #if arch(x86_64)
            true
            #else
            false
            #endif
        }()
    }
}
