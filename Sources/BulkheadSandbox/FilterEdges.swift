import BulkheadPolicy

/// Arguments around the edges of a rule.
///
/// Around each branch, met exactly, one argument at a time goes through the values that conditions on it name,
/// their neighbours, each single bit of 64 turned, and the high half set; the values themselves are tried in every
/// combination. Where a rule has so many branches that this would take seconds, an argument goes through the edges
/// of the branch's own condition and a sample of the others' values.
struct FilterEdges {
    /// Arguments for a call that no argument decides.
    static let plain: [[UInt64]] = [
        [0, 0, 0, 0, 0, 0],
        [UInt64](repeating: .max, count: 6),
        [0x5412, 0x5412, 0x0005_0001, 0x1_0000_5412, 2, 0x7E02_0000],
    ]

    /// Numbers to try at another architecture's entry.
    static let foreignNumbers: [UInt32] = [
        0, 1, 2, 3, 5, 11, 39, 41, 56, 59, 60, 102, 198, 221, 231, 359, 425, 435, 0x3FFF_FFFF, 0x4000_0001,
        .max,
    ]

    /// Calls that are tried for one rule, about, before only samples are.
    private static let budget = 40_000

    private let cases: [ArgumentCase]
    private let conditions: [Int: [ArgumentCondition]]

    init(_ rule: SyscallRule) {
        cases = rule.branches.map(\.when)
        conditions = Dictionary(grouping: cases.flatMap(\.conditions), by: \.index)
    }

    /// All combinations to try.
    var vectors: Set<[UInt64]> {
        let everywhere = conditions.mapValues { Self.edges($0) }
        let plain = Self.plain.prefix(2).map { Base(arguments: $0, own: [:]) }
        let bases = plain + cases.flatMap(Self.bases)
        let isWhole = everywhere.values.reduce(0) { $0 + $1.count } * bases.count <= Self.budget
        let sample = conditions.mapValues { conditions in
            Set(conditions.map(\.value)).sorted().prefix(max(4, Self.budget / bases.count / 6))
        }
        var vectors = combinations
        for base in bases {
            for index in 0..<6 {
                let others = isWhole ? everywhere[index] : sample[index].map { Array($0) }
                for value in (base.own[index] ?? []) + (others ?? [0, 1, .max]) {
                    var arguments = base.arguments
                    arguments[index] = value
                    vectors.insert(arguments)
                }
            }
        }
        return vectors
    }

    /// Arguments that meet a case, and the edges of its own conditions.
    private struct Base {
        var arguments: [UInt64]
        var own: [Int: [UInt64]]
    }

    /// Arguments that are exactly the case, the bits that it does not ask for zero or all ones.
    private static func bases(_ combination: ArgumentCase) -> [Base] {
        let own = Dictionary(grouping: combination.conditions, by: \.index).mapValues { edges($0) }
        return [0, UInt64.max].map { filler in
            var arguments = [UInt64](repeating: filler, count: 6)
            for condition in combination.conditions {
                arguments[condition.index] = filler & ~condition.mask | condition.example & condition.mask
            }
            return Base(arguments: arguments, own: own)
        }
    }

    /// Every combination of the values that cases name, one that none names, and one with a high bit; none where
    /// they are too many.
    private var combinations: Set<[UInt64]> {
        let choices = conditions.mapValues { conditions in
            let values = conditions.map(\.value)
            return Set(values + [values.reduce(0, |) &+ 1, (values.first ?? 0) | 1 << 32])
        }
        let count = choices.values.reduce(1.0) { $0 * Double($1.count) }
        guard count <= Double(Self.budget) else { return [] }
        return choices.reduce(into: [Self.plain[0]]) { vectors, choice in
            vectors = Set(
                vectors.flatMap { vector in
                    choice.value.map { value in
                        var arguments = vector
                        arguments[choice.key] = value
                        return arguments
                    }
                }
            )
        }
    }

    private static func edges(_ conditions: [ArgumentCondition]) -> [UInt64] {
        var values: Set<UInt64> = [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, 1 << 63, .max]
        for condition in conditions {
            let value = condition.value
            let outside = ~condition.mask
            values.formUnion([
                value, value &+ 1, value &- 1, value | outside, value | 0xFFFF_FFFF << 32, ~value,
                value &+ 1 << 32, value &- 1 << 32,
            ])
            values.formUnion((0..<64).map { value ^ (1 << $0) })
        }
        return values.sorted()
    }
}

extension ArgumentCondition {
    /// An argument that meets the condition, where its neighbourhood has one.
    fileprivate var example: UInt64 {
        switch comparison {
        case .equal, .lessOrEqual, .greaterOrEqual: value
        case .notEqual: ~value
        case .less: value &- 1
        case .greater: value &+ 1
        }
    }
}
