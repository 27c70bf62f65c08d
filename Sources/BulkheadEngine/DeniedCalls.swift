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

    /// The calls for the record, the most frequent first, each with what it met.
    func entries(_ advice: DenialAdvice) -> [DeniedSyscall] {
        counts.map {
            let name = Self.name(of: $0)
            let action = advice.action(on: name).rawValue
            return DeniedSyscall(name: name, count: Int64(clamping: $1), action: action)
        }
        .sorted { ($1.count, $0.name) < ($0.count, $1.name) }
    }

    /// What to say of them in an error's hint; nil where there were none.
    func hint(under terms: AttemptTerms) -> String? {
        terms.denials.sentences(on: counts.keys.map(Self.name), file: terms.policyFile)
    }
}
