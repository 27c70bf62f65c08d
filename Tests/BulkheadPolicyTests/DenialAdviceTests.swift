import BulkheadPolicy
import Testing

@Suite("What to do about denied calls") struct DenialAdviceTests {
    private func advice(_ change: (inout SandboxPolicy) -> Void = { _ in }) -> DenialAdvice {
        var policy = SandboxPolicy()
        change(&policy)
        return DenialAdvice(policy)
    }

    @Test("an ordinary call gets the line that gives it")
    func allow() throws {
        let text = try #require(advice().sentences(on: ["chown", "unshare"], file: "policies/x.yaml"))
        #expect(text.hasPrefix("the sandbox denied chown, unshare; "))
        #expect(text.contains("sandbox.syscalls.allow: [chown, unshare] in policies/x.yaml"))
        #expect(advice().way(to: "clone") == .allowWhole)
    }

    @Test("calls that administer the host, or reach into other processes, get no line but the reason")
    func never() throws {
        for call in ["mount", "init_module", "reboot", "swapon", "bpf", "iopl", "settimeofday", "kexec_load"]
        {
            #expect(advice().way(to: call) == .administrative, "\(call)")
        }
        for call in ["ptrace", "process_vm_writev", "pidfd_getfd", "perf_event_open"] {
            #expect(advice().way(to: call) == .reachesOthers, "\(call)")
        }
        let text = try #require(advice().sentences(on: ["mount", "ptrace"], file: "f"))
        #expect(!text.contains("sandbox.syscalls.allow") && text.contains("mount: nothing should"))
    }

    @Test("under a profile an entry of it gives a call, and what nothing should give is the same")
    func profile() throws {
        let text = """
            {"defaultAction": "SCMP_ACT_KILL",
             "syscalls": [{"names": ["chown"], "action": "SCMP_ACT_ERRNO"}, {"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}
            """
        let profile = try ProfileReader.read(
            Array(text.utf8),
            name: "own.json",
            file: "own.json",
            host: ProfileHost(kernel: KernelVersion(6, 1))
        )
        let advice = advice {
            $0.profile = profile
            $0.onDenied = .kill
        }
        #expect(advice.action(on: "chown") == .errno)
        #expect(advice.action(on: "unshare") == .kill)
        #expect(advice.way(to: "mount") == .administrative)
        #expect(advice.way(to: "socket") == .network)
        let sentences = try #require(advice.sentences(on: ["chown"], file: "policies/x.yaml"))
        #expect(
            sentences.contains("an entry with SCMP_ACT_ALLOW in policies/own.json gives it"),
            "\(sentences)"
        )
    }

    @Test("a call that the policy denies itself is looked for in its deny")
    func denied() {
        let advice = advice { $0.deny = [.group("@timer")] }
        #expect(advice.way(to: "timer_create") == .denied)
        #expect(advice.way(to: "chown") == .allow)
    }

    @Test("sockets come with the network, never with allow")
    func sockets() throws {
        #expect(advice().way(to: "socket") == .network)
        let text = try #require(advice().sentences(on: ["socket"], file: "p.yaml"))
        #expect(text.contains("sandbox.preset: network in p.yaml") && !text.contains("allow"))
        let networked = advice {
            $0.preset = .network
            $0.network = .host
        }
        #expect(networked.way(to: "socket") == .otherSocket)
        #expect(networked.way(to: "listen") == .allow)
        let isolated = advice { $0.preset = .unconfined }
        #expect(isolated.sentences(on: ["socket"], file: "p")?.contains("sandbox.network: host in p") == true)
    }

    @Test("under audit it says what went through and what did not")
    func audit() throws {
        let text = try #require(
            advice { $0.onDenied = .audit }.sentences(on: ["chown", "socket"], file: "p.yaml")
        )
        #expect(text.hasPrefix("the sandbox denied socket and on-denied: audit let chown through; "))
    }

    @Test("many names are cut and counted")
    func many() throws {
        let calls = ["chown", "fchown", "lchown", "fchownat", "mincore", "setuid", "setgid"]
        let text = try #require(advice().sentences(on: calls, file: "p"))
        #expect(text.contains("and 2 more"))
        #expect(advice().sentences(on: [], file: "p") == nil)
    }
}

@Suite("on-denied: audit") struct AuditRuleTests {
    @Test("every denied call goes through but those that open sockets")
    func held() {
        #expect(AuditRule.action(on: "mount", .audit) == .audit)
        for call in AuditRule.held { #expect(AuditRule.action(on: call, .audit) == .errno, "\(call)") }
        #expect(AuditRule.action(on: "socket", .kill) == .kill)
        for architecture in Architecture.allCases {
            let numbers = AuditRule.heldNumbers(of: .table(of: architecture))
            #expect(numbers.count == AuditRule.held.count && numbers == numbers.sorted())
        }
    }

    @Test("a policy under audit says that it protects from nothing")
    func warning() throws {
        var policy = SandboxPolicy()
        #expect(try SystemCallRules(policy).warnings.isEmpty)
        policy.onDenied = .audit
        #expect(try SystemCallRules(policy).warnings.contains { $0.contains("protects from nothing") })
    }
}
