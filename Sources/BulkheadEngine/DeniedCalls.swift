import BulkheadCore
import BulkheadPolicy

/// The system calls of one attempt that were denied.
struct DeniedCalls: Sendable {
    private var counts: [UInt32: UInt64] = [:]

    /// A call's name, or its number where the table has none.
    static func name(of number: UInt32) -> String {
        SyscallTable.current.name(of: number) ?? "syscall \(number)"
    }

    /// Takes a count, which goes on from the attempt's beginning.
    mutating func record(number: UInt32, count: UInt64) {
        counts[number] = max(counts[number] ?? 0, count)
    }

    /// The calls for the record, the most frequent first.
    func entries(action: SandboxPolicy.OnDenied) -> [DeniedSyscall] {
        counts.map {
            DeniedSyscall(name: Self.name(of: $0), count: Int64(clamping: $1), action: action.rawValue)
        }
        .sorted { ($1.count, $0.name) < ($0.count, $1.name) }
    }

    /// What to say of them in an error's hint; nil where there were none.
    func hint(under terms: AttemptTerms) -> String? {
        guard !counts.isEmpty else { return nil }
        let names = counts.keys.map(Self.name).sorted()
        let shown =
            names.prefix(5).joined(separator: ", ") + (names.count > 5 ? " and \(names.count - 5) more" : "")
        return
            "the sandbox denied \(shown); if the handler needs it, sandbox.syscalls.allow in \(terms.policyFile) gives it"
    }
}
