/// What a filter sees of a system call, `struct seccomp_data`.
public struct FilterInput: Sendable, Hashable {
    /// The number.
    public var number: UInt32
    /// The architecture of the entry, `AUDIT_ARCH_*`.
    public var architecture: UInt32
    /// The six arguments.
    public var arguments: [UInt64]

    /// Makes an input.
    ///
    /// - Parameters:
    ///   - number: The number.
    ///   - architecture: The architecture of the entry.
    ///   - arguments: The six arguments.
    public init(number: UInt32, architecture: UInt32, arguments: [UInt64]) {
        self.number = number
        self.architecture = architecture
        self.arguments = arguments
    }

    /// Where the fields stand in `struct seccomp_data`, in bytes.
    static let numberOffset: UInt32 = 0
    static let architectureOffset: UInt32 = 4
    static let argumentsOffset: UInt32 = 16

    /// The 32-bit words, in memory order; the instruction pointer, which no rule of ours looks at, is zero.
    var words: [UInt32] {
        [number, architecture, 0, 0]
            + arguments.flatMap { [UInt32(truncatingIfNeeded: $0), UInt32(truncatingIfNeeded: $0 >> 32)] }
    }
}

/// Runs the filters that the kernel's seccomp accepts, as it would run them.
///
/// It stands beside the compiler as a second opinion: what it accepts and does follows kernel/seccomp.c
/// (`seccomp_check_filter`) and net/core/filter.c (`bpf_check_classic`) of Linux, not libseccomp.
public struct FilterEvaluator: Sendable {
    /// Why the kernel would refuse a program.
    public enum Invalid: Error, Sendable, Equatable {
        /// It has no instruction, or more than the kernel takes.
        case length(Int)
        /// It does not end with a return.
        case noReturn
        /// An instruction that seccomp does not know.
        case instruction(at: Int, code: UInt16)
        /// A jump leads out of the program.
        case jump(at: Int)
        /// A load of what is no word of the input, or of a cell that does not exist.
        case load(at: Int)
        /// A division by zero, or a shift by 32 or more.
        case arithmetic(at: Int)
    }

    private let program: [FilterInstruction]

    /// Checks a program as the kernel does when it is installed.
    ///
    /// - Parameter program: The program.
    /// - Throws: ``Invalid`` where the kernel would refuse it.
    public init(_ program: FilterProgram) throws(Invalid) {
        let instructions = program.instructions
        guard 1...FilterProgram.maximumInstructions ~= instructions.count else {
            throw .length(instructions.count)
        }
        for (position, instruction) in instructions.enumerated() {
            try Self.check(instruction, at: position, of: instructions.count)
        }
        guard instructions.last.map({ $0.code & 0x07 == Code.return }) == true else { throw .noReturn }
        self.program = instructions
    }

    /// Runs the program.
    ///
    /// Jumps lead forward only, so it ends.
    ///
    /// - Parameter input: The call.
    /// - Returns: The value that the kernel acts on, `SECCOMP_RET_*`.
    public func run(_ input: FilterInput) -> UInt32 {
        let words = input.words
        var machine = Machine()
        var position = 0
        while true {
            let instruction = program[position]
            position += 1
            switch instruction.code & 0x07 {
            case Code.load, Code.loadX, Code.store, Code.storeX, Code.misc:
                machine.move(instruction, words)
            case Code.arithmetic:
                machine.compute(instruction)
            case Code.jump:
                position += machine.jump(instruction)
            default:
                return instruction.code == 0x16 ? machine.a : instruction.constant
            }
        }
    }

    private static func check(_ one: FilterInstruction, at position: Int, of count: Int) throws(Invalid) {
        switch one.code {
        case 0x20:  // a word of the input
            guard one.constant < 64, one.constant.isMultiple(of: 4) else { throw .load(at: position) }
        case 0x60, 0x61, 0x02, 0x03:  // a cell of the scratch memory
            guard one.constant < 16 else { throw .load(at: position) }
        case 0x05:
            guard Int(one.constant) < count - position - 1 else { throw .jump(at: position) }
        case 0x15, 0x1D, 0x25, 0x2D, 0x35, 0x3D, 0x45, 0x4D:
            guard Int(max(one.jumpTrue, one.jumpFalse)) < count - position - 1 else {
                throw .jump(at: position)
            }
        case 0x34:
            guard one.constant != 0 else { throw .arithmetic(at: position) }
        case 0x64, 0x74:
            guard one.constant < 32 else { throw .arithmetic(at: position) }
        case 0x00, 0x01, 0x80, 0x81, 0x06, 0x16, 0x07, 0x87, 0x84, 0x04, 0x0C, 0x14, 0x1C, 0x24, 0x2C, 0x3C,
            0x44, 0x4C, 0x54, 0x5C, 0xA4, 0xAC, 0x6C, 0x7C:
            break
        default:
            throw .instruction(at: position, code: one.code)
        }
    }
}

/// The classes of instructions, the low three bits of a code.
private enum Code {
    static let load: UInt16 = 0
    static let loadX: UInt16 = 1
    static let store: UInt16 = 2
    static let storeX: UInt16 = 3
    static let arithmetic: UInt16 = 4
    static let jump: UInt16 = 5
    static let `return`: UInt16 = 6
    static let misc: UInt16 = 7
}

/// The registers and the scratch memory of a run.
private struct Machine {
    var a: UInt32 = 0
    var x: UInt32 = 0
    var memory: [UInt32] = []

    mutating func move(_ instruction: FilterInstruction, _ words: [UInt32]) {
        let constant = instruction.constant
        switch instruction.code {
        case 0x20: a = words[Int(constant / 4)]
        case 0x00: a = constant
        case 0x01: x = constant
        case 0x80: a = 64
        case 0x81: x = 64
        case 0x60: a = cell(constant)
        case 0x61: x = cell(constant)
        case 0x02: keep(a, constant)
        case 0x03: keep(x, constant)
        case 0x07: x = a
        default: a = x  // 0x87
        }
    }

    mutating func compute(_ instruction: FilterInstruction) {
        let operand = instruction.code & 0x08 == 0 ? instruction.constant : x
        switch instruction.code & 0xF0 {
        case 0x00: a &+= operand
        case 0x10: a &-= operand
        case 0x20: a &*= operand
        case 0x30: a = operand == 0 ? 0 : a / operand
        case 0x40: a |= operand
        case 0x50: a &= operand
        case 0x60: a = a &<< operand
        case 0x70: a = a &>> operand
        case 0x80: a = 0 &- a
        default: a ^= operand  // 0xA0
        }
    }

    func jump(_ instruction: FilterInstruction) -> Int {
        let operand = instruction.code & 0x08 == 0 ? instruction.constant : x
        let holds: Bool
        switch instruction.code & 0xF0 {
        case 0x00: return Int(instruction.constant)
        case 0x10: holds = a == operand
        case 0x20: holds = a > operand
        case 0x30: holds = a >= operand
        default: holds = a & operand != 0  // 0x40
        }
        return Int(holds ? instruction.jumpTrue : instruction.jumpFalse)
    }

    private func cell(_ index: UInt32) -> UInt32 { memory.isEmpty ? 0 : memory[Int(index)] }

    private mutating func keep(_ value: UInt32, _ index: UInt32) {
        if memory.isEmpty { memory = Array(repeating: 0, count: 16) }
        memory[Int(index)] = value
    }
}
