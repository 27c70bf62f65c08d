/// What an argument must be: those of its bits that a mask keeps equal a value.
public struct ArgumentCondition: Sendable, Hashable {
    /// The argument, from 0 to 5.
    public let index: Int
    /// The bits that count.
    public let mask: UInt64
    /// What they must be.
    public let value: UInt64

    /// Makes a condition.
    ///
    /// - Parameters:
    ///   - index: The argument, from 0 to 5.
    ///   - mask: The bits that count; all, by default.
    ///   - value: What they must be.
    public init(_ index: Int, mask: UInt64 = .max, is value: UInt64) {
        self.index = index
        self.mask = mask
        self.value = value
    }

    /// Whether the arguments of a call meet the condition.
    public func holds(for arguments: [UInt64]) -> Bool { arguments[index] & mask == value }

    /// The same condition over the bits alone that the kernel looks at: a caller may set the others at will
    /// (CVE-2019-10063).
    func narrowed(to width: ArgumentWidth) -> ArgumentCondition {
        ArgumentCondition(index, mask: mask & width.mask, is: value & width.mask)
    }
}

/// A combination of arguments: all its conditions hold.
public struct ArgumentCase: Sendable, Hashable {
    /// The conditions, at most one for each argument, by ascending argument.
    public let conditions: [ArgumentCondition]

    /// Makes a combination.
    public init(_ conditions: ArgumentCondition...) {
        self.init(conditions)
    }

    init(_ conditions: [ArgumentCondition]) {
        self.conditions = conditions.sorted { $0.index < $1.index }
        precondition(
            Set(conditions.map(\.index)).count == conditions.count,
            "one condition for each argument"
        )
    }

    /// Whether the arguments of a call are this combination.
    public func holds(for arguments: [UInt64]) -> Bool { conditions.allSatisfy { $0.holds(for: arguments) } }

    /// The combination with an argument held to one exact value besides; nil where the two exclude each other.
    func holding(_ index: Int, to value: UInt64) -> ArgumentCase? {
        guard let own = conditions.first(where: { $0.index == index }) else {
            return ArgumentCase(conditions + [ArgumentCondition(index, is: value)])
        }
        guard value & own.mask == own.value else { return nil }
        return ArgumentCase(conditions.filter { $0.index != index } + [ArgumentCondition(index, is: value)])
    }

    func narrowed(by call: Syscall) -> ArgumentCase {
        ArgumentCase(conditions.map { $0.narrowed(to: call.width(ofArgument: $0.index)) })
    }
}

/// What happens to a system call.
public enum Verdict: Sendable, Hashable {
    /// It goes through.
    case allow
    /// It is refused and recorded; the supervisor of the filter answers it (EPERM, or the end of the task).
    case deny
    /// It fails with this errno and nobody is told.
    case fail(errno: UInt16)
    /// The process is killed.
    case kill

    /// It fails as if the kernel had no such call (ENOSYS): libraries then take their older way.
    public static let unimplemented = Verdict.fail(errno: 38)
}

/// What happens to one system call, by its arguments.
public struct SyscallRule: Sendable, Hashable {
    /// The combinations of arguments that are told apart; empty where arguments do not matter.
    public let cases: [ArgumentCase]
    /// What happens to a call that is one of them.
    public let inside: Verdict
    /// What happens to every other call.
    public let outside: Verdict

    /// The same verdict whatever the arguments.
    ///
    /// - Parameter verdict: The verdict.
    /// - Returns: The rule.
    public static func always(_ verdict: Verdict) -> SyscallRule {
        SyscallRule(cases: [], inside: verdict, outside: verdict)
    }

    /// The call is given in these combinations alone, and refused in every other.
    ///
    /// - Parameter cases: The combinations; none refuses the call.
    /// - Returns: The rule.
    public static func only(_ cases: [ArgumentCase]) -> SyscallRule {
        cases.isEmpty ? .always(.deny) : SyscallRule(cases: cases, inside: .allow, outside: .deny)
    }

    /// The call is refused in these combinations, and given in every other.
    ///
    /// - Parameter cases: The combinations; none gives the call.
    /// - Returns: The rule.
    public static func unless(_ cases: [ArgumentCase]) -> SyscallRule {
        cases.isEmpty ? .always(.allow) : SyscallRule(cases: cases, inside: .deny, outside: .allow)
    }

    /// The verdict on a call.
    ///
    /// - Parameter arguments: Its six arguments.
    /// - Returns: The verdict.
    public func verdict(for arguments: [UInt64]) -> Verdict {
        cases.contains { $0.holds(for: arguments) } ? inside : outside
    }

    func narrowed(by call: Syscall) -> SyscallRule {
        SyscallRule(cases: cases.map { $0.narrowed(by: call) }, inside: inside, outside: outside)
    }
}
