import BulkheadPolicy

/// A question about one half of an argument, and where each answer leads.
struct ConditionStep {
    enum Exit {
        /// To the step behind this one.
        case next
        /// To the condition behind this one, or to the branch's answer.
        case holds
        /// Past the branch.
        case fails

        var swapped: Exit {
            switch self {
            case .next: .next
            case .holds: .fails
            case .fails: .holds
            }
        }
    }

    /// What brings the half into the accumulator; empty where it is there already.
    var loading: [FilterInstruction]
    var test: FilterInstruction.Test
    var constant: UInt32
    var ifTrue: Exit
    var ifFalse: Exit
    /// The step of the branch at which this condition ends.
    var end = 0

    /// Instructions that it comes to.
    var length: Int { loading.count + 1 }

    func placed(end: Int) -> ConditionStep {
        var step = self
        step.end = end
        return step
    }
}

/// A condition on 64 bits, by a machine that compares 32 unsigned ones.
enum ConditionCode {
    case always
    case never
    case steps([ConditionStep])

    init(_ condition: ArgumentCondition) {
        switch condition.comparison {
        case .equal: self = Self.compare(condition, .equal)
        case .greater: self = Self.compare(condition, .greater)
        case .greaterOrEqual: self = Self.compare(condition, .greaterOrEqual)
        case .notEqual: self = Self.compare(condition, .equal).negated
        case .lessOrEqual: self = Self.compare(condition, .greater).negated
        case .less: self = Self.compare(condition, .greaterOrEqual).negated
        }
    }

    private var negated: ConditionCode {
        switch self {
        case .always: return .never
        case .never: return .always
        case .steps(var steps):
            for index in steps.indices {
                steps[index].ifTrue = steps[index].ifTrue.swapped
                steps[index].ifFalse = steps[index].ifFalse.swapped
            }
            return .steps(steps)
        }
    }

    /// The high half decides unless it is equal; then the low one does.
    ///
    /// A half that the mask leaves out is zero.
    private static func compare(
        _ condition: ArgumentCondition,
        _ test: FilterInstruction.Test
    ) -> ConditionCode {
        let high = Half(condition, shift: 32)
        let low = Half(condition, shift: 0)
        guard high.mask != 0 || high.value == 0 else { return .never }
        var steps: [ConditionStep] = []
        if high.mask != 0 {
            if test != .equal { steps.append(high.step(.greater, ifTrue: .holds, ifFalse: .next)) }
            var equal = high.step(.equal, ifTrue: .next, ifFalse: .fails)
            if !steps.isEmpty { equal.loading = [] }
            steps.append(equal)
        }
        if low.mask != 0 {
            return .steps(steps + [low.step(test, ifTrue: .holds, ifFalse: .fails)])
        }
        let holds = test != .greater && low.value == 0
        guard !steps.isEmpty else { return holds ? .always : .never }
        steps[steps.count - 1].ifTrue = holds ? .holds : .fails
        return .steps(steps)
    }

    /// One half of a condition.
    private struct Half {
        let offset: UInt32
        let mask: UInt32
        let value: UInt32

        /// Both architectures are little-endian, so the low half of an argument comes first.
        init(_ condition: ArgumentCondition, shift: UInt64) {
            offset = FilterInput.argumentsOffset + UInt32(condition.index) * 8 + UInt32(shift / 8)
            mask = UInt32(truncatingIfNeeded: condition.mask >> shift)
            value = UInt32(truncatingIfNeeded: condition.value >> shift)
        }

        func step(
            _ test: FilterInstruction.Test,
            ifTrue: ConditionStep.Exit,
            ifFalse: ConditionStep.Exit
        ) -> ConditionStep {
            ConditionStep(
                loading: [.load(offset)] + (mask == .max ? [] : [.and(mask)]),
                test: test,
                constant: value,
                ifTrue: ifTrue,
                ifFalse: ifFalse
            )
        }
    }
}
