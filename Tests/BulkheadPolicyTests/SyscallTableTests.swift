import BulkheadPolicy
import Testing

@Suite("SyscallTable")
struct SyscallTableTests {
    @Test(
        "numbers are those of the kernel",
        arguments: [
            ("read", UInt32(0), UInt32(63)), ("openat", 257, 56), ("socket", 41, 198), ("execve", 59, 221),
            ("clone", 56, 220), ("ioctl", 16, 29), ("exit_group", 231, 94), ("seccomp", 317, 277),
            ("statx", 332, 291), ("io_pgetevents", 333, 292), ("rseq", 334, 293),
            ("pidfd_send_signal", 424, 424), ("io_uring_setup", 425, 425), ("clone3", 435, 435),
            ("openat2", 437, 437), ("memfd_secret", 447, 447), ("cachestat", 451, 451), ("mseal", 462, 462),
            ("statmount", 457, 457), ("listmount", 458, 458), ("lsm_list_modules", 461, 461),
            ("removexattrat", 466, 466), ("open_tree_attr", 467, 467), ("file_setattr", 469, 469),
        ]
    )
    func numbers(name: String, x8664: UInt32, aarch64: UInt32) {
        #expect(SyscallTable.table(of: .x8664).number(of: name) == x8664)
        #expect(SyscallTable.table(of: .aarch64).number(of: name) == aarch64)
        #expect(SyscallTable.table(of: .x8664).name(of: x8664) == name)
    }

    @Test("calls of one architecture are not those of the other")
    func architectures() {
        let x8664 = SyscallTable.table(of: .x8664)
        let aarch64 = SyscallTable.table(of: .aarch64)
        for name in ["fork", "vfork", "open", "arch_prctl", "uretprobe", "time"] {
            #expect(x8664.number(of: name) != nil)
            #expect(aarch64.number(of: name) == nil)
            #expect(SyscallTable.knows(name: name))
        }
        #expect(aarch64.number(of: "renameat") == 38)
        #expect(aarch64.number(of: "getrlimit") == 163)
        #expect(!SyscallTable.knows(name: "opneat"))
    }

    @Test("a table is complete and without doubles", arguments: Architecture.allCases)
    func complete(architecture: Architecture) {
        let table = SyscallTable.table(of: architecture)
        #expect(table.architecture == architecture)
        #expect(table.all.count == (architecture == .x8664 ? 383 : 325))
        #expect(table.all.map(\.number) == table.all.map(\.number).sorted())
        #expect(Set(table.all.map(\.number)).count == table.all.count)
        #expect(Set(table.all.map(\.name)).count == table.all.count)
        #expect(table.all.allSatisfy { $0.arguments.count <= 6 })
        // From pidfd_send_signal on, numbers are the same everywhere and without gaps.
        #expect(table.all.map(\.number).filter { $0 >= 424 } == Array(424...469))
    }

    @Test(
        "an argument is as wide as the kernel's type",
        arguments: [
            ("ioctl", [32, 32, 64]), ("socket", [32, 32, 32]), ("socketpair", [32, 32, 32, 64]),
            ("clone", [64, 64, 64, 64, 64]), ("unshare", [64]), ("setns", [32, 32]),
            ("prctl", [32, 64, 64, 64, 64]), ("personality", [32]), ("fcntl", [32, 32, 64]),
            ("kill", [32, 32]),
            ("tgkill", [32, 32, 32]), ("mmap", [64, 64, 64, 64, 64, 64]), ("mprotect", [64, 64, 64]),
            ("prlimit64", [32, 32, 64, 64]), ("seccomp", [32, 32, 64]), ("mknodat", [32, 64, 16, 32]),
            ("openat", [32, 64, 32, 16]), ("getpid", []),
        ] as [(String, [UInt8])]
    )
    func widths(name: String, bits: [UInt8]) throws {
        for architecture in Architecture.allCases {
            let call = try #require(SyscallTable.table(of: architecture).syscall(named: name))
            #expect(call.arguments.map(\.rawValue) == bits)
        }
    }

    @Test("an argument that the table does not know counts in full")
    func unknownArgument() throws {
        let call = try #require(SyscallTable.current.syscall(named: "getpid"))
        #expect(call.width(ofArgument: 0) == .bits64)
        #expect(ArgumentWidth.bits32.mask == 0xFFFF_FFFF)
        #expect(ArgumentWidth.bits16.mask == 0xFFFF)
    }

    @Test("an architecture has the audit number that the kernel shows a filter")
    func auditNumbers() {
        #expect(Architecture.x8664.auditNumber == 0xC000_003E)
        #expect(Architecture.aarch64.auditNumber == 0xC000_00B7)
        #expect(Architecture.x8664.x32Bit == 0x4000_0000)
        #expect(Architecture.aarch64.x32Bit == nil)
    }
}
