import BulkheadCore
import BulkheadPolicy
import Testing

@Suite("ProfileReader") struct ProfileReaderTests {
    private static let host = ProfileHost(architecture: .x8664, kernel: KernelVersion(6, 1))

    private func read(
        _ text: String,
        _ host: ProfileHost = host
    ) throws(PolicyDiagnostics) -> SeccompProfile {
        try ProfileReader.read(Array(text.utf8), name: "p.json", file: "p.json", host: host)
    }

    /// A profile of one entry.
    private func profile(_ entry: String, default action: String = "ERRNO") -> String {
        "{\"defaultAction\": \"SCMP_ACT_\(action)\", \"syscalls\": [{\(entry)}]}"
    }

    @Test("profiles as Docker, Podman and the specification write them are read without a remark")
    func valid() throws {
        let names = try Fixtures.profiles(in: "valid")
        #expect(names.count >= 5)
        for name in names {
            for architecture in Architecture.allCases {
                let host = ProfileHost(architecture: architecture, kernel: KernelVersion(6, 1))
                let bytes = try Fixtures.profile("valid/\(name)")
                let profile = try ProfileReader.read(bytes, name: name, file: name, host: host)
                #expect(profile.warnings.filter { !$0.message.contains("this host's") } == [], "\(name)")
                #expect(!profile.entries.isEmpty)
            }
        }
    }

    @Test("each wrong profile is refused with the diagnostic that expected.txt gives it")
    func invalid() throws {
        var actual: [String] = []
        for name in try Fixtures.profiles(in: "invalid") {
            let bytes = try Fixtures.profile("invalid/\(name)")
            let error = #expect(throws: PolicyDiagnostics.self, "\(name) was taken") {
                try ProfileReader.read(bytes, name: name, file: name, host: Self.host)
            }
            if let error { actual.append(error.first.description) }
        }
        #expect(actual == (try Fixtures.profileLines("invalid/expected.txt")))
    }

    @Test("everything that is wrong is told at once, in the file's order, and bounded")
    func allAtOnce() throws {
        let text = """
            {"defaultAction": "SCMP_ACT_ERRNO", "nothing": 1,
             "syscalls": [{"names": ["read"]},
              {"names": ["write"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1},
              {"names": ["x"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 9, "value": 1, "op": "SCMP_CMP_EQ"}]}]}
            """
        let error = try #require(throws: PolicyDiagnostics.self) { try read(text) }
        #expect(error.all.map(\.line) == [1, 2, 3, 4])
        let entries = [String](repeating: "{\"action\": 1}", count: 1_000).joined(separator: ",")
        let many = "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [\(entries)]}"
        let bounded = try #require(throws: PolicyDiagnostics.self) { try read(many) }
        #expect(bounded.all.count == 64)
    }

    @Test("a profile is as large as its limit and no larger")
    func size() throws {
        let head = "{\"defaultAction\": \"SCMP_ACT_ALLOW\"}"
        let most = head + String(repeating: " ", count: Limits.profileBytes - head.utf8.count)
        #expect(throws: Never.self) { try read(most) }
        let error = try #require(throws: PolicyDiagnostics.self) { try read(most + " ") }
        #expect(error.first.message.contains("4194304"))
    }

    @Test("a name that exists nowhere is a remark where it is allowed, and a mistake where it slips through")
    func unresolvable() throws {
        let allow = try read(profile("\"names\": [\"read\", \"raed\"], \"action\": \"SCMP_ACT_ALLOW\""))
        let remark = try #require(allow.warnings.first)
        #expect(allow.warnings.count == 1)
        #expect(remark.message.contains("\"raed\"") && remark.message.contains("did you mean \"read\"?"))
        let refused = try read(profile("\"names\": [\"mout\"], \"action\": \"SCMP_ACT_KILL\""))
        #expect(refused.warnings.count == 1)
        for action in ["ALLOW", "LOG"] {
            let deny = profile("\"names\": [\"mout\"], \"action\": \"SCMP_ACT_ERRNO\"", default: action)
            let error = try #require(throws: PolicyDiagnostics.self) { try read(deny) }
            #expect(error.first.message.contains("did you mean \"mount\"?"))
        }
    }

    @Test(
        "a call of another architecture is neither",
        arguments: ["socketcall", "umount", "s390_pci_mmio_read", "clock_settime64", "renameat"]
    )
    func foreign(name: String) throws {
        for (action, fallback) in [("ALLOW", "ERRNO"), ("ERRNO", "ALLOW")] {
            let text = profile(
                "\"names\": [\"\(name)\"], \"action\": \"SCMP_ACT_\(action)\"",
                default: fallback
            )
            for architecture in Architecture.allCases {
                let host = ProfileHost(architecture: architecture, kernel: KernelVersion(6, 1))
                #expect(try read(text, host).warnings.isEmpty)
            }
        }
    }

    @Test(
        "an entry counts where its conditions on the host hold",
        arguments: [
            ("\"includes\": {\"arches\": [\"amd64\"]}", true, true),
            ("\"includes\": {\"arches\": [\"arm64\", \"s390x\"]}", false, false),
            ("\"excludes\": {\"arches\": [\"amd64\"]}", false, false),
            ("\"includes\": {\"caps\": [\"CAP_SYS_ADMIN\"]}", false, false),
            ("\"excludes\": {\"caps\": [\"CAP_SYS_ADMIN\"]}", true, true),
            ("\"includes\": {\"minKernel\": \"4.8\"}", true, false),
            ("\"excludes\": {\"minKernel\": \"4.8\"}", false, true),
            ("\"includes\": {\"minKernel\": \"4.7\", \"arches\": [\"amd64\"]}", true, true),
            ("\"includes\": {}, \"excludes\": null", true, true),
        ]
    )
    func conditions(members: String, onNew: Bool, onOld: Bool) throws {
        let text = profile("\"names\": [\"ptrace\"], \"action\": \"SCMP_ACT_ALLOW\", \(members)")
        for (kernel, counts) in [(KernelVersion(4, 8), onNew), (KernelVersion(4, 7), onOld)] {
            let host = ProfileHost(architecture: .x8664, kernel: kernel)
            #expect(try read(text, host).entries.isEmpty != counts)
        }
    }

    @Test("what has no effect is said, and what holds anyhow is not")
    func ignored() throws {
        let text = """
            {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X"],
             "flags": ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                       "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
             "listenerPath": "/run/agent", "listenerMetadata": "x",
             "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [
                {"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_EQ"},
                {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}]}
            """
        #expect(try read(text).warnings.map(\.line) == [1, 2, 2, 4, 4, 5, 6])
    }

    @Test(
        "an errno is a number, Podman's name or digits, and EPERM where none is written",
        arguments: [
            ("\"defaultErrnoRet\": 22", Verdict.denyWith(errno: 22)),
            ("\"defaultErrno\": \"EINVAL\"", .denyWith(errno: 22)),
            ("\"defaultErrno\": \"22\"", .denyWith(errno: 22)),
            ("\"defaultErrno\": \"EINVAL\", \"defaultErrnoRet\": 22", .denyWith(errno: 22)),
            ("\"defaultErrno\": \"\", \"defaultErrnoRet\": 38", .denyWith(errno: 38)),
            ("\"defaultErrno\": \"ENOSYS\"", .denyWith(errno: 38)),
            ("\"defaultErrnoRet\": null", .denyWith(errno: 1)),
            ("\"defaultErrnoRet\": 0", .fail(errno: 0)),
            ("\"comment\": \"\"", .denyWith(errno: 1)),
        ]
    )
    func errnos(member: String, expected: Verdict) throws {
        #expect(try read("{\"defaultAction\": \"SCMP_ACT_ERRNO\", \(member)}").fallback == expected)
    }

    @Test("more combinations of arguments than a filter can tell apart are refused before they take memory")
    func combinations() throws {
        let args = [String](repeating: "{\"index\": 0, \"value\": 1, \"op\": \"SCMP_CMP_EQ\"}", count: 64)
        let entry =
            "{\"names\": [\"read\", \"write\"], \"action\": \"SCMP_ACT_ERRNO\", \"args\": [\(args.joined(separator: ","))]}"
        let entries = [String](repeating: entry, count: 17).joined(separator: ",")
        let error = try #require(throws: PolicyDiagnostics.self) {
            try read("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [\(entries)]}")
        }
        #expect(error.all.count == 1)
        #expect(error.first.message.contains("2176 combinations"))
    }

    @Test(
        "a kernel's release is read as far as profiles ask",
        arguments: [
            ("6.1.0-18-amd64", KernelVersion(6, 1)), ("4.8", KernelVersion(4, 8)),
            ("5.10.", KernelVersion(5, 10)),
            ("6", nil), ("", nil), ("v6.1", nil), ("99999999999999999999.1", nil),
        ]
    )
    func kernels(release: String, version: KernelVersion?) {
        #expect(KernelVersion(release: release) == version)
        #expect(KernelVersion(5, 10) > KernelVersion(5, 9))
        #expect(KernelVersion(5, 10) < KernelVersion(6, 0))
    }
}
