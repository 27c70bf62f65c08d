import BulkheadPolicy

/// Compiled filters by what they depend on, so that policies that mean the same share one.
struct FilterCache {
    /// Everything that decides which program comes out and whether it may be installed.
    struct Key: Hashable {
        /// The policy's meaning: the rule of each number, and of those beyond the table.
        var rules: [UInt32: SyscallRule]
        var unknown: Verdict
        var architecture: Architecture
        /// The table by which the meaning was checked.
        var table: UInt64
        /// The compiler's version.
        var compiler: Int
        /// The answers that the running kernel knows.
        var kernel: KernelActions

        init(_ rules: SystemCallRules, kernel: KernelActions) {
            self.rules = rules.rules
            unknown = rules.unknown
            architecture = rules.architecture
            table = SyscallTable.table(of: rules.architecture).digest
            compiler = FilterCompiler.version
            self.kernel = kernel
        }
    }

    /// Filters kept at most, of some kilobytes each.
    static let limit = 256

    private(set) var filters: [Key: CompiledFilter] = [:]

    subscript(key: Key) -> CompiledFilter? { filters[key] }

    /// Keeps a filter; a full cache begins anew, which costs some milliseconds a policy.
    mutating func keep(_ filter: CompiledFilter, for key: Key) {
        if filters.count >= Self.limit { filters.removeAll() }
        filters[key] = filter
    }
}
