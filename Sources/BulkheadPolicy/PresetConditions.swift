// The argument rules of the presets. Values from Linux's uapi headers.

extension Preset {
    static let ordinaryConditions: [String: SyscallRule] = commonConditions.merging([
        "clone": .only([ArgumentCase(ArgumentCondition(0, mask: Flag.newNamespaces, is: 0))]),
        // A pipe by mkfifo, never a device.
        "mknod": .only([ArgumentCase(ArgumentCondition(1, mask: Flag.fileType, is: Flag.fifo))]),
        "mknodat": .only([ArgumentCase(ArgumentCondition(2, mask: Flag.fileType, is: Flag.fifo))]),
        // Only the Linux personality and the question which one it is: others weaken memory protection.
        "personality": .only([
            ArgumentCase(ArgumentCondition(0, is: 0)), ArgumentCase(ArgumentCondition(0, is: 0xFFFF_FFFF)),
        ]),
        // A program may narrow itself further; a listener of its own would answer in the launcher's place.
        "seccomp": .only([ArgumentCase(ArgumentCondition(1, mask: Flag.newListener, is: 0))]),
        // A datagram pair reaches any path by sendto, so only pairs that stay connected are given.
        "socketpair": .only(
            [SocketType.stream, SocketType.sequenced].map {
                ArgumentCase(ArgumentCondition(0, is: AddressFamily.unix), socketType($0))
            }
        ),
    ]) { $1 }

    static let computeConditions: [String: SyscallRule] = commonConditions.merging([
        // Threads, never a process.
        "clone": .only([
            ArgumentCase(ArgumentCondition(0, mask: Flag.newNamespaces | Flag.thread, is: Flag.thread))
        ]),
        // Its own priority alone.
        "setpriority": .only([ArgumentCase(ArgumentCondition(0, is: 0), ArgumentCondition(1, is: 0))]),
    ]) { $1 }

    /// TCP and UDP, and the netlink socket by which the C library asks for addresses and routes.
    static let clientSockets: [ArgumentCase] =
        [AddressFamily.inet, AddressFamily.inet6].flatMap { family in
            [
                (SocketType.stream, 0), (SocketType.stream, ProtocolNumber.tcp),
                (SocketType.datagram, 0), (SocketType.datagram, ProtocolNumber.udp),
            ].map { socket(family: family, type: $0, protocol: $1) }
        }
        + [SocketType.raw, SocketType.datagram].map {
            socket(family: AddressFamily.netlink, type: $0, protocol: ProtocolNumber.netlinkRoute)
        }

    private static let commonConditions: [String: SyscallRule] = [
        // Both push characters into the terminal's input, for whoever reads it next.
        "ioctl": .unless([
            ArgumentCase(ArgumentCondition(1, is: 0x5412)),  // TIOCSTI
            ArgumentCase(ArgumentCondition(1, is: 0x541C)),  // TIOCLINUX
        ]),
        // The memory map that others read, whom it lets trace, and sharing a core with a chosen process.
        "prctl": .unless([
            ArgumentCase(ArgumentCondition(0, is: 35)),  // PR_SET_MM
            ArgumentCase(ArgumentCondition(0, is: 62)),  // PR_SCHED_CORE
            ArgumentCase(ArgumentCondition(0, is: 0x5961_6D61)),  // PR_SET_PTRACER
        ]),
        // Its own limits, and reading anybody's: a limit can be set on every process of the same user.
        "prlimit64": .only([
            ArgumentCase(ArgumentCondition(0, is: 0)), ArgumentCase(ArgumentCondition(2, is: 0)),
        ]),
    ]

    private static func socket(family: UInt64, type: UInt64, protocol number: UInt64) -> ArgumentCase {
        ArgumentCase(ArgumentCondition(0, is: family), socketType(type), ArgumentCondition(2, is: number))
    }

    /// SOCK_CLOEXEC and SOCK_NONBLOCK are flags beside the type.
    private static func socketType(_ type: UInt64) -> ArgumentCondition {
        ArgumentCondition(1, mask: ~0o2004000, is: type)
    }

    private enum Flag {
        /// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
        static let newNamespaces: UInt64 = 0x7E02_0000
        /// CLONE_THREAD.
        static let thread: UInt64 = 0x1_0000
        /// SECCOMP_FILTER_FLAG_NEW_LISTENER.
        static let newListener: UInt64 = 8
        /// S_IFMT.
        static let fileType: UInt64 = 0o170000
        /// S_IFIFO.
        static let fifo: UInt64 = 0o010000
    }

    private enum SocketType {
        static let stream: UInt64 = 1
        static let datagram: UInt64 = 2
        static let raw: UInt64 = 3
        static let sequenced: UInt64 = 5
    }

    private enum ProtocolNumber {
        static let tcp: UInt64 = 6
        static let udp: UInt64 = 17
        static let netlinkRoute: UInt64 = 0
    }
}

/// The address families that rules tell apart, as numbers of `AF_*`.
enum AddressFamily {
    static let unix: UInt64 = 1
    static let inet: UInt64 = 2
    static let inet6: UInt64 = 10
    static let netlink: UInt64 = 16
    static let alg: UInt64 = 38

    /// The families that stay within the host under `network: none`: SMC and RDS, for two, are TCP underneath,
    /// so every family that is not named here is refused.
    static let local: [UInt64] = [unix, alg]
}
