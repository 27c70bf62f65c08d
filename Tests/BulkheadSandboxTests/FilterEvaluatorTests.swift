import BulkheadSandbox
import Testing

@Suite("FilterEvaluator")
struct FilterEvaluatorTests {
    private static let loadWord: UInt16 = 0x20
    private static let returnConstant: UInt16 = 0x06
    private static let returnA: UInt16 = 0x16

    private func run(_ instructions: [FilterInstruction], _ arguments: [UInt64] = []) throws -> UInt32 {
        let filled = arguments + [UInt64](repeating: 0, count: 6 - arguments.count)
        let input = FilterInput(number: 7, architecture: 0xC000_003E, arguments: filled)
        return try FilterEvaluator(FilterProgram(instructions)).run(input)
    }

    @Test(
        "a load reads the word of the kernel's layout",
        arguments: [
            (UInt32(0), UInt32(7)), (4, 0xC000_003E), (8, 0), (12, 0), (16, 0x5566_7788), (20, 0x1122_3344),
            (56, 0xDDDD_EEEE), (60, 0xAAAA_BBBB),
        ]
    )
    func loadReadsTheLayout(offset: UInt32, value: UInt32) throws {
        let arguments: [UInt64] = [0x1122_3344_5566_7788, 0, 0, 0, 0, 0xAAAA_BBBB_DDDD_EEEE]
        let result = try run([.init(Self.loadWord, offset), .init(Self.returnA, 0)], arguments)
        #expect(result == value)
    }

    @Test(
        "a comparison is unsigned and takes the right branch",
        arguments: [
            (UInt16(0x15), UInt32(5), UInt64(5), true), (0x15, 5, 6, false),
            (0x25, 5, 6, true), (0x25, 5, 5, false), (0x25, 5, 0xFFFF_FFFF, true),
            (0x35, 5, 5, true), (0x35, 5, 4, false), (0x35, 0x8000_0000, 0x7FFF_FFFF, false),
            (0x45, 6, 2, true), (0x45, 6, 9, false),
        ]
    )
    func comparison(code: UInt16, constant: UInt32, argument: UInt64, holds: Bool) throws {
        let result = try run(
            [
                .init(Self.loadWord, 16), .init(code, jumpTrue: 1, jumpFalse: 0, constant),
                .init(Self.returnConstant, 0), .init(Self.returnConstant, 1),
            ],
            [argument]
        )
        #expect(result == (holds ? 1 : 0))
    }

    @Test(
        "a comparison with the index register does the same",
        arguments: [
            (UInt16(0x1D), UInt32(9), true), (0x2D, 8, true), (0x2D, 9, false), (0x3D, 9, true),
            (0x4D, 6, false),
        ]
    )
    func indexComparison(code: UInt16, index: UInt32, holds: Bool) throws {
        let result = try run(
            [
                .init(0x01, index), .init(Self.loadWord, 16), .init(code, jumpTrue: 1, jumpFalse: 0, 0),
                .init(Self.returnConstant, 0), .init(Self.returnConstant, 1),
            ],
            [9]
        )
        #expect(result == (holds ? 1 : 0))
    }

    @Test(
        "arithmetic wraps at 32 bits",
        arguments: [
            (UInt16(0x04), UInt32(1), UInt32(0)), (0x14, 1, 0xFFFF_FFFE), (0x24, 2, 0xFFFF_FFFE),
            (0x34, 16, 0x0FFF_FFFF), (0x44, 0, 0xFFFF_FFFF), (0x54, 0xF0, 0xF0), (0x64, 4, 0xFFFF_FFF0),
            (0x74, 28, 0xF), (0x84, 0, 1), (0xA4, 0xFF, 0xFFFF_FF00),
        ]
    )
    func arithmetic(code: UInt16, constant: UInt32, result: UInt32) throws {
        let ran = try run([.init(0x00, 0xFFFF_FFFF), .init(code, constant), .init(Self.returnA, 0)])
        #expect(ran == result)
    }

    @Test("the scratch memory and the registers keep what they are given")
    func memory() throws {
        let result = try run([
            .init(0x00, 41), .init(0x02, 3), .init(0x01, 1), .init(0x03, 15), .init(0x00, 0), .init(0x61, 15),
            .init(0x60, 3), .init(0x0C, 0), .init(0x07, 0), .init(0x00, 0), .init(0x87, 0),
            .init(Self.returnA, 0),
        ])
        #expect(result == 42)
    }

    @Test("an unconditional jump skips what it says")
    func jump() throws {
        let result = try run([
            .init(0x05, 1), .init(Self.returnConstant, 1), .init(Self.returnConstant, 2),
        ])
        #expect(result == 2)
    }

    @Test(
        "what the kernel would not install is refused by name",
        arguments: [
            ([], FilterEvaluator.Invalid.length(0)),
            ([.init(0x00, 1)], .noReturn),
            ([.init(0x20, 64), .init(0x06, 0)], .load(at: 0)),
            ([.init(0x20, 6), .init(0x06, 0)], .load(at: 0)),
            ([.init(0x60, 16), .init(0x06, 0)], .load(at: 0)),
            ([.init(0x05, 1), .init(0x06, 0)], .jump(at: 0)),
            ([.init(0x15, jumpTrue: 1, 0), .init(0x06, 0)], .jump(at: 0)),
            ([.init(0x15, jumpFalse: 1, 0), .init(0x06, 0)], .jump(at: 0)),
            ([.init(0x34, 0), .init(0x06, 0)], .arithmetic(at: 0)),
            ([.init(0x64, 32), .init(0x06, 0)], .arithmetic(at: 0)),
            ([.init(0x28, 0), .init(0x06, 0)], .instruction(at: 0, code: 0x28)),
            ([.init(0x94, 3), .init(0x06, 0)], .instruction(at: 0, code: 0x94)),
        ] as [([FilterInstruction], FilterEvaluator.Invalid)]
    )
    func refused(instructions: [FilterInstruction], error: FilterEvaluator.Invalid) {
        #expect(throws: error) { try FilterEvaluator(FilterProgram(instructions)) }
    }

    @Test("a program is as long as the kernel takes and no longer")
    func longest() throws {
        let most = FilterProgram([FilterInstruction](repeating: .init(0x06, 0), count: 4_096))
        _ = try FilterEvaluator(most)
        #expect(throws: FilterEvaluator.Invalid.length(4_097)) {
            try FilterEvaluator(FilterProgram(most.instructions + [.init(0x06, 0)]))
        }
    }

    @Test("bytes and instructions turn into each other")
    func bytes() {
        let program = FilterProgram([
            .init(0x15, jumpTrue: 3, jumpFalse: 4, 0x0102_0304), .init(0x06, 0x7FFF_0000),
        ])
        #expect(program.bytes == [0x15, 0, 3, 4, 4, 3, 2, 1, 6, 0, 0, 0, 0, 0, 0xFF, 0x7F])
        #expect(FilterProgram(bytes: program.bytes) == program)
        #expect(FilterProgram(bytes: Array(program.bytes.dropLast())) == nil)
    }
}
