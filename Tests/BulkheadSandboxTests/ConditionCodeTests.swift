import BulkheadPolicy
import Testing

@testable import BulkheadSandbox

@Suite("ConditionCode")
struct ConditionCodeTests {
    private static let values: [UInt64] = [
        0, 1, 2, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x1_0000_0000, 0x1_0000_0001, 0xFFFF_FFFF_0000_0000,
        1 << 63, .max - 1, .max,
    ]
    private static let masks: [UInt64] = [
        .max, 0xFFFF_FFFF, 0xFFFF, 0, 1, 1 << 32, 0xFFFF_FFFF_0000_0000, 0x8000_0000_8000_0000, 0x7E02_0000,
    ]

    /// The rules of a policy with one call's rule in its place.
    private func program(_ condition: ArgumentCondition) throws -> (FilterEvaluator, UInt32) {
        let number = try #require(SyscallTable.current.number(of: "ioctl"))
        let rule = SyscallRule([SyscallBranch(ArgumentCase(condition), .allow)], otherwise: .trap)
        let instructions = FilterCompiler.code(for: rule)
        return (try FilterEvaluator(FilterProgram(instructions)), number)
    }

    @Test(
        "every comparison under every mask is the one that was asked for",
        arguments: ArgumentCondition.Comparison.allCases
    )
    func comparisons(comparison: ArgumentCondition.Comparison) throws {
        for mask in Self.masks {
            for value in Self.values {
                let condition = ArgumentCondition(3, mask: mask, comparison, value)
                let (evaluator, number) = try program(condition)
                for argument in Self.values.flatMap({ [$0, $0 & mask, value ^ $0] }) {
                    let arguments: [UInt64] = [7, .max, 0, argument, 0, 0]
                    let answer = evaluator.run(
                        FilterInput(number: number, architecture: 0xC000_003E, arguments: arguments)
                    )
                    let expected: UInt32 = condition.holds(for: arguments) ? 0x7FFF_0000 : 0x0003_0000
                    #expect(answer == expected, "\(condition) for \(argument)")
                }
            }
        }
    }

    @Test("the first branch that holds decides, and one that never does is no code")
    func order() throws {
        let rule = SyscallRule(
            [
                SyscallBranch(ArgumentCase(ArgumentCondition(0, mask: 0, is: 1)), .kill),
                SyscallBranch(
                    ArgumentCase(ArgumentCondition(0, .less, 10), ArgumentCondition(1, .greater, 4)),
                    .log
                ),
                SyscallBranch(ArgumentCase(ArgumentCondition(0, .less, 10)), .trap),
            ],
            otherwise: .allow
        )
        let instructions = FilterCompiler.code(for: rule)
        #expect(!instructions.contains(.answer(.kill)))
        let evaluator = try FilterEvaluator(FilterProgram(instructions))
        func answer(_ first: UInt64, _ second: UInt64) -> UInt32 {
            evaluator.run(
                FilterInput(number: 0, architecture: 0, arguments: [first, second, 0, 0, 0, 0])
            )
        }
        #expect(answer(9, 5) == 0x7FFC_0000)
        #expect(answer(9, 4) == 0x0003_0000)
        #expect(answer(10, 5) == 0x7FFF_0000)
    }
}
