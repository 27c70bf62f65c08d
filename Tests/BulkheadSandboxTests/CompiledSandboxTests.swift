import BulkheadPolicy
import BulkheadSandbox
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

    private func policy(_ preset: Preset, _ network: SandboxPolicy.Network) -> SandboxPolicy {
        var policy = SandboxPolicy()
        policy.preset = preset
        policy.network = network
        return policy
    }
}
