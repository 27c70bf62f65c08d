import BulkheadCore
import BulkheadHost
import BulkheadLaunch
import BulkheadPolicy
import BulkheadSandbox

/// Which namespaces a launch gets on this host, and what they hold of it.
struct NamespacePlan {
    private let policy: Policy
    private let report: NamespaceReport
    private let countsProcesses: Bool
    private let procEntries: [ProcEntry]

    /// Plans the namespaces of a launch; nil where this host gives none.
    ///
    /// - Parameters:
    ///   - policy: The handler's policy.
    ///   - features: What this host can do.
    init?(_ policy: Policy, features: HostFeatures) {
        guard let report = features.namespaces else { return nil }
        self.policy = policy
        self.report = report
        procEntries = features.procEntries
        // The limit is void for uid 0 (setrlimit(2)).
        countsProcesses =
            report.means == .user && features.countsProcessesPerUserNamespace && !features.isRoot
    }

    /// Bytes of `/dev/shm`, as many as containers usually have.
    private static let sharedMemoryBytes: Int64 = 64 << 20

    /// Whether the scratch folder can be memory of a fixed size.
    var holdsScratch: Bool { report.has(.mounts) }

    /// Whether the number of processes can be held without a cgroup.
    var holdsProcesses: Bool { countsProcesses }

    /// What needs no other mechanism.
    var hold: NamespaceHold {
        var hold: NamespaceHold = .processes
        if report.has(.mounts), isConfined { hold.formUnion([.files, .sharedMemory]) }
        if report.has(.proc) { hold.insert(.proc) }
        if policy.sandbox.network == .none, report.has(.network) { hold.insert(.network) }
        return hold
    }

    /// The namespaces in words, for the record.
    func words(_ spec: NamespaceSpec) -> String {
        var names = spec.inUserNamespace ? ["user"] : []
        names.append("pid")
        if let mounts = spec.mounts {
            names.append("mount")
            if mounts.steps.contains(.proc) { names.append("proc") }
        }
        if spec.hasNetwork { names.append("net") }
        if spec.hasIPC { names.append("ipc") }
        return "namespaces " + names.joined(separator: " ")
    }

    /// The namespaces as the launcher makes them.
    ///
    /// - Parameters:
    ///   - rules: What the policy means for system calls.
    ///   - plan: The file rules.
    ///   - paths: What the launch brings.
    ///   - hidden: Folders of ours that no handler sees.
    ///   - processes: The number of processes to hold without a cgroup.
    ///   - files: The file system.
    /// - Returns: The namespaces.
    func spec(
        rules: SystemCallRules,
        files plan: LandlockPlan,
        paths: LaunchPaths,
        hidden: [String],
        processes: Int?,
        files: FileView = .host
    ) -> NamespaceSpec {
        NamespaceSpec(
            inUserNamespace: report.means == .user,
            hasNetwork: policy.sandbox.network == .none && report.has(.network),
            hasIPC: rules.givesLastingIPC && report.has(.ipc),
            // The first process of the namespace counts too.
            processes: countsProcesses ? processes.map { UInt64($0) + 1 } : nil,
            mounts: report.has(.mounts) ? mounts(plan, paths, hidden, files) : nil
        )
    }

    private var isConfined: Bool { policy.sandbox.preset.rules.files != nil }

    private func mounts(
        _ plan: LandlockPlan,
        _ paths: LaunchPaths,
        _ hidden: [String],
        _ files: FileView
    ) -> MountSpec {
        var layout = FileLayout(files: files)
        if isConfined {
            show(plan, in: &layout)
            showSettingsLinks(plan, files, in: &layout)
        } else {
            layout.show("/", .write)
        }
        layout.offer(paths.plugins, reading(plan))
        layout.show(paths.handler, .execute)
        layout.show(paths.scratch, .write)
        for path in hidden { layout.hide(path) }
        if let bytes = policy.limits.scratch { layout.putMemory(paths.scratch, bytes: bytes, isOwned: true) }
        guard report.has(.proc) else { return layout.spec(last: []) }
        return layout.spec(last: [.proc] + masks)
    }

    /// What a new `/proc` tells of the machine beyond what the policy gives: Landlock can only give `/proc` whole, since
    /// the entries of processes come and go.
    ///
    /// Folders come first, so that the first of them holds what lies in the place of files.
    private var masks: [MountStep] {
        guard let preset = policy.sandbox.preset.rules.files else { return [] }
        let texts = preset.read + preset.readFolders + policy.sandbox.read + policy.sandbox.write
        let given = texts.map { PathName($0) }
        guard !given.contains(where: { FileRules.procPath.isIn($0) }) else { return [] }
        func isOpen(_ path: PathName) -> Bool { given.contains { path.isIn($0) } }
        func holdsOpen(_ path: PathName) -> Bool { given.contains { $0.isBelow(path) } }
        let hidden = procEntries.filter { entry in
            let path = PathName(entry.path)
            guard !isOpen(path) else { return false }
            // What lies deeper is hidden with its folder, unless something beside it is given.
            if let folder = path.folder, folder != FileRules.procPath { return holdsOpen(folder) }
            return !holdsOpen(path)
        }
        return (hidden.filter(\.isFolder) + hidden.filter { !$0.isFolder })
            .map { .mask(path: $0.path, isFolder: $0.isFolder) }
    }

    /// Without Landlock nothing else keeps a file that may only be read from being executed.
    private func reading(_ plan: LandlockPlan) -> BindAccess {
        plan.handledAccess.isEmpty && isConfined ? .read : .execute
    }

    private func show(_ plan: LandlockPlan, in layout: inout FileLayout) {
        let reading = reading(plan)
        for rule in plan.allowed {
            guard !isProc(rule.path), rule.path != FileRules.sharedMemoryFolder else { continue }
            let access: BindAccess =
                if PathName(rule.path).isBelow("/dev") {
                    .device
                } else if !rule.access.isDisjoint(with: [.change, .writeFile]) { .write } else {
                    rule.access.contains(.execute) ? .execute : reading
                }
            layout.show(rule.path, access, isOptional: rule.isOptional)
        }
        for (name, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
            layout.putLink("/dev/" + name, to: "/proc/self/fd" + target)
        }
        layout.putMemory(FileRules.sharedMemoryFolder, bytes: Self.sharedMemoryBytes, isOwned: false)
        // Without a /proc of its own the host's is there, and Landlock closes all of it but the machine's facts.
        if !report.has(.proc) { showFacts(plan, in: &layout) }
    }

    /// Who is given the settings entry by entry gets their links too, which lead to what it is given or nowhere.
    private func showSettingsLinks(_ plan: LandlockPlan, _ files: FileView, in layout: inout FileLayout) {
        guard let settings = policy.sandbox.preset.rules.files?.settings,
            !plan.allowed.contains(where: { $0.path == settings })
        else { return }
        for entry in files.entries(settings) where entry.kind == .link {
            let path = settings + "/" + entry.name
            if let target = files.link(path) { layout.putLink(path, to: target) }
        }
    }

    private func showFacts(_ plan: LandlockPlan, in layout: inout FileLayout) {
        guard plan.handledAccess.isEmpty else { return layout.show(FileRules.procFolder, .execute) }
        for rule in plan.allowed where isProc(rule.path) { layout.show(rule.path, .read, isOptional: true) }
    }

    private func isProc(_ path: String) -> Bool {
        PathName(path).isIn(FileRules.procPath)
    }
}
