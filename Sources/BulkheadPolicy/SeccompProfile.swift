/// An OCI seccomp profile as it holds on one host.
///
/// It is the object `linux.seccomp` of the OCI runtime specification, with what Docker and Podman add to it.
/// Entries that ask for another architecture, a capability or a newer kernel are left out: a handler has no
/// capability, so an entry that needs one never counts, and one that such a capability would take away always does.
///
/// What an entry's action means here:
///
/// | action | the call |
/// |---|---|
/// | `SCMP_ACT_ALLOW` | goes through |
/// | `SCMP_ACT_LOG` | goes through, and the kernel's log names it |
/// | `SCMP_ACT_ERRNO` | fails with the errno and is recorded; an entry's own ENOSYS, which sends libraries their older way, and errno 0, which does nothing and succeeds, are not recorded |
/// | `SCMP_ACT_KILL`, `…_KILL_THREAD`, `…_KILL_PROCESS` | is recorded, and the whole task is ended: one thread less would leave a broken program |
/// | `SCMP_ACT_TRAP` | sends SIGSYS to its thread |
/// | `SCMP_ACT_TRACE`, `SCMP_ACT_NOTIFY` | refused: there is no tracer and no agent |
///
/// Precedence: an entry that says what `defaultAction` says adds nothing, as in runc. Of the others that hold for a
/// call the strictest decides, in the kernel's own order of filter returns (seccomp(2)), and of equal ones the first
/// in the file. Two conditions on one argument in one entry are alternatives, as in runc and crun. Where nothing
/// holds, `defaultAction` does; but where that refuses, a number above every one that the profile knows answers
/// ENOSYS (runc#2750).
public struct SeccompProfile: Sendable, Equatable {
    /// One entry of `syscalls` that counts on this host.
    public struct Entry: Sendable, Equatable {
        /// The calls that it names and this host has, and the line of each.
        public let names: [String: Int]
        /// The combinations of arguments, any of which must hold; empty: whatever the arguments.
        public let cases: [ArgumentCase]
        /// What happens.
        public let verdict: Verdict
        /// The line at which it begins.
        public let line: Int
    }

    /// The file's name as the policy writes it.
    public let name: String
    /// The file as messages name it.
    public let file: String
    /// The architecture for which it was read.
    public let architecture: Architecture
    /// What happens to a call that no entry holds for.
    public let fallback: Verdict
    /// The line of `defaultAction`.
    public let fallbackLine: Int
    /// The entries, in the file's order.
    public let entries: [Entry]
    /// The highest number that any entry names, whether it counts or not.
    public let newest: UInt32
    /// What is worth knowing: names that exist nowhere, members that have no meaning here.
    public let warnings: [PolicyDiagnostic]

    private let byName: [String: [Int]]

    init(
        name: String,
        file: String,
        architecture: Architecture,
        fallback: Verdict,
        fallbackLine: Int,
        entries: [Entry],
        newest: UInt32,
        warnings: [PolicyDiagnostic]
    ) {
        self.name = name
        self.file = file
        self.architecture = architecture
        self.fallback = fallback
        self.fallbackLine = fallbackLine
        self.entries = entries
        self.newest = newest
        self.warnings = warnings
        byName = entries.indices.reduce(into: [:]) { found, index in
            for name in entries[index].names.keys { found[name, default: []].append(index) }
        }
    }

    /// What happens to a call.
    func rule(for call: Syscall) -> SyscallRule {
        let deciding = deciding(call.name)
        guard !deciding.isEmpty else {
            return .always(isTooNew(call) ? .unimplemented : fallback)
        }
        var branches: [SyscallBranch] = []
        for entry in deciding {
            guard !entry.cases.isEmpty else { return SyscallRule(branches, otherwise: entry.verdict) }
            branches += entry.cases.map { SyscallBranch($0, entry.verdict) }
        }
        return SyscallRule(branches, otherwise: fallback)
    }

    /// Whether a call came into Linux after everything that the profile names, so that its author cannot have meant
    /// to refuse it.
    func isTooNew(_ call: Syscall) -> Bool { call.number > newest && !fallback.passes }

    /// The lines that decide on a call, the strongest first; that of `defaultAction` last, where it may decide.
    public func lines(deciding name: String) -> [Int] {
        let deciding = deciding(name)
        let lines = deciding.compactMap { $0.names[name] }
        return deciding.contains { $0.cases.isEmpty } ? lines : lines + [fallbackLine]
    }

    /// The calls of which an entry says that they end the task, or do not where the others do.
    func endings(besides usual: SandboxPolicy.OnDenied) -> [String: SandboxPolicy.OnDenied] {
        byName.keys.reduce(into: [:]) { found, name in
            let recorded = deciding(name).map(\.verdict).filter(\.isRecorded)
            guard let first = recorded.first else { return }
            let action: SandboxPolicy.OnDenied = first == .denyAndEnd ? .kill : .errno
            if action != usual { found[name] = action }
        }
    }

    /// The entry that decides first on a call; nil where `defaultAction` does alone.
    func strictest(_ name: String) -> Entry? { deciding(name).first }

    /// The entries that say something of a call, the strictest first, up to one that holds whatever the arguments.
    private func deciding(_ name: String) -> [Entry] {
        let said = (byName[name] ?? []).map { entries[$0] }.filter { $0.verdict != fallback }
        let sorted = said.enumerated().sorted {
            ($0.element.verdict.leniency, $0.offset) < ($1.element.verdict.leniency, $1.offset)
        }.map(\.element)
        guard let last = sorted.firstIndex(where: { $0.cases.isEmpty }) else { return sorted }
        return Array(sorted[...last])
    }
}

extension Verdict {
    /// The order of seccomp(2) in which the first of several filters' returns wins.
    fileprivate var leniency: Int {
        switch self {
        case .kill, .denyAndEnd: 0
        case .trap: 1
        case .deny, .denyWith, .fail: 2
        case .log: 3
        case .allow: 4
        }
    }
}
