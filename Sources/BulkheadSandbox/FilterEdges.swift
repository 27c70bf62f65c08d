import BulkheadPolicy

/// Arguments around the edges of a rule.
///
/// For each argument that the rule looks at: the values of its conditions, their neighbours, each single bit of
/// 64 turned, and the high half set. Around each case one argument at a time goes through all of these; the
/// values themselves are tried in every combination.
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

    private let rule: SyscallRule
    private let indices: [Int]

    init(_ rule: SyscallRule) {
        self.rule = rule
        indices = Set(rule.cases.flatMap { $0.conditions.map(\.index) }).sorted()
    }

    /// All combinations to try.
    var vectors: Set<[UInt64]> {
        var vectors = combinations
        for base in bases {
            for index in 0..<6 {
                for value in indices.contains(index) ? edges(index) : [0, 1, .max] {
                    var arguments = base
                    arguments[index] = value
                    vectors.insert(arguments)
                }
            }
        }
        return vectors
    }

    /// Arguments that are exactly one of the cases, the others zero or all ones, and two that are none's.
    private var bases: [[UInt64]] {
        var bases = Array(Self.plain.prefix(2))
        for combination in rule.cases {
            for filler in [0, UInt64.max] {
                var arguments = [UInt64](repeating: filler, count: 6)
                for condition in combination.conditions {
                    arguments[condition.index] = filler & ~condition.mask | condition.value
                }
                bases.append(arguments)
            }
        }
        return bases
    }

    /// Every combination of the values that cases name, one that none names, and one with a high bit.
    private var combinations: Set<[UInt64]> {
        var vectors: Set<[UInt64]> = [Self.plain[0]]
        for index in indices {
            let values = conditions(index).map(\.value)
            let choices = Set(values + [values.reduce(0, |) &+ 1, (values.first ?? 0) | 1 << 32])
            vectors = Set(
                vectors.flatMap { vector in
                    choices.map { value in
                        var arguments = vector
                        arguments[index] = value
                        return arguments
                    }
                }
            )
        }
        return vectors
    }

    private func edges(_ index: Int) -> Set<UInt64> {
        var values: Set<UInt64> = [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, 1 << 63, .max]
        for condition in conditions(index) {
            let value = condition.value
            let outside = ~condition.mask
            values.formUnion([
                value, value &+ 1, value &- 1, value | outside, value | 0xFFFF_FFFF << 32, ~value,
            ])
            values.formUnion((0..<64).map { value ^ (1 << $0) })
        }
        return values
    }

    private func conditions(_ index: Int) -> [ArgumentCondition] {
        rule.cases.flatMap { $0.conditions.filter { $0.index == index } }
    }
}
