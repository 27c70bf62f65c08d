import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// OCI profiles in the kernel: what each action does to a handler, and what the record says of it.
    @Suite("Profiles")
    struct ProfileTests {
        /// Makes calls with ctypes and prints each errno.
        private static let caller = """
            #!/usr/bin/env python3
            import ctypes, errno, os, sys
            libc = ctypes.CDLL(None, use_errno=True)
            libc.syscall.restype = ctypes.c_long
            def call(number, *arguments):
                ctypes.set_errno(0)
                result = libc.syscall(ctypes.c_long(number), *[ctypes.c_ulong(one) for one in arguments])
                return "ok" if result == 0 else errno.errorcode.get(ctypes.get_errno(), "?")
            here = os.uname().machine == "x86_64"
            number = {"chroot": 161 if here else 51, "setpriority": 141 if here else 140, "fsync": 74 if here else 82,
                      "keyctl": 250 if here else 219, "mount": 165 if here else 40, "clone3": 435}
            for line in sys.argv[1:]:
                name, *arguments = line.split(",")
                print(name, call(number[name], *[int(one, 0) for one in arguments]), flush=True)
            """

        private static let policy = "sandbox: {seccomp-profile: own.json}\narguments: [ARGUMENTS]\n"

        /// Everything but sockets and some calls, each refused in another way.
        private static let profile = """
            {
              "defaultAction": "SCMP_ACT_ALLOW",
              "syscalls": [
                {"names": ["socket", "socketpair", "io_uring_setup"], "action": "SCMP_ACT_ERRNO", "errno": "EAFNOSUPPORT"},
                {"names": ["chroot", "mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30},
                {"names": ["setpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22,
                 "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_GT"}]},
                {"names": ["setpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
                 "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_GT"}]},
                {"names": ["fsync"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0},
                {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
                {"names": ["keyctl"], "action": "SCMP_ACT_KILL_PROCESS"}
              ]
            }
            """

        private static func prepare(_ bench: Workbench, _ calls: [String]) throws {
            try bench.handler("calls", caller)
            let arguments = calls.map { "\"\($0)\"" }.joined(separator: ", ")
            try bench.policy("calls", policy.replacing("ARGUMENTS", with: arguments))
            try bench.write(profile, to: "policies/own.json")
        }

        @Test(
            "each rule answers with its own errno, by its arguments, and denied calls are recorded",
            .timeLimit(.minutes(5))
        )
        func errnos() async throws {
            try await Workbench.serving { bench in
                let high = "0x100000003"
                try Self.prepare(
                    bench,
                    [
                        "chroot,0", "mount,0,0,0,0,0", "setpriority,3,0,0", "setpriority,\(high),0,0",
                        "setpriority,2,0,0", "setpriority,0,0,19", "fsync,999", "clone3,0,0",
                    ]
                )
            } _: { bench in
                let (task, text) = try await bench.output(of: "calls")
                #expect(task.text("status") == "completed", "\(task.text)")
                let answers = text.split(separator: "\n").map {
                    $0.split(separator: " ").last.map(String.init) ?? ""
                }
                #expect(answers == ["EROFS", "EROFS", "EINVAL", "EINVAL", "EACCES", "ok", "ok", "ENOSYS"])
                #expect(task.denied == ["chroot": 1, "mount": 1, "setpriority": 3])
                let attempt = try #require(task["attempts"]?.array?.first)
                #expect(attempt["enforcement"]?.text.contains("seccomp own.json ") == true, "\(attempt.text)")
                let shown = try await bench.bulkhead("policy", "show", "calls", "--syscall", "setpriority")
                #expect(
                    shown.out.contains("own.json:6, ")
                        && shown.out.contains("is above 0x2: denied with EINVAL")
                )
            }
        }

        @Test("a killing rule ends the task, whose record names the call", .timeLimit(.minutes(5)))
        func kill() async throws {
            try await Workbench.serving { bench in
                try Self.prepare(bench, ["chroot,0", "keyctl,0,0", "chroot,0"])
            } _: { bench in
                let (task, text) = try await bench.output(of: "calls")
                #expect(text == "chroot EROFS\n")
                #expect(task.reason == "syscall-denied" && task.message.contains("keyctl"), "\(task.text)")
                let actions = (task["deniedSyscalls"]?.array ?? []).map {
                    "\($0.text("name")) \($0.text("action"))"
                }
                #expect(Set(actions) == ["chroot errno", "keyctl kill"])
                #expect(task["error"]?.text("hint").contains("policies/own.json") == true, "\(task.text)")
            }
        }

        @Test(
            "a profile that is wrong or missing refuses its type, and one that is mended is taken up",
            .timeLimit(.minutes(5))
        )
        func changes() async throws {
            try await Workbench.serving { bench in
                try Self.prepare(bench, ["chroot,0"])
            } _: { bench in
                func plugins(say words: String) async throws {
                    var said = ""
                    let isSaid = try await bench.eventually {
                        said = try await bench.bulkhead("plugins").out
                        return said.contains(words)
                    }
                    #expect(isSaid, "\(said)")
                }
                #expect(try await bench.output(of: "calls").text == "chroot EROFS\n")
                try bench.policy("own.json", "{\"defaultAction\": \"SCMP_ACT_ALOW\"}")
                try await plugins(
                    say: "policies/own.json:1:19: defaultAction: \"SCMP_ACT_ALOW\" is not known"
                )
                try bench.policy("own.json", Self.profile.replacing(": 30", with: ": 28"))
                let isMended = try await bench.eventually {
                    try await !bench.bulkhead("plugins").out.contains("own.json:1")
                }
                #expect(isMended)
                #expect(try await bench.output(of: "calls").text == "chroot ENOSPC\n")
                try FileManager.default.removeItem(atPath: bench.policies + "/own.json")
                try await plugins(say: "calls.yaml:1:28: sandbox.seccomp-profile: ")
                try bench.write(Self.profile, to: "policies/own.json", mode: 0o666)
                try await plugins(say: "own.json is writable by everybody")
            }
        }

        @Test("policy check reads profiles, and tells what is worth knowing of them")
        func check() async throws {
            let bench = try Workbench()
            try Self.prepare(bench, [])
            let remark =
                "{\"defaultAction\": \"SCMP_ACT_ERRNO\",\n \"syscalls\": [{\"names\": [\"raed\", \"read\", \"write\", "
                + "\"exit\", \"exit_group\", \"rt_sigreturn\", \"execve\"], \"action\": \"SCMP_ACT_ALLOW\"}]}"
            try bench.write(remark, to: "policies/remark.json")
            try bench.write("{}", to: "policies/wrong.json")
            let checked = try await bench.bulkhead("policy", "check", "--policies", bench.policies)
            #expect(checked.code == 1)
            #expect(
                checked.out.contains(
                    "/remark.json:2:26: warning: syscalls.names: no architecture has a system call \"raed\""
                )
            )
            #expect(checked.out.contains("/wrong.json:1:1: defaultAction is missing"))
            #expect(!checked.out.contains("own.json"))
        }
    }
}
