import BulkheadCore
import BulkheadHost
import BulkheadLaunch
import BulkheadPolicy
import BulkheadSandbox
import Logging
import Synchronization

/// Makes ready what a launch needs of this host, and clears it away afterwards.
final class LaunchPreparation: Sendable {
    let handlers: HandlerStore
    let cgroups: TaskCgroups
    let settings: SupervisorSettings
    let features: HostFeatures
    let scratch: ScratchFolders
    let users: DynamicUsers
    let logger: Logger
    /// Working folders of attempts that an earlier supervisor began.
    let reclaimed = Mutex<Set<String>>([])

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
        if let problem = cgroups.restartProblem {
            logger.warning("the unit for tasks is missing or stopped", metadata: ["problem": "\(problem)"])
        }
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
}
