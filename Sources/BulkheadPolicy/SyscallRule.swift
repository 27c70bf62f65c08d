/// What happens to a system call.
public enum Verdict: Sendable, Hashable {
    /// It goes through.
    case allow
    /// It goes through, and the kernel's log names it.
    case log
    /// It is refused and recorded, and answered as the policy's `on-denied` says.
    case deny
    /// It is refused and recorded, and answered with this errno.
    case denyWith(errno: UInt16)
    /// It is refused and recorded, and the task is ended.
    case denyAndEnd
    /// It fails with this errno and nobody is told.
    case fail(errno: UInt16)
    /// It is refused, and its thread gets SIGSYS; nobody else is told.
    case trap
    /// The process is killed.
    case kill

    /// It fails as if the kernel had no such call (ENOSYS): libraries then take their older way.
    public static let unimplemented = Verdict.fail(errno: 38)

    /// Whether the call reaches the kernel.
    public var passes: Bool { self == .allow || self == .log }

    /// Whether the launcher answers the call, and records it.
    public var isRecorded: Bool {
        switch self {
        case .deny, .denyWith, .denyAndEnd: true
        case .allow, .log, .fail, .trap, .kill: false
        }
    }
}

/// What happens to a call in one combination of its arguments.
public struct SyscallBranch: Sendable, Hashable {
    /// The combination.
    public let when: ArgumentCase
    /// What happens then.
    public let verdict: Verdict

    /// Makes a branch.
    ///
    /// - Parameters:
    ///   - when: The combination.
    ///   - verdict: What happens then.
    public init(_ when: ArgumentCase, _ verdict: Verdict) {
        self.when = when
        self.verdict = verdict
    }
}

/// What happens to one system call, by its arguments: the first branch that holds decides.
public struct SyscallRule: Sendable, Hashable {
    /// The combinations that are told apart, in order; empty where arguments do not matter.
    public let branches: [SyscallBranch]
    /// What happens where none of them holds.
    public let otherwise: Verdict

    /// Makes a rule; branches at the end that say what is said anyhow are left out.
    ///
    /// - Parameters:
    ///   - branches: The combinations, in order.
    ///   - otherwise: What happens where none of them holds.
    public init(_ branches: [SyscallBranch], otherwise: Verdict) {
        let needless = branches.reversed().prefix { $0.verdict == otherwise }.count
        self.branches = Array(branches.dropLast(needless))
        self.otherwise = otherwise
    }

    /// The same verdict whatever the arguments.
    ///
    /// - Parameter verdict: The verdict.
    /// - Returns: The rule.
    public static func always(_ verdict: Verdict) -> SyscallRule { SyscallRule([], otherwise: verdict) }

    /// The call is given in these combinations alone, and refused in every other.
    ///
    /// - Parameter cases: The combinations; none refuses the call.
    /// - Returns: The rule.
    public static func only(_ cases: [ArgumentCase]) -> SyscallRule {
        SyscallRule(cases.map { SyscallBranch($0, .allow) }, otherwise: .deny)
    }

    /// The call is refused in these combinations, and given in every other.
    ///
    /// - Parameter cases: The combinations; none gives the call.
    /// - Returns: The rule.
    public static func unless(_ cases: [ArgumentCase]) -> SyscallRule {
        SyscallRule(cases.map { SyscallBranch($0, .deny) }, otherwise: .allow)
    }

    /// Every verdict that some call may meet.
    public var verdicts: Set<Verdict> { Set(branches.map(\.verdict) + [otherwise]) }

    /// The verdict on a call.
    ///
    /// - Parameter arguments: Its six arguments.
    /// - Returns: The verdict.
    public func verdict(for arguments: [UInt64]) -> Verdict {
        branches.first { $0.when.holds(for: arguments) }?.verdict ?? otherwise
    }

    /// Whether some call whose arguments at these places are these goes through.
    func mayPass(given known: [Int: UInt64]) -> Bool {
        for branch in branches {
            guard let open = branch.when.given(known) else { continue }
            if branch.verdict.passes { return true }
            if open.conditions.isEmpty { return false }
        }
        return otherwise.passes
    }

    func narrowed(by call: Syscall) -> SyscallRule {
        SyscallRule(
            branches.map { SyscallBranch($0.when.narrowed(by: call), $0.verdict) },
            otherwise: otherwise
        )
    }
}
