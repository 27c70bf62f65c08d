/// A processor architecture that Bulkhead runs on.
public enum Architecture: String, Sendable, CaseIterable {
    /// 64-bit x86.
    case x8664 = "x86-64"
    /// 64-bit ARM.
    case aarch64

    /// The architecture that this program was built for.
    public static let current: Architecture = {
        #if arch(arm64)
        .aarch64
        #else
        .x8664
        #endif
    }()

    /// The number by which the kernel names this architecture to a filter (`AUDIT_ARCH_*` of linux/audit.h).
    public var auditNumber: UInt32 {
        switch self {
        case .x8664: 0xC000_003E
        case .aarch64: 0xC000_00B7
        }
    }

    /// The bit that marks a number of the x32 interface; nil where there is no such interface.
    public var x32Bit: UInt32? { self == .x8664 ? 0x4000_0000 : nil }
}

/// How many bits of an argument's register the kernel looks at.
public enum ArgumentWidth: UInt8, Sendable {
    /// A `umode_t`.
    case bits16 = 16
    /// An `int`, `unsigned`, `pid_t`, `uid_t` or the like.
    case bits32 = 32
    /// A `long`, a size, an offset or a pointer.
    case bits64 = 64

    /// A mask of the bits that count.
    public var mask: UInt64 {
        switch self {
        case .bits16: 0xFFFF
        case .bits32: 0xFFFF_FFFF
        case .bits64: .max
        }
    }
}

/// A system call of one architecture.
public struct Syscall: Sendable, Hashable {
    /// Its number.
    public let number: UInt32
    /// Its name, as strace and seccomp write it.
    public let name: String
    /// How wide each argument is; empty where there is none, or where Linux never implemented the call.
    public let arguments: [ArgumentWidth]

    /// How wide the argument of this index is; an argument that the table does not know counts in full.
    ///
    /// - Parameter index: The argument, from 0 to 5.
    /// - Returns: Its width.
    public func width(ofArgument index: Int) -> ArgumentWidth {
        arguments.indices.contains(index) ? arguments[index] : .bits64
    }
}

/// The system calls of an architecture: numbers, names and argument widths, up to Linux 6.18.
///
/// The table is Bulkhead's own: a distribution's libseccomp lags years behind the kernels that it runs on.
public struct SyscallTable: Sendable {
    /// The architecture.
    public let architecture: Architecture
    /// Every call, by ascending number.
    public let all: [Syscall]
    private let byNumber: [UInt32: Int]
    private let byName: [String: Int]

    /// The table of the architecture that this program was built for.
    public static let current = table(of: .current)

    private static let x8664 = SyscallTable(architecture: .x8664, entries: x8664Entries)
    private static let aarch64 = SyscallTable(architecture: .aarch64, entries: aarch64Entries)

    /// The table of an architecture.
    ///
    /// - Parameter architecture: The architecture.
    /// - Returns: Its table.
    public static func table(of architecture: Architecture) -> SyscallTable {
        switch architecture {
        case .x8664: x8664
        case .aarch64: aarch64
        }
    }

    /// The call of a name.
    ///
    /// - Parameter name: The name, such as `openat`.
    /// - Returns: The call; nil where this architecture has none of that name.
    public func syscall(named name: String) -> Syscall? { byName[name].map { all[$0] } }

    /// The call of a number.
    ///
    /// - Parameter number: The number.
    /// - Returns: The call; nil where the table knows none.
    public func syscall(numbered number: UInt32) -> Syscall? { byNumber[number].map { all[$0] } }

    /// The number of a name; nil where this architecture has none of that name.
    public func number(of name: String) -> UInt32? { syscall(named: name)?.number }

    /// The name of a number; nil where the table knows none.
    public func name(of number: UInt32) -> String? { syscall(numbered: number)?.name }

    /// Whether some architecture of Bulkhead has a call of this name, so that a policy may name it on each.
    public static func knows(name: String) -> Bool {
        Architecture.allCases.contains { table(of: $0).byName[name] != nil }
    }

    /// Every name of every architecture, for the nearest right word.
    public static let allNames: [String] = {
        Set(Architecture.allCases.flatMap { table(of: $0).all.map(\.name) }).sorted()
    }()

    /// A 64-bit FNV-1a hash of the whole table, by which what was worked out from another one is told apart.
    public let digest: UInt64

    private init(architecture: Architecture, entries: String) {
        let calls = entries.split(whereSeparator: \.isWhitespace).map(Self.entry)
        self.architecture = architecture
        digest = (architecture.rawValue + entries).utf8.reduce(0xCBF2_9CE4_8422_2325) { hash, byte in
            (hash ^ UInt64(byte)) &* 0x100_0000_01B3
        }
        all = calls
        byNumber = Dictionary(uniqueKeysWithValues: calls.enumerated().map { ($1.number, $0) })
        byName = Dictionary(uniqueKeysWithValues: calls.enumerated().map { ($1.name, $0) })
    }

    /// Reads `number:name:widths`, a letter for each width; the tables are part of the program, so an entry of
    /// another form is an error in it.
    private static func entry(_ text: Substring) -> Syscall {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let number = UInt32(parts[0]) else {
            preconditionFailure("the system call table holds \(text)")
        }
        return Syscall(number: number, name: String(parts[1]), arguments: parts[2].map(width))
    }

    private static func width(_ letter: Character) -> ArgumentWidth {
        switch letter {
        case "h": .bits16
        case "w": .bits32
        case "l": .bits64
        default: preconditionFailure("the system call table holds a width of \(letter)")
        }
    }
}
