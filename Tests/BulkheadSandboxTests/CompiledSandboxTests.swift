import BulkheadCore
import BulkheadPolicy
import BulkheadSandbox
import Foundation
import Testing

@Suite("CompiledSandbox")
struct CompiledSandboxTests {
    @Test("every preset compiles to a filter that does what it means", arguments: Preset.allCases)
    func presetsCompile(preset: Preset) throws {
        for network in SandboxPolicy.Network.allCases {
            let sandbox = try CompiledSandbox.compile(policy(preset, network))
            guard let filter = sandbox.filter else {
                #expect(preset == .unconfined && network == .host)
                continue
            }
            #expect(filter.comparisons > 5_000)
            #expect(filter.instructionCount < 1_000)
            #expect(filter.needsListener)
            #expect(filter.firstExecNotified == (preset == .compute))
        }
    }

    @Test(
        "what a policy allows and denies compiles under every preset",
        arguments: Preset.allCases,
        [
            ["@network-io", "io_uring_setup"], ["@system-service"], ["@known"], ["socket", "socketpair"],
            ["clone", "ioctl", "prctl", "personality"],
        ]
    )
    func listsCompile(preset: Preset, allow: [String]) throws {
        for network in SandboxPolicy.Network.allCases {
            var policy = policy(preset, network)
            policy.allow = try allow.map { try SyscallSelector($0) }
            policy.deny = try ["ptrace", "@reboot", "execve"].map { try SyscallSelector($0) }
            let filter = try #require(try CompiledSandbox.compile(policy).filter)
            #expect(filter.firstExecNotified)
        }
    }

    @Test("every profile of the fixtures compiles to a filter that does what it means")
    func profilesCompile() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/profiles/valid")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(names.count >= 5)
        for name in names {
            let bytes = Array(try Data(contentsOf: folder.appending(path: name)))
            for network in SandboxPolicy.Network.allCases {
                var policy = SandboxPolicy()
                policy.network = network
                policy.profile = try ProfileReader.read(bytes, name: name, file: name, host: .running)
                let filter = try #require(try CompiledSandbox.compile(policy).filter)
                #expect(filter.comparisons > 5_000)
                #expect(filter.instructionCount < 1_000)
            }
        }
    }

    @Test(
        "a profile that looks at very many arguments is compared in time, one beyond the kernel's length refused"
    )
    func longProfiles() throws {
        func filter(_ requests: Int) throws -> CompiledFilter? {
            let entries = (0..<requests).map { request in
                """
                {"names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 25,
                 "args": [{"index": 1, "value": \(request * 3), "op": "SCMP_CMP_EQ"}]}
                """
            }
            let text =
                "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [\(entries.joined(separator: ","))]}"
            var policy = SandboxPolicy()
            policy.network = .host
            policy.profile = try ProfileReader.read(
                Array(text.utf8),
                name: "p.json",
                file: "p.json",
                host: .running
            )
            return try CompiledSandbox.compile(policy).filter
        }
        let most = try #require(try filter(150))
        #expect(most.comparisons < 200_000)
        let error = #expect(throws: BulkheadError.self) { try filter(1_500) }
        #expect(error?.code == .invalidSetting)
        #expect(error?.message.contains("4096") == true)
    }

    @Test("a filter kills foreign entries and hands the rendezvous to its listener")
    func fixedAnswers() throws {
        let filter = try #require(try CompiledSandbox.compile(SandboxPolicy()).filter)
        let evaluator = try FilterEvaluator(try #require(FilterProgram(bytes: filter.bytes)))
        func answer(_ number: UInt32, _ architecture: UInt32 = Architecture.current.auditNumber) -> UInt32 {
            evaluator.run(
                FilterInput(number: number, architecture: architecture, arguments: [0, 0, 0, 0, 0, 0])
            )
        }
        #expect(answer(3, 0x4000_0003) == 0x8000_0000)
        #expect(answer(0x3FFF_FF42) == 0x7FC0_0000)
        #expect(answer(0x3FFF_FFFF) == 0x0005_0026)
        if Architecture.current == .x8664 { #expect(answer(0x4000_0000) == 0x8000_0000) }
    }

    @Test("policies that mean the same share a filter, others do not")
    func sharing() throws {
        var same = SandboxPolicy()
        same.allow = [.name("read")]
        var other = SandboxPolicy()
        other.deny = [.name("fork")]
        let base = try #require(try CompiledSandbox.compile(SandboxPolicy()).filter)
        #expect(try CompiledSandbox.compile(same).filter == base)
        let narrower = try #require(try CompiledSandbox.compile(other).filter)
        // fork exists on x86-64 alone.
        #expect((narrower.digest == base.digest) == (SyscallTable.current.number(of: "fork") == nil))
        #expect((narrower.bytes == base.bytes) == (narrower.digest == base.digest))
    }

    @Test("a policy that takes away what every program needs is refused")
    func essential() {
        var policy = SandboxPolicy()
        policy.deny = [.group("@default")]
        let error = #expect(throws: BulkheadError.self) { try CompiledSandbox.compile(policy) }
        #expect(error?.code == .invalidSetting)
        #expect(error?.message.contains("exit, exit_group, rt_sigreturn") == true)
    }

    private func policy(_ preset: Preset, _ network: SandboxPolicy.Network) -> SandboxPolicy {
        var policy = SandboxPolicy()
        policy.preset = preset
        policy.network = network
        return policy
    }
}
