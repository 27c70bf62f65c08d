public import BulkheadCore
public import BulkheadPolicy
import Synchronization

/// A filter that was compared with its policy's meaning and may be installed.
public struct CompiledFilter: Sendable, Hashable {
    /// The array of `struct sock_filter` for `seccomp(2)`.
    public let bytes: [UInt8]
    /// Whether it must be installed with a listener, which answers refused calls.
    public let needsListener: Bool
    /// Whether the first execve reaches the listener too, which must let exactly that one through.
    public let firstExecNotified: Bool
    /// How many calls it was compared on.
    public let comparisons: Int

    /// How many instructions it has.
    public var instructionCount: Int { bytes.count / FilterProgram.instructionBytes }

    /// A 64-bit FNV-1a hash of the bytes, as hexadecimal digits, by which records tell filters apart.
    public var digest: String {
        let hash = bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        return String(hash, radix: 16)
    }
}

/// What a policy's system call rules come to on this host.
public struct CompiledSandbox: Sendable {
    /// What the policy means.
    public let rules: SystemCallRules
    /// The filter that does it; nil where every call goes through.
    public let filter: CompiledFilter?

    /// What the policy asks for and does not get, as sentences.
    public var warnings: [String] { rules.warnings }

    /// Works out what a policy means, compiles it, and compares the result with the meaning.
    ///
    /// Filters are kept in memory by their meaning, so policies that mean the same share one.
    ///
    /// - Parameter policy: The sandbox part of a policy.
    /// - Returns: The meaning and the filter.
    /// - Throws: An error of the code `invalidSetting` where the policy takes away what every launch needs or its
    ///   filter is too long, of `host` where the kernel does not know an answer, of `internal` where the compiled filter does not do what the policy means: nothing may run under it.
    public static func compile(_ policy: SandboxPolicy) throws(BulkheadError) -> CompiledSandbox {
        let rules = try SystemCallRules(policy)
        guard !rules.givesEverything else { return CompiledSandbox(rules: rules, filter: nil) }
        let key = FilterCache.Key(rules, kernel: .running)
        if let known = cache.withLock({ $0[key] }) { return CompiledSandbox(rules: rules, filter: known) }
        try KernelActions.running.check(rules)
        let filter = try checkedFilter(rules)
        cache.withLock { $0.keep(filter, for: key) }
        return CompiledSandbox(rules: rules, filter: filter)
    }

    private static func checkedFilter(_ rules: SystemCallRules) throws(BulkheadError) -> CompiledFilter {
        let program = try FilterCompiler.compile(rules)
        let check = FilterCheck(rules: rules, rendezvous: FilterCompiler.rendezvous)
        do {
            return CompiledFilter(
                bytes: program.bytes,
                needsListener: true,
                firstExecNotified: rules.refusesExec,
                comparisons: try check.run(program)
            )
        } catch {
            throw BulkheadError(
                .internal,
                "the policy was compiled into another filter than it means",
                cause: "\(error)",
                advice: "Nothing runs under this policy. Please report the policy and this text."
            )
        }
    }

    private static let cache = Mutex(FilterCache())
}
