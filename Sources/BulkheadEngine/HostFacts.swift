public import BulkheadHost
import BulkheadSandbox
import BulkheadStore
import Foundation

/// What a host is like, as far as it decides what Bulkhead can hold on it.
public struct HostFacts: Sendable, Equatable {
    /// What the kernel offers.
    public var features: HostFeatures
    /// What control groups can be made.
    public var cgroups: CgroupFacts
    /// Whether the host gives user namespaces to ordinary users, as far as its settings say.
    public var givesUserNamespaces: Bool
    /// Who may trace whom (`kernel.yama.ptrace_scope`); nil without Yama.
    public var traceScope: Int?
    /// The most open files of a process: what it has, and what it may raise that to.
    public var openFiles: (soft: UInt64, hard: UInt64)
    /// The version of SQLite.
    public var database: String
    /// Where the database lies.
    public var state: FolderFacts
    /// Where scratch folders lie.
    public var scratch: FolderFacts
    /// Whether systemd runs the host.
    public var hasSystemd: Bool
    /// The systemd units of Bulkhead that are installed.
    public var units: [String]

    /// Makes facts from their parts.
    public init(
        features: HostFeatures,
        cgroups: CgroupFacts,
        givesUserNamespaces: Bool = true,
        traceScope: Int?,
        openFiles: (soft: UInt64, hard: UInt64),
        database: String,
        state: FolderFacts,
        scratch: FolderFacts,
        hasSystemd: Bool,
        units: [String]
    ) {
        self.features = features
        self.cgroups = cgroups
        self.givesUserNamespaces = givesUserNamespaces
        self.traceScope = traceScope
        self.openFiles = openFiles
        self.database = database
        self.state = state
        self.scratch = scratch
        self.hasSystemd = hasSystemd
        self.units = units
    }

    /// Compares all facts.
    public static func == (left: HostFacts, right: HostFacts) -> Bool {
        left.features == right.features && left.cgroups == right.cgroups
            && left.givesUserNamespaces == right.givesUserNamespaces
            && left.traceScope == right.traceScope
            && left.openFiles == right.openFiles
            && left.database == right.database && left.state == right.state && left.scratch == right.scratch
            && left.hasSystemd == right.hasSystemd && left.units == right.units
    }

    private static let unitFolders = [
        "/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
    ]
    private static let unitNames = ["bulkhead.service", "bulkhead-tasks.service"]

    /// Settings that keep user namespaces from ordinary users, and what they then say: Debian's, the kernel's
    /// (user_namespaces(7)), AppArmor's.
    private static let userNamespaceSettings = [
        ("kernel/unprivileged_userns_clone", 0), ("user/max_user_namespaces", 0),
        ("kernel/apparmor_restrict_unprivileged_userns", 1),
    ]

    private static func setting(_ name: String) -> Int? {
        let text = try? String(contentsOfFile: "/proc/sys/" + name, encoding: .utf8)
        return text.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }

    /// Looks at this host; changes nothing.
    ///
    /// - Parameters:
    ///   - launcher: The path of `bulkhead-launcher`, which tries namespaces.
    ///   - state: The state folder.
    ///   - scratch: The folder of scratch folders; nil for the default.
    /// - Returns: What was found.
    public static func look(launcher: String, state: String, scratch: String?) -> HostFacts {
        let features = HostFeatures.probe(launcher: launcher)
        let files = FileManager.default
        return HostFacts(
            features: features,
            cgroups: .look(features),
            givesUserNamespaces: userNamespaceSettings.allSatisfy { setting($0.0) != $0.1 },
            traceScope: setting("kernel/yama/ptrace_scope"),
            openFiles: HostFeatures.openFiles,
            database: Store.libraryVersion,
            state: .look(at: state),
            scratch: .look(at: scratch ?? ScratchFolders.defaultRoot(statePath: state)),
            hasSystemd: files.fileExists(atPath: "/run/systemd/system"),
            units: unitNames.filter { unit in
                unitFolders.contains { files.fileExists(atPath: "\($0)/\(unit)") }
            }
        )
    }
}
