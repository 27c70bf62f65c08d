import BulkheadLaunch
import BulkheadPolicy

extension SystemCallRules {
    /// What the launcher is told of the denied calls that meet something else than every denied call.
    ///
    /// The launcher is asked only about calls that the filter denied, so the branches that deny, in their order, are
    /// all that it needs.
    ///
    /// - Parameter usual: What a denied call meets otherwise.
    /// - Returns: The answers, by ascending number.
    func answers(besides usual: DeniedAction) -> [DenialAnswer] {
        rules.sorted { $0.key < $1.key }.flatMap { number, rule in
            let answers = Self.answers(number, rule, usual)
            return answers.allSatisfy { $0.action == usual } ? [] : answers
        }
    }

    private static func answers(
        _ number: UInt32,
        _ rule: SyscallRule,
        _ usual: DeniedAction
    ) -> [DenialAnswer] {
        let branches = rule.branches + [SyscallBranch(ArgumentCase(), rule.otherwise)]
        return branches.compactMap { branch in
            guard let action = DeniedAction(branch.verdict, usual) else { return nil }
            let conditions = branch.when.conditions.map(DenialCondition.init)
            return DenialAnswer(number: number, conditions: conditions, action: action)
        }
    }
}

extension DeniedAction {
    /// The answer to a denied call; nil for a verdict with which the launcher has nothing to do.
    fileprivate init?(_ verdict: Verdict, _ usual: DeniedAction) {
        switch verdict {
        case .deny: self = Self.plain(usual)
        case .denyWith(let errno): self = .errno(Int32(errno))
        case .denyAndEnd: self = .kill
        case .allow, .log, .fail, .trap, .kill: return nil
        }
    }

    /// A call that Bulkhead itself denies under a profile meets EPERM, whatever errno the profile has for others.
    private static func plain(_ usual: DeniedAction) -> DeniedAction {
        if case .errno = usual { return .errno(1) }
        return usual
    }
}

extension DenialCondition {
    fileprivate init(_ condition: ArgumentCondition) {
        let comparison: DenialComparison =
            switch condition.comparison {
            case .equal: .equal
            case .notEqual: .notEqual
            case .less: .less
            case .lessOrEqual: .lessOrEqual
            case .greater: .greater
            case .greaterOrEqual: .greaterOrEqual
            }
        self.init(
            index: UInt8(condition.index),
            comparison: comparison,
            mask: condition.mask,
            value: condition.value
        )
    }
}
