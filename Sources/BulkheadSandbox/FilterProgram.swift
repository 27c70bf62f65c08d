/// One instruction of a classic BPF program, `struct sock_filter`.
public struct FilterInstruction: Sendable, Hashable {
    /// What to do: class, size, mode, operation, source.
    public var code: UInt16
    /// Instructions to skip where a comparison holds.
    public var jumpTrue: UInt8
    /// Instructions to skip where it does not.
    public var jumpFalse: UInt8
    /// The constant.
    public var constant: UInt32

    /// Makes an instruction.
    ///
    /// - Parameters:
    ///   - code: What to do.
    ///   - jumpTrue: Instructions to skip where a comparison holds.
    ///   - jumpFalse: Instructions to skip where it does not.
    ///   - constant: The constant.
    public init(_ code: UInt16, jumpTrue: UInt8 = 0, jumpFalse: UInt8 = 0, _ constant: UInt32) {
        self.code = code
        self.jumpTrue = jumpTrue
        self.jumpFalse = jumpFalse
        self.constant = constant
    }
}

/// A classic BPF program as `seccomp(2)` takes it.
public struct FilterProgram: Sendable, Hashable {
    /// The instructions that the kernel takes at most (`BPF_MAXINSNS`).
    public static let maximumInstructions = 4096
    /// Bytes of one instruction.
    public static let instructionBytes = 8

    /// The instructions, run from the first.
    public var instructions: [FilterInstruction]

    /// Makes a program.
    ///
    /// - Parameter instructions: The instructions.
    public init(_ instructions: [FilterInstruction]) {
        self.instructions = instructions
    }

    /// Reads the bytes of an array of `struct sock_filter`; nil where they are no whole number of instructions.
    ///
    /// - Parameter bytes: The array, little-endian as both architectures are.
    public init?(bytes: [UInt8]) {
        guard bytes.count.isMultiple(of: Self.instructionBytes) else { return nil }
        instructions = stride(from: 0, to: bytes.count, by: Self.instructionBytes).map { start in
            let words = bytes[start..<start + Self.instructionBytes].map(UInt32.init)
            return FilterInstruction(
                UInt16(truncatingIfNeeded: words[0] | words[1] << 8),
                jumpTrue: bytes[start + 2],
                jumpFalse: bytes[start + 3],
                words[4] | words[5] << 8 | words[6] << 16 | words[7] << 24
            )
        }
    }

    /// The program as an array of `struct sock_filter`.
    public var bytes: [UInt8] {
        instructions.flatMap { instruction in
            [
                UInt8(truncatingIfNeeded: instruction.code), UInt8(truncatingIfNeeded: instruction.code >> 8),
                instruction.jumpTrue, instruction.jumpFalse,
            ] + (0..<4).map { UInt8(truncatingIfNeeded: instruction.constant >> ($0 * 8)) }
        }
    }
}
