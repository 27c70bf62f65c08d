import BulkheadCore
import BulkheadPolicy
import CLinux

/// Turns rules into a BPF program.
///
/// It is Bulkhead's own, since the library for it, libseccomp 2.5, compares whole registers: an order or an
/// inequality on a 32-bit argument, which OCI profiles ask for, passes once a high bit is set (as CVE-2019-10063),
/// and rules of one call with several verdicts have no order there. What comes out is not trusted:
/// ``FilterCheck`` compares it with the rules, by ``FilterEvaluator``, which follows the kernel.
///
/// The program asks for the architecture, then finds the number in a balanced tree of ranges; each leaf answers, or
/// looks at arguments branch by branch.
enum FilterCompiler {
    /// The number that hands the launcher its listener; see `CLINUX_RENDEZVOUS_SYSCALL`.
    static let rendezvous = UInt32(CLINUX_RENDEZVOUS_SYSCALL)

    /// Raised whenever the same rules come out as another program.
    static let version = 1

    /// Compiles rules.
    ///
    /// - Parameter rules: The rules.
    /// - Returns: The program, unchecked.
    /// - Throws: An error of the code `invalidSetting` where it is longer than the kernel takes.
    static func compile(_ rules: SystemCallRules) throws(BulkheadError) -> FilterProgram {
        let ranges = ranges(of: rules)
        let instructions =
            [
                .load(FilterInput.architectureOffset),
                .jump(.equal, rules.architecture.auditNumber, jumpTrue: 1),
                .answer(.kill),
                .load(FilterInput.numberOffset),
            ] + tree(ranges[...])
        guard instructions.count <= FilterProgram.maximumInstructions else {
            throw BulkheadError(
                .invalidSetting,
                "the filter needs \(instructions.count) instructions, and the kernel takes "
                    + "\(FilterProgram.maximumInstructions)",
                advice: "Have fewer rules that look at arguments."
            )
        }
        return FilterProgram(instructions)
    }

    // MARK: Numbers

    /// Numbers from the first up to the next range's first.
    private struct Range {
        var first: UInt32
        var rule: SyscallRule
    }

    /// Every number of 32 bits, neighbours of one verdict joined.
    private static func ranges(of rules: SystemCallRules) -> [Range] {
        let unknown = SyscallRule.always(rules.unknown)
        var known = rules.rules
        known[rendezvous] = .always(.deny)
        var ranges: [Range] = []
        func add(_ first: UInt32, _ rule: SyscallRule) {
            guard ranges.last?.rule != rule else { return }
            ranges.append(Range(first: first, rule: rule))
        }
        var next: UInt32 = 0
        for (number, rule) in known.sorted(by: { $0.key < $1.key }) {
            if number > next { add(next, unknown) }
            add(number, rule)
            next = number + 1
        }
        add(next, unknown)
        if let foreign = rules.architecture.x32Bit {
            add(foreign, .always(.kill))
            add(.max, unknown)
        }
        return ranges
    }

    /// A binary search; a short jump skips at most 255 instructions.
    private static func tree(_ ranges: ArraySlice<Range>) -> [FilterInstruction] {
        guard ranges.count > 1 else { return ranges.first.map { code(for: $0.rule) } ?? [] }
        let middle = (ranges.startIndex + ranges.endIndex) / 2
        let below = tree(ranges[..<middle])
        let above = tree(ranges[middle...])
        let first = ranges[middle].first
        if let distance = UInt8(exactly: below.count) {
            return [.jump(.greaterOrEqual, first, jumpTrue: distance)] + below + above
        }
        return [.jump(.greaterOrEqual, first, jumpFalse: 1), .skip(below.count)] + below + above
    }

    // MARK: Arguments

    static func code(for rule: SyscallRule) -> [FilterInstruction] {
        rule.branches.flatMap { branch in code(for: branch) } + [.answer(rule.otherwise)]
    }

    /// A branch that answers where all its conditions hold, and else is run past.
    private static func code(for branch: SyscallBranch) -> [FilterInstruction] {
        var steps: [ConditionStep] = []
        for condition in branch.when.conditions {
            switch ConditionCode(condition) {
            case .always: continue
            case .never: return []
            case .steps(let more):
                let end = steps.count + more.count
                steps += more.map { $0.placed(end: end) }
            }
        }
        return laidOut(steps) + [.answer(branch.verdict)]
    }

    /// Turns steps into instructions, now that all distances are known.
    private static func laidOut(_ steps: [ConditionStep]) -> [FilterInstruction] {
        let starts = steps.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.length) }
        let failure = starts[steps.count] + 1
        return steps.indices.flatMap { index in
            let step = steps[index]
            func distance(_ exit: ConditionStep.Exit) -> UInt8 {
                let target =
                    switch exit {
                    case .next: starts[index + 1]
                    case .holds: starts[step.end]
                    case .fails: failure
                    }
                // Six conditions of two words have 60 instructions at most.
                return UInt8(target - starts[index + 1])
            }
            return step.loading + [
                .jump(
                    step.test,
                    step.constant,
                    jumpTrue: distance(step.ifTrue),
                    jumpFalse: distance(step.ifFalse)
                )
            ]
        }
    }
}

extension FilterInstruction {
    /// The comparisons of a jump (linux/bpf_common.h).
    enum Test: UInt16 {
        case equal = 0x15
        case greater = 0x25
        case greaterOrEqual = 0x35
    }

    static func load(_ offset: UInt32) -> FilterInstruction { FilterInstruction(0x20, offset) }
    static func and(_ mask: UInt32) -> FilterInstruction { FilterInstruction(0x54, mask) }
    static func skip(_ count: Int) -> FilterInstruction { FilterInstruction(0x05, UInt32(count)) }
    static func answer(_ verdict: Verdict) -> FilterInstruction {
        FilterInstruction(0x06, verdict.filterReturn)
    }
    static func jump(
        _ test: Test,
        _ constant: UInt32,
        jumpTrue: UInt8 = 0,
        jumpFalse: UInt8 = 0
    ) -> FilterInstruction {
        FilterInstruction(test.rawValue, jumpTrue: jumpTrue, jumpFalse: jumpFalse, constant)
    }
}
