public import BulkheadLaunch
import CLinux
import Foundation

/// What the host's kernel offers, asked at run time.
public struct HostFeatures: Sendable, Equatable {
    /// The supervisor's effective user.
    public var user: UInt32
    /// Bits of the supervisor's effective capabilities (capabilities(7)).
    public var capabilities: UInt64
    /// The kernel's release, such as `6.1.0-18-amd64`.
    public var kernelRelease: String
    /// The machine, as the kernel names it.
    public var architecture: String
    /// The highest Landlock ABI that the kernel speaks; 0: none.
    public var landlockABI: Int
    /// Whether a filter can hand a call to the launcher (`SECCOMP_RET_USER_NOTIF`).
    public var hasUserNotification: Bool
    /// The control group hierarchies.
    public var cgroups: CgroupLayout
    /// What came of making namespaces, one report for each means; empty where the launcher was not asked.
    public var namespaceReports: [NamespaceReport]
    /// What `/proc` tells of the machine.
    public var procEntries: [ProcEntry]

    /// Makes features from their parts.
    public init(
        user: UInt32,
        capabilities: UInt64,
        kernelRelease: String,
        architecture: String,
        landlockABI: Int,
        hasUserNotification: Bool,
        cgroups: CgroupLayout,
        namespaceReports: [NamespaceReport] = [],
        procEntries: [ProcEntry] = []
    ) {
        self.user = user
        self.capabilities = capabilities
        self.kernelRelease = kernelRelease
        self.architecture = architecture
        self.landlockABI = landlockABI
        self.hasUserNotification = hasUserNotification
        self.cgroups = cgroups
        self.namespaceReports = namespaceReports
        self.procEntries = procEntries
    }

    /// Whether the supervisor runs as root.
    public var isRoot: Bool { user == 0 }

    /// Whether handlers can be given another user: CAP_CHOWN, CAP_SETGID and CAP_SETUID are there.
    public var canSwitchUsers: Bool { capabilities & 0b1100_0001 == 0b1100_0001 }

    /// The namespaces that an attempt gets: by the launcher's own rights, else through a user namespace; nil where
    /// neither can be had.
    ///
    /// A user namespace knows the supervisor's own user alone, so handlers that get another one do without.
    public var namespaces: NamespaceReport? {
        namespaceReports.first { $0.has(.pid) && ($0.means == .direct || !canSwitchUsers) }
    }

    /// Whether RLIMIT_NPROC counts the processes of a user namespace alone, as it does since Linux 5.14.
    public var countsProcessesPerUserNamespace: Bool {
        let parts = kernelRelease.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        return parts.count == 2 && (parts[0], parts[1]) >= (5, 14)
    }

    /// Asks this host.
    ///
    /// - Parameter launcher: The path of `bulkhead-launcher`, which tries namespaces; nil leaves them out.
    /// - Returns: What was found.
    public static func probe(launcher: String? = nil) -> HostFeatures {
        let userNotification: UInt32 = 0x7fc0_0000  // SECCOMP_RET_USER_NOTIF
        return HostFeatures(
            user: geteuid(),
            capabilities: effectiveCapabilities(status: ProcFile.text("/proc/self/status") ?? ""),
            kernelRelease: ProcFile.words("/proc/sys/kernel/osrelease").first ?? "unknown",
            architecture: ELFHeader.machineName == "x86-64" ? "x86_64" : "aarch64",
            landlockABI: max(0, Int(clinux_landlock_abi())),
            hasUserNotification: clinux_seccomp_knows_action(userNotification) == 1,
            cgroups: CgroupLayout.parse(
                mountInfo: ProcFile.text("/proc/self/mountinfo") ?? "",
                membership: ProcFile.text("/proc/self/cgroup") ?? ""
            ),
            namespaceReports: launcher.map(NamespaceProbe.ask) ?? [],
            procEntries: ProcEntry.all()
        )
    }

    /// How many files this process may open now, and what it may raise that to.
    public static var openFiles: (soft: UInt64, hard: UInt64) { LaunchGate.limits() ?? (0, 0) }

    /// Reads the line `CapEff:` of a /proc/PID/status; 0 where there is none.
    static func effectiveCapabilities(status: String) -> UInt64 {
        for line in status.split(separator: "\n") where line.hasPrefix("CapEff:") {
            return UInt64(line.dropFirst(7).drop { $0 == " " || $0 == "\t" }, radix: 16) ?? 0
        }
        return 0
    }
}
