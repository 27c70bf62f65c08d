import BulkheadPolicy
import Testing

@Suite("Presets")
struct PresetsTests {
    @Test("every call that a preset names exists", arguments: Preset.allCases)
    func names(preset: Preset) {
        let rules = preset.rules
        for name in rules.names.union(rules.conditions.keys) {
            #expect(SyscallTable.knows(name: name), "\(preset) names \(name)")
        }
        #expect(rules.names.isDisjoint(with: rules.conditions.keys))
    }

    @Test("every argument that a rule looks at is one that the call has", arguments: Preset.allCases)
    func arguments(preset: Preset) {
        for (name, rule) in preset.rules.conditions {
            for architecture in Architecture.allCases {
                guard let call = SyscallTable.table(of: architecture).syscall(named: name) else { continue }
                for condition in rule.branches.flatMap(\.when.conditions) {
                    #expect(call.arguments.indices.contains(condition.index), "\(name)")
                    let mask = condition.mask & call.width(ofArgument: condition.index).mask
                    #expect(condition.value & ~mask == 0, "\(name) asks for a value that no argument has")
                }
            }
        }
    }

    @Test("compute is part of default, default of network")
    func order() {
        #expect(Preset.default.rules.names.isSuperset(of: Preset.compute.rules.names))
        #expect(
            Preset.network.rules.names.subtracting(Preset.default.rules.names) == ["connect", "bind"]
        )
        #expect(Preset.compute.rules.names.count < 160)
        #expect((230...330).contains(Preset.default.rules.names.count))
    }

    @Test(
        "what administers or looks into the host is in no preset but unconfined",
        arguments: [
            "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "unshare", "setns", "bpf",
            "userfaultfd", "keyctl", "add_key", "request_key", "perf_event_open", "mount", "fsopen",
            "move_mount",
            "open_tree", "pivot_root", "chroot", "open_by_handle_at", "name_to_handle_at", "kexec_load",
            "reboot",
            "init_module", "finit_module", "swapon", "syslog", "iopl", "ioperm", "memfd_secret",
            "io_uring_setup",
            "io_uring_enter", "io_uring_register", "setuid", "setgid", "setresuid", "setgroups", "chown",
            "fchownat", "shmget", "msgget", "semget", "mq_open", "io_setup", "listen", "accept", "accept4",
            "kcmp",
            "quotactl", "acct", "settimeofday", "clock_settime", "sethostname", "lookup_dcookie",
            "process_madvise",
        ]
    )
    func withheld(name: String) throws {
        for preset in [Preset.default, .compute, .network] {
            var policy = SandboxPolicy()
            policy.preset = preset
            policy.network = .host
            let rules = try SystemCallRules(policy)
            guard let number = SyscallTable.current.number(of: name) else { continue }
            #expect(rules.rules[number] == .always(.deny), "\(preset)")
        }
    }

    @Test(
        "compute starts nothing, removes nothing, opens no socket",
        arguments: [
            "fork", "vfork", "execve", "execveat", "memfd_create", "unlink", "unlinkat", "socket",
            "socketpair", "kill",
        ]
    )
    func compute(name: String) throws {
        var policy = SandboxPolicy()
        policy.preset = .compute
        let rules = try SystemCallRules(policy)
        guard let number = SyscallTable.current.number(of: name) else { return }
        #expect(rules.rules[number] == .always(.deny))
        #expect(rules.refusesExec)
    }

    @Test("the files of a preset leave the secrets of the settings folder out")
    func secrets() throws {
        let files = try #require(Preset.default.rules.files)
        for secret in [
            "shadow", "shadow-", "gshadow", "gshadow-", "sudoers", "sudoers.d", "ssh", "ssl/private",
        ] {
            #expect(files.isSecret(secret))
        }
        for open in ["passwd", "ssl", "ssl/certs", "sshd", "hosts"] { #expect(!files.isSecret(open)) }
        #expect(files.holdsSecret("ssl"))
        #expect(!files.holdsSecret("ssh"))
        #expect(Preset.unconfined.rules.files == nil)
    }
}
