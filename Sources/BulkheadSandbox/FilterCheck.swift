import BulkheadCore
public import BulkheadPolicy

/// A call on which a filter and the rules that it was made from disagree.
public struct FilterMismatch: Error, Sendable, Equatable, CustomStringConvertible {
    /// The architecture of the entry, `AUDIT_ARCH_*`.
    public let architecture: UInt32
    /// The number.
    public let number: UInt32
    /// The six arguments.
    public let arguments: [UInt64]
    /// What the rules say.
    public let expected: Verdict
    /// What the filter returns, `SECCOMP_RET_*`.
    public let returned: UInt32

    /// The mismatch as a sentence.
    public var description: String {
        func hex(_ value: some BinaryInteger) -> String { "0x" + String(value, radix: 16) }
        let list = arguments.map { hex($0) }.joined(separator: ", ")
        return "the filter answers call \(number) of architecture \(hex(architecture)) with (\(list)) "
            + "by \(hex(returned)) where the policy means \(expected)"
    }
}

/// Compares a filter with the rules that it was made from.
///
/// It asks for every known number, unknown numbers, foreign entries, and around every edge of each argument
/// rule. The compiler is no part of the trusted base then: such programs have been wrong in the best of compilers
/// (libseccomp's merged 64-bit comparisons, GHSA-4q85-33p6-j5g6).
public struct FilterCheck: Sendable {
    private let rules: SystemCallRules
    private let rendezvous: UInt32?

    /// Prepares the comparison.
    ///
    /// - Parameters:
    ///   - rules: What the filter must do.
    ///   - rendezvous: The number beside the rules that must reach the listener.
    public init(rules: SystemCallRules, rendezvous: UInt32?) {
        self.rules = rules
        self.rendezvous = rendezvous
    }

    /// Runs the comparison.
    ///
    /// - Parameter program: The filter.
    /// - Returns: How many calls were compared.
    /// - Throws: ``FilterMismatch`` for the first call that differs, ``FilterEvaluator/Invalid`` where the kernel
    ///   would refuse the filter.
    @discardableResult
    public func run(_ program: FilterProgram) throws -> Int {
        let evaluator = try FilterEvaluator(program)
        var count = 0
        for number in numbers {
            for arguments in FilterEdges.plain {
                try compare(evaluator, rules.architecture.auditNumber, number, arguments)
                count += 1
            }
        }
        for (number, rule) in rules.rules where !rule.branches.isEmpty {
            for arguments in FilterEdges(rule).vectors {
                try compare(evaluator, rules.architecture.auditNumber, number, arguments)
                count += 1
            }
        }
        for architecture in foreignArchitectures {
            for number in FilterEdges.foreignNumbers {
                try compare(evaluator, architecture, number, FilterEdges.plain[0])
                count += 1
            }
        }
        return count
    }

    private func compare(
        _ evaluator: FilterEvaluator,
        _ architecture: UInt32,
        _ number: UInt32,
        _ arguments: [UInt64]
    ) throws(FilterMismatch) {
        let input = FilterInput(number: number, architecture: architecture, arguments: arguments)
        let expected =
            architecture != rules.architecture.auditNumber
            ? .kill : number == rendezvous ? .deny : rules.verdict(number: number, arguments: arguments)
        let returned = evaluator.run(input)
        guard returned != expected.filterReturn else { return }
        throw FilterMismatch(
            architecture: architecture,
            number: number,
            arguments: arguments,
            expected: expected,
            returned: returned
        )
    }

    /// Every known number, its neighbours, all small ones, each power of two and its neighbours, and every known
    /// number with the mark of x32.
    private var numbers: Set<UInt32> {
        let known = Set(rules.rules.keys).union(rendezvous.map { [$0] } ?? [])
        var numbers = known.union(0..<600).union([0x3FFF_FFFF, 0xFFFF_FFFE, .max])
        for number in known {
            numbers.formUnion([number &- 1, number &+ 1, number | 0x4000_0000, number | 0x8000_0000])
        }
        for shift in 0..<32 {
            let power = UInt32(1) << shift
            numbers.formUnion([power &- 1, power, power &+ 1])
        }
        return numbers
    }

    /// The other architectures of linux/audit.h, and this one with each of its bits turned.
    private var foreignArchitectures: Set<UInt32> {
        let own = rules.architecture.auditNumber
        let named: Set<UInt32> = [
            0x4000_0003, 0xC000_003E, 0xC000_00B7, 0x4000_0028, 0x28, 0xC000_00F3, 0x4000_00F3, 0xC000_0015,
            0x8000_0015, 0x8000_0016, 0x8, 0x4000_0008, 0x8000_0008, 0xC000_0008, 0xC000_0102, 0, .max,
        ]
        return named.union((0..<32).map { own ^ (1 << $0) }).subtracting([own])
    }
}

extension Verdict {
    /// What a filter returns for the verdict (`SECCOMP_RET_*` of linux/seccomp.h).
    var filterReturn: UInt32 {
        switch self {
        case .allow: 0x7FFF_0000
        case .log: 0x7FFC_0000
        case .deny, .denyWith, .denyAndEnd: 0x7FC0_0000
        case .fail(let errno): 0x0005_0000 | UInt32(errno)
        case .trap: 0x0003_0000
        case .kill: 0x8000_0000
        }
    }
}
