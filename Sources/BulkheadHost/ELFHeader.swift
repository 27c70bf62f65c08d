/// What an ELF file says about itself, as far as it decides whether this machine can execute it.
struct ELFHeader: Equatable {
    /// Why a file that begins like ELF cannot be executed.
    enum Problem: Error, Equatable {
        case truncated
        case otherMachine(String)
        case notExecutable
    }

    /// The dynamic loader that it names; nil for a static program.
    var interpreter: String?

    #if arch(x86_64)
    static let machine: UInt16 = 62
    static let machineName = "x86-64"
    #else
    static let machine: UInt16 = 183
    static let machineName = "aarch64"
    #endif

    private static let headerBytes = 64
    private static let segmentBytes = 56

    static func isELF(_ head: [UInt8]) -> Bool {
        head.starts(with: [0x7F, 0x45, 0x4C, 0x46])
    }

    /// Reads the header and the program headers.
    /// - Parameters:
    ///   - head: The file's first bytes, at least its first 4 KiB where it has them.
    ///   - size: The file's size in bytes.
    /// - Returns: What it says.
    /// - Throws: ``Problem``.
    static func read(_ head: [UInt8], size: UInt64) throws(Problem) -> ELFHeader {
        guard head.count >= 20 else { throw .truncated }
        let machine = UInt16(head[18]) | UInt16(head[19]) << 8
        guard head[4] == 2, head[5] == 1, machine == Self.machine else {
            throw .otherMachine(name(of: machine, wide: head[4] == 2))
        }
        guard head.count >= headerBytes else { throw .truncated }
        guard head[16] == 2 || head[16] == 3, head[17] == 0 else { throw .notExecutable }
        return try segments(head, size: size)
    }

    private static func segments(_ head: [UInt8], size: UInt64) throws(Problem) -> ELFHeader {
        let table = number(head, at: 32, bytes: 8)
        let count = number(head, at: 56, bytes: 2)
        guard number(head, at: 54, bytes: 2) == UInt64(segmentBytes), count > 0 else { throw .notExecutable }
        let (end, overflow) = table.addingReportingOverflow(count * UInt64(segmentBytes))
        guard !overflow, end <= size else { throw .truncated }
        // A table beyond the head is odd but legal; the kernel then says what is wrong with it.
        guard end <= UInt64(head.count) else { return ELFHeader(interpreter: nil) }
        var header = ELFHeader(interpreter: nil)
        for index in 0..<Int(count) {
            let at = Int(table) + index * segmentBytes
            let (offset, bytes) = (number(head, at: at + 8, bytes: 8), number(head, at: at + 32, bytes: 8))
            let (segmentEnd, overflow) = offset.addingReportingOverflow(bytes)
            let kind = number(head, at: at, bytes: 4)
            guard kind == 1 || kind == 3 else { continue }
            guard !overflow, segmentEnd <= size else { throw .truncated }
            guard kind == 3, segmentEnd <= UInt64(head.count) else { continue }
            let text = head[Int(offset)..<Int(segmentEnd)].prefix { $0 != 0 }
            header.interpreter = String(decoding: text, as: UTF8.self)
        }
        return header
    }

    private static func number(_ head: [UInt8], at start: Int, bytes: Int) -> UInt64 {
        (0..<bytes).reduce(0) { $0 | UInt64(head[start + $1]) << UInt64(8 * $1) }
    }

    /// The machines of the ELF specification that one meets; others by number.
    private static func name(of machine: UInt16, wide: Bool) -> String {
        switch machine {
        case 3: "i386"
        case 40: "arm"
        case 62: wide ? "x86-64" : "x32"
        case 183: "aarch64"
        case 243: "riscv"
        default: "machine number \(machine)"
        }
    }
}
