import BulkheadPolicy
import Testing

@Suite("Learned policies") struct LearnedPolicyTests {
    /// What a sandbox gives in some case, by name.
    private func given(_ policy: SandboxPolicy) throws -> Set<String> {
        let rules = try SystemCallRules(policy)
        return Set(
            SyscallTable.current.all.filter { call in
                guard let rule = rules.rules[call.number] else { return false }
                return rule.otherwise == .allow || rule.branches.contains { $0.verdict == .allow }
            }.map(\.name)
        )
    }

    private func parent(_ preset: Preset = .default) -> SandboxPolicy {
        var policy = SandboxPolicy()
        policy.preset = preset
        policy.network = preset == .network ? .host : .none
        return policy
    }

    @Test("nothing beyond the base needs nothing beyond compute")
    func nothing() throws {
        let learned = LearnedPolicy(seen: [], within: parent())
        let first = try #require(learned.candidates.first)
        #expect(first.preset == .compute && first.allow.isEmpty && first.deny.isEmpty)
    }

    @Test(
        "what was used is given with its kin, what was not is not, in each way to say it",
        arguments: [Preset.default, .network]
    )
    func exact(preset: Preset) throws {
        let seen: Set<String> = ["unlink", "execve", "flock", "memfd_create"]
        let learned = LearnedPolicy(seen: seen, within: parent(preset))
        #expect(learned.used == seen.union(["unlinkat", "rmdir", "execveat"]) && learned.refused.isEmpty)
        let base = try given(parent(.compute))
        for candidate in learned.candidates {
            let all = try given(candidate)
            #expect(
                all.subtracting(base).subtracting(AuditRule.held).subtracting(["connect", "bind"])
                    == learned.used.filter { SyscallTable.current.number(of: $0) != nil }
            )
            #expect(all.isSuperset(of: base))
            #expect(all.isSubset(of: try given(parent(preset)).union(base)), "it gives more than its parent")
        }
    }

    @Test("calls that the parent gives for some arguments are never given whatever they are")
    func conditional() throws {
        let learned = LearnedPolicy(seen: ["clone", "wait4"], within: parent())
        let clone = try #require(SyscallTable.current.number(of: "clone"))
        let newUser: UInt64 = 0x1000_0000
        for candidate in learned.candidates {
            let rules = try SystemCallRules(candidate)
            #expect(rules.verdict(number: clone, arguments: [newUser, 0, 0, 0, 0, 0]) == .deny)
        }
        #expect(learned.candidates.map(\.preset) == [.compute, .default])
        let rules = try SystemCallRules(learned.candidates[1])
        #expect(rules.verdict(number: clone, arguments: [17, 0, 0, 0, 0, 0]) == .allow)
        let pipes = LearnedPolicy(seen: ["mknod"], within: parent())
        #expect(pipes.candidates.map(\.preset) == [.default])
    }

    @Test("what the parent denies stays denied, and why is told")
    func refused() {
        var policy = parent()
        policy.deny = [.name("flock")]
        let learned = LearnedPolicy(seen: ["mount", "ptrace", "chown", "flock", "socket"], within: policy)
        #expect(learned.used.isEmpty)
        let ways = Dictionary(uniqueKeysWithValues: learned.refused.map { ($0.call, $0.way) })
        #expect(
            ways == [
                "mount": .administrative, "ptrace": .reachesOthers, "chown": .allow, "flock": .denied,
                "socket": .network,
            ]
        )
        for candidate in learned.candidates {
            #expect(
                SyscallSelector.names(of: candidate.deny).contains("flock") || candidate.preset == .compute
            )
        }
    }

    @Test("runs show all that the parent gives beyond the base, by audit, and sockets are held")
    func tracing() throws {
        let traced = LearnedPolicy.tracing(parent())
        #expect(traced.onDenied == .audit)
        let base = try given(parent(.compute))
        #expect(try given(traced).subtracting(AuditRule.held) == base.subtracting(["clone", "setpriority"]))
    }

    @Test("a learned policy is one that the reader takes, and the same again")
    func text() throws {
        for seen in [[], ["unlink", "flock"], ["clone", "wait4", "execve", "sendto"]] as [Set<String>] {
            for candidate in LearnedPolicy(seen: seen, within: parent()).candidates {
                var policy = Policy()
                policy.sandbox = candidate
                #expect(try PolicyReader.read(Array(policy.text.utf8), file: "p.yaml") == policy)
            }
        }
    }
}
