import BulkheadCore
import BulkheadPolicy
import BulkheadSandbox

/// Reads arbitrary bytes as an OCI profile, for both architectures and an old and a new kernel.
///
/// Nothing may trap, every refusal says something and where, a profile that is taken has a meaning for every call,
/// and the filter that it compiles to does what it means.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzProfile(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    for architecture in Architecture.allCases {
        for kernel in [KernelVersion(4, 4), KernelVersion(6, 18)] {
            read(bytes, ProfileHost(architecture: architecture, kernel: kernel))
        }
    }
    return 0
}

private func read(_ bytes: [UInt8], _ host: ProfileHost) {
    do throws(PolicyDiagnostics) {
        let profile = try ProfileReader.read(bytes, name: "p.json", file: "p.json", host: host)
        precondition(profile.warnings.allSatisfy { $0.line >= 1 && $0.column >= 1 && !$0.message.isEmpty })
        precondition(SyscallTable.table(of: host.architecture).all.allSatisfy { isTold(profile, $0.name) })
        compile(profile, host)
    } catch {
        precondition(error.all.allSatisfy { $0.line >= 1 && $0.column >= 1 && !$0.message.isEmpty })
    }
}

private func isTold(_ profile: SeccompProfile, _ name: String) -> Bool {
    !profile.lines(deciding: name).isEmpty
}

/// Works its meaning out with and without network, and compiles the one that a launch would have.
private func compile(_ profile: SeccompProfile, _ host: ProfileHost) {
    var policy = SandboxPolicy()
    policy.profile = profile
    _ = try? SystemCallRules(policy, table: .table(of: host.architecture))
    policy.network = .host
    guard host.architecture == .current, host.kernel > KernelVersion(5, 0) else { return }
    do {
        _ = try CompiledSandbox.compile(policy)
    } catch {
        precondition(error.code != .internal, "the filter does not do what the profile means: \(error)")
    }
}
