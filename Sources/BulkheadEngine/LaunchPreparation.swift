import BulkheadCore
import BulkheadHost
import BulkheadLaunch
import BulkheadPolicy
import BulkheadSandbox
import Logging
import Synchronization

/// What one launch has to itself: its folder, its user, its cgroups, and what holds it.
struct LaunchPlace: Sendable {
    /// What is given back after the attempt.
    var holdings: Holdings
    var user: LaunchUser?
    var cgroup: CgroupSpec
    var namespaces: NamespaceSpec?
    var files: LandlockPlan
    var enforcement: [String]
    var warnings: [String]
}

/// Why a place for a launch could not be made.
struct PlaceError: Error, Sendable {
    var message: String
    var advice: String?
    /// Whether time may mend it: the task then waits instead of failing.
    var isPassing: Bool
    /// Why the task fails where time does not.
    var reason = ErrorReason.launchFailed

    init(_ error: BulkheadError, isPassing: Bool) {
        message = error.cause.map { "\(error.message): \($0)" } ?? error.message
        advice = error.advice
        self.isPassing = isPassing
    }

    init(_ message: String, advice: String?) {
        self.message = message
        self.advice = advice
        isPassing = false
    }
}

/// Makes ready what a launch needs of this host, and clears it away afterwards.
final class LaunchPreparation: Sendable {
    let handlers: HandlerStore
    let cgroups: TaskCgroups
    private let settings: SupervisorSettings
    private let features: HostFeatures
    private let scratch: ScratchFolders
    private let users: DynamicUsers
    private let logger: Logger
    /// Working folders of attempts that an earlier supervisor began.
    private let reclaimed = Mutex<Set<String>>([])

    init(
        _ settings: SupervisorSettings,
        folder: StateFolder,
        features: HostFeatures,
        logger: Logger
    ) throws(BulkheadError) {
        self.settings = settings
        self.features = features
        self.logger = logger
        scratch = try ScratchFolders(root: settings.scratchFolder, state: folder) { problem in
            logger.warning("a scratch folder could not be removed", metadata: ["problem": "\(problem)"])
        }
        handlers = try HandlerStore(copiesFolder: scratch.handlersFolder)
        users = DynamicUsers(range: settings.dynamicUsers, owner: folder.identity)
        cgroups = try TaskCgroups.find(features, state: folder)
    }

    // MARK: A place

    /// Makes a place for a launch.
    func makePlace(for entry: CatalogEntry, task: TaskRecord) throws(PlaceError) -> LaunchPlace {
        // Held from here on, so that a new catalog does not remove the copy on the way to its launch.
        handlers.hold(entry.handler.digest)
        do throws(PlaceError) {
            try restore(entry.handler)
            return try makePlace(forHeld: entry, task: task)
        } catch {
            handlers.release(entry.handler.digest)
            throw error
        }
    }

    private func restore(_ handler: HandlerFile) throws(PlaceError) {
        do {
            try handlers.restore(handler)
        } catch {
            var place = PlaceError(error, isPassing: error.code == .host)
            place.reason = error.code == .notFound ? .noHandler : .pluginChanged
            throw place
        }
    }

    private func makePlace(forHeld entry: CatalogEntry, task: TaskRecord) throws(PlaceError) -> LaunchPlace {
        let (user, dynamicUser) = try user(of: entry.policy)
        do throws(PlaceError) {
            let folder = try makeScratch(user)
            do throws(PlaceError) {
                return try describePlace(
                    for: entry,
                    task: task,
                    folder: folder,
                    user: user,
                    dynamicUser: dynamicUser
                )
            } catch {
                scratch.remove(folder)
                throw error
            }
        } catch {
            if let dynamicUser { users.giveBack(dynamicUser) }
            throw error
        }
    }

    private func makeScratch(_ user: LaunchUser?) throws(PlaceError) -> String {
        do {
            return try scratch.make(uid: user?.uid, gid: user?.gid)
        } catch {
            throw PlaceError(error, isPassing: true)
        }
    }

    private func describePlace(
        for entry: CatalogEntry,
        task: TaskRecord,
        folder: String,
        user: LaunchUser?,
        dynamicUser: UInt32?
    ) throws(PlaceError) -> LaunchPlace {
        let paths = LaunchPaths(
            handler: entry.handler.copyPath,
            interpreter: entry.handler.interpreter.first,
            scratch: folder,
            plugins: settings.pluginsFolder
        )
        let namespaces = NamespacePlan(entry.policy, features: features)
        let plan = entry.sandbox.filePlan(
            paths,
            user: landlockUser(user, dynamicUser),
            features: features,
            namespaces: namespaces?.hold ?? []
        )
        var place = LaunchPlace(
            holdings: Holdings(
                scratch: folder,
                dynamicUser: dynamicUser,
                group: Self.group(of: task.id, attempt: task.attempt + 1),
                handler: entry.handler.digest
            ),
            user: user,
            cgroup: CgroupSpec(),
            files: plan,
            enforcement: enforcement(entry, plan, user),
            warnings: entry.sandbox.warnings
        )
        for gap in plan.gaps { try miss(gap.text, fatal: gap.refusesRequired, entry, &place) }
        if entry.policy.limits.scratch != nil, namespaces?.holdsScratch != true {
            let text =
                "limits.scratch cannot be held: no mount namespace can be had, in which it would be memory"
            try miss(text, fatal: true, entry, &place)
        }
        try addCgroup(entry, namespaces, &place)
        if let namespaces {
            let spec = namespaces.spec(
                rules: entry.sandbox.rules,
                files: plan,
                paths: paths,
                hidden: hiddenFolders,
                processes: cgroups.processesProblem == nil ? nil : entry.policy.limits.processes
            )
            place.namespaces = spec
            place.enforcement.insert(namespaces.words(spec), at: 2)
        }
        return place
    }

    /// Takes note of something that this host cannot hold, or refuses the launch where the policy requires it.
    private func miss(
        _ text: String,
        fatal: Bool,
        _ entry: CatalogEntry,
        _ place: inout LaunchPlace
    ) throws(PlaceError) {
        guard fatal, entry.policy.sandbox.enforcement == .required else {
            place.warnings.append(text)
            return
        }
        throw PlaceError(
            "this host cannot hold what the policy requires: \(text)",
            advice: "run it on a host that can, or write sandbox.enforcement: best-effort into its policy"
        )
    }

    /// What no handler sees: the database and the launchers' sockets, and the working folders of others.
    private var hiddenFolders: [String] { [settings.stateFolder, scratch.tasksFolder] }

    private func addCgroup(
        _ entry: CatalogEntry,
        _ namespaces: NamespacePlan?,
        _ place: inout LaunchPlace
    ) throws(PlaceError) {
        let limits = entry.policy.limits
        guard limits.memory != nil || limits.processes != nil else { return }
        let missing = [
            limits.memory == nil ? nil : cgroups.memoryProblem.map { "limits.memory cannot be held: \($0)" },
            limits.processes == nil || namespaces?.holdsProcesses == true
                ? nil : cgroups.processesProblem.map { "limits.processes cannot be held: \($0)" },
        ]
        for text in missing.compactMap({ $0 }) { try miss(text, fatal: true, entry, &place) }
        do {
            place.cgroup = try cgroups.make(
                place.holdings.group,
                memory: cgroups.memoryProblem == nil ? limits.memory : nil,
                processes: cgroups.processesProblem == nil ? limits.processes : nil
            )
        } catch {
            throw PlaceError(error, isPassing: true)
        }
        if !place.cgroup.procs.isEmpty { place.enforcement.append("cgroup") }
    }

    // MARK: A user

    private func user(of policy: Policy) throws(PlaceError) -> (LaunchUser?, dynamic: UInt32?) {
        switch policy.user {
        case .dynamic:
            guard features.canSwitchUsers else { return (nil, nil) }
            do {
                let number = try users.take()
                return (LaunchUser(uid: number, gid: number), number)
            } catch {
                throw PlaceError(error, isPassing: true)
            }
        case .named(let name):
            let user: UserDirectory.User
            do {
                user = try UserDirectory.user(named: name)
            } catch {
                throw PlaceError(error, isPassing: false)
            }
            if features.canSwitchUsers { return (LaunchUser(uid: user.uid, gid: user.gid), nil) }
            guard user.uid == features.user else {
                throw PlaceError(
                    "its policy wants the user \(name), but the supervisor has no right to change users",
                    advice: "run the supervisor as root, or leave user out of the policy"
                )
            }
            return (nil, nil)
        }
    }

    private func landlockUser(_ user: LaunchUser?, _ dynamicUser: UInt32?) -> LandlockUser {
        if dynamicUser != nil { return .ownUser }
        return (user?.uid ?? features.user) == 0 ? .root : .sharedUser
    }

    private func enforcement(_ entry: CatalogEntry, _ plan: LandlockPlan, _ user: LaunchUser?) -> [String] {
        var held = ["no_new_privs", "user \(user?.uid ?? features.user)"]
        if let filter = entry.sandbox.filter {
            let sandbox = entry.policy.sandbox
            held.append("seccomp \(sandbox.profile?.name ?? sandbox.preset.rawValue) \(filter.digest)")
        }
        if !plan.isEmpty { held.append("landlock \(features.landlockABI)") }
        if entry.policy.limits.cpu != nil { held.append("cpu by rlimit and count") }
        return held
    }

    // MARK: What the launcher and the handler are told

    /// Everything that the launcher needs.
    func spec(for entry: CatalogEntry, task: TaskRecord, place: LaunchPlace) -> LaunchSpec {
        let policy = entry.policy
        var spec = LaunchSpec(
            attempt: UInt64(task.attempt),
            executable: entry.handler.executable,
            arguments: entry.handler.command(adding: policy.arguments),
            environment: environment(entry, task, place),
            workingFolder: place.holdings.scratch
        )
        spec.task = task.id.text
        spec.timeoutNanoseconds = UInt64(policy.timeout?.wholeNanoseconds ?? 0)
        spec.graceNanoseconds = UInt64(policy.grace.wholeNanoseconds)
        spec.cpuNanoseconds = UInt64(policy.limits.cpu?.wholeNanoseconds ?? 0)
        spec.openFiles = policy.limits.openFiles.map { UInt64($0) }
        spec.fileSizeBytes = policy.limits.fileSize.map { UInt64($0) }
        spec.user = place.user
        spec.cgroup = place.cgroup
        spec.namespaces = place.namespaces
        spec.landlock = place.files.spec
        spec.filter = entry.sandbox.filterSpec
        spec.eventLineBytes = UInt32(settings.resultLimit + Limits.eventLineSlackBytes)
        return spec
    }

    private func environment(_ entry: CatalogEntry, _ task: TaskRecord, _ place: LaunchPlace) -> [String] {
        var variables: [EnvironmentVariable] = [
            EnvironmentVariable(name: "PATH", value: HandlerStore.searchPath.joined(separator: ":")),
            EnvironmentVariable(name: "LANG", value: "C.UTF-8"),
            EnvironmentVariable(name: "HOME", value: place.holdings.scratch),
            EnvironmentVariable(name: "TMPDIR", value: place.holdings.scratch),
            EnvironmentVariable(name: "BULKHEAD_TASK_ID", value: task.id.text),
            EnvironmentVariable(name: "BULKHEAD_TASK_TYPE", value: task.type.name),
            EnvironmentVariable(name: "BULKHEAD_RUN", value: "\(task.run)"),
            EnvironmentVariable(name: "BULKHEAD_ATTEMPT", value: "\(task.attempt)"),
            EnvironmentVariable(name: "BULKHEAD_SCRATCH", value: place.holdings.scratch),
            EnvironmentVariable(name: "BULKHEAD_EVENTS_FD", value: "3"),
            EnvironmentVariable(name: "BULKHEAD_PLUGIN_DIR", value: settings.pluginsFolder),
        ]
        if let deadline = deadline(entry, task) {
            variables.append(EnvironmentVariable(name: "BULKHEAD_DEADLINE", value: deadline.description))
        }
        let added = Set(entry.policy.environment.map(\.name))
        return (variables.filter { !added.contains($0.name) } + entry.policy.environment)
            .map { "\($0.name)=\($0.value)" }
    }

    /// What keeps the attempt's user from other supervisors, where it is one of our range.
    func userBlock(of holdings: Holdings) -> UserBlock? { holdings.dynamicUser.flatMap(users.block(of:)) }

    /// The handler's input: one JSON object, and a line's end so that a shell's `read` takes it whole.
    func input(for entry: CatalogEntry, task: TaskRecord) -> [UInt8] {
        var object: JSONObject = [
            "protocol": 1, "id": .string(task.id.text), "type": .string(task.type.name),
            "run": .integer(task.run), "attempt": .integer(task.attempt), "params": task.params,
        ]
        object["metadata"] = task.metadata
        object["deadline"] = deadline(entry, task).map { .string($0.description) }
        return JSONValue.object(object).bytes + [UInt8(ascii: "\n")]
    }

    private func deadline(_ entry: CatalogEntry, _ task: TaskRecord) -> Timestamp? {
        guard let timeout = entry.policy.timeout, let start = task.startedAt else { return nil }
        return start + timeout
    }

    // MARK: The end

    /// The name of an attempt's control groups.
    static func group(of task: TaskID, attempt: Int) -> String { "\(task.text)-\(attempt)" }

    /// Takes note of what an attempt of an earlier supervisor holds.
    func reclaim(_ holdings: Holdings) {
        reclaimed.withLock { _ = $0.insert(holdings.scratch) }
        handlers.hold(holdings.handler)
        if let user = holdings.dynamicUser, !users.reclaim(user) {
            logger.warning(
                "another supervisor may give a running attempt's user to one of its own",
                metadata: ["user": "\(user)"]
            )
        }
    }

    /// Gives back what an attempt held; the folder's content goes in the background.
    func remove(_ holdings: Holdings) {
        reclaimed.withLock { _ = $0.remove(holdings.scratch) }
        handlers.release(holdings.handler)
        scratch.remove(holdings.scratch)
        if let user = holdings.dynamicUser { users.giveBack(user) }
    }

    /// Ends what is left of an attempt whose launcher is gone, or cannot be spoken to.
    func endTree(
        of group: String,
        scratch: String?,
        process: ProcessMark?,
        launcher: ProcessMark
    ) async {
        if ProcessIdentity.kill(launcher) {
            _ = await ProcessIdentity.waitForEnd(of: launcher, atMost: Self.patience)
        }
        await cgroups.end(named: group)
        var isEnded = true
        if let process { isEnded = await ProcessTree.end(handler: process, atMost: Self.patience) }
        if let scratch {
            isEnded = await ProcessTree.end(withScratch: scratch, atMost: Self.patience) && isEnded
        }
        if !isEnded {
            logger.error(
                "processes of a lost attempt did not end at SIGKILL (stuck in the kernel)",
                metadata: ["launcher": "\(launcher.pid)"]
            )
        }
    }

    /// How long the kernel may take to end what was killed.
    private static let patience: Duration = .seconds(5)

    /// Removes what attempts of an earlier supervisor on the same state folder have left, and none still uses.
    func sweepScratch() { scratch.sweep(keeping: reclaimed.withLock { $0 }) }

    /// Waits for the removals that are under way.
    func finish() async {
        await scratch.finishRemovals()
        cgroups.close()
    }
}
