// The words of OCI profiles.

/// What an entry of a profile does; the names of libseccomp's constants.
enum ProfileAction: String, CaseIterable {
    case allow = "SCMP_ACT_ALLOW"
    case log = "SCMP_ACT_LOG"
    case errno = "SCMP_ACT_ERRNO"
    case kill = "SCMP_ACT_KILL"
    case killThread = "SCMP_ACT_KILL_THREAD"
    case killProcess = "SCMP_ACT_KILL_PROCESS"
    case trap = "SCMP_ACT_TRAP"
    case trace = "SCMP_ACT_TRACE"
    case notify = "SCMP_ACT_NOTIFY"

    /// Why the action cannot be had here; nil where it can.
    var refusal: String? {
        switch self {
        case .trace:
            "asks for a tracer, and a handler has none; SCMP_ACT_ERRNO with errnoRet 38 is what the kernel would "
                + "answer without one"
        case .notify:
            "asks for an agent behind listenerPath, and there is none; SCMP_ACT_ERRNO records the call"
        default: nil
        }
    }

    /// Whether the action takes an errno.
    var takesErrno: Bool { self == .errno }
}

/// How a profile compares an argument.
enum ProfileOperator: String, CaseIterable {
    case notEqual = "SCMP_CMP_NE"
    case less = "SCMP_CMP_LT"
    case lessOrEqual = "SCMP_CMP_LE"
    case equal = "SCMP_CMP_EQ"
    case greaterOrEqual = "SCMP_CMP_GE"
    case greater = "SCMP_CMP_GT"
    /// `value` is the mask, `valueTwo` what the masked bits must be.
    case maskedEqual = "SCMP_CMP_MASKED_EQ"

    /// The comparison; nil where the mask makes it one of its own.
    var comparison: ArgumentCondition.Comparison? {
        switch self {
        case .notEqual: .notEqual
        case .less: .less
        case .lessOrEqual: .lessOrEqual
        case .equal: .equal
        case .greaterOrEqual: .greaterOrEqual
        case .greater: .greater
        case .maskedEqual: nil
        }
    }
}

extension Architecture {
    /// The name in `architectures` and `archMap`.
    var profileName: String {
        switch self {
        case .x8664: "SCMP_ARCH_X86_64"
        case .aarch64: "SCMP_ARCH_AARCH64"
        }
    }

    /// The name in `includes` and `excludes`, which is Go's.
    var goName: String {
        switch self {
        case .x8664: "amd64"
        case .aarch64: "arm64"
        }
    }

    /// Every name that `architectures` and `archMap` may hold.
    static let profileNames: [String] = [
        "NATIVE", "X86", "X86_64", "X32", "ARM", "AARCH64", "LOONGARCH64", "M68K", "MIPS", "MIPS64",
        "MIPS64N32", "MIPSEL", "MIPSEL64", "MIPSEL64N32", "PPC", "PPC64", "PPC64LE", "S390", "S390X",
        "PARISC", "PARISC64", "RISCV64", "SH", "SHEB",
    ].map { "SCMP_ARCH_" + $0 }

    /// Every name that `includes` and `excludes` may hold: Go's, and Docker's for the smaller interfaces of x86.
    static let goNames = [
        "386", "amd64", "x86", "x32", "arm", "arm64", "armbe", "arm64be", "loong64", "mips", "mipsle",
        "mips64", "mips64le", "mips64p32", "mips64p32le", "ppc", "ppc64", "ppc64le", "riscv", "riscv64",
        "s390", "s390x", "sparc", "sparc64",
    ]
}
