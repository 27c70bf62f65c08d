import BulkheadLaunch
import CLinux
import Glibc

/// The child's way from the fork to the handler's first instruction, step by step, never back.
struct ChildStages {
    private let plan: ChildPlan
    private var status: Int32
    private var item = Self.noItem

    /// Where the status pipe lies once the handler's own descriptors are in their places; close-on-exec.
    private static let statusPlace: Int32 = 4
    /// Where the filter's listener then comes to lie: the launcher fetches it from this number.
    static let listenerPlace: Int32 = 5
    /// Nanoseconds; the kernel's default, which the launcher has changed for itself.
    private static let usualTimerSlack: UInt = 50_000
    /// The soft limit that programs expect; the supervisor has raised its own, which select(2) does not bear.
    private static let usualOpenFiles: UInt64 = 1_024
    /// An item that means no path at all.
    private static let noItem = UInt32.max

    private init(plan: ChildPlan) {
        self.plan = plan
        status = plan.status
    }

    /// Runs every step; returns only by the handler's start or the child's end.
    static func run(_ plan: ChildPlan) -> Never {
        var stages = ChildStages(plan: plan)
        stages.run()
    }

    private mutating func run() -> Never {
        resetSignals()
        umask(0o022)
        step(.session, result(setsid()))
        placeDescriptors()
        setLimits()
        enterCgroups()
        changeUser()
        step(.workingFolder, result(unsafe chdir(plan.workingFolder[0])))
        step(.noNewPrivileges, clinux_set_no_new_privileges())
        restrictFiles()
        step(.descriptors, clinux_close_range(UInt32(Self.listenerPlace), .max))
        installFilter()
        unsafe execve(
            plan.executable[0],
            plan.arguments.pointers,
            plan.environment.pointers
        )
        fail(.exec, errno)
    }

    /// The launcher has reset all of them at its own start and ignores few since.
    private func resetSignals() {
        for number in ignoredSignals { step(.signals, clinux_default_signal(number)) }
        step(.signals, clinux_unblock_signals())
        step(.signals, clinux_set_timer_slack(Self.usualTimerSlack))
    }

    private mutating func placeDescriptors() {
        step(.stdio, result(dup2(plan.stdin, STDIN_FILENO)))
        step(.stdio, result(dup2(plan.stdout, STDOUT_FILENO)))
        step(.stdio, result(dup2(plan.stderr, STDERR_FILENO)))
        step(.stdio, result(dup2(plan.events, 3)))
        step(.stdio, clinux_duplicate_to(plan.status, Self.statusPlace))
        status = Self.statusPlace
    }

    private mutating func setLimits() {
        step(.limits, clinux_set_limit(clinux_limit_core, 0, 0))
        setOpenFiles()
        if let processes = plan.spec.namespaces?.processes {
            step(.limits, clinux_set_limit(clinux_limit_processes, processes, processes))
        }
        if let bytes = plan.spec.fileSizeBytes {
            step(.limits, clinux_set_limit(clinux_limit_file_size, bytes, bytes))
        }
        if let budget = plan.budget {
            // One second more than the budget: the launcher's count of the whole tree decides first.
            let seconds = budget.secondsPerProcess + 1
            step(.limits, clinux_set_limit(clinux_limit_cpu, seconds, seconds + 1))
        }
    }

    private func setOpenFiles() {
        if let files = plan.spec.openFiles {
            step(.limits, clinux_set_limit(clinux_limit_open_files, files, files))
            return
        }
        var soft: UInt64 = 0
        var hard: UInt64 = 0
        step(.limits, unsafe clinux_get_limit(clinux_limit_open_files, &soft, &hard))
        step(.limits, clinux_set_limit(clinux_limit_open_files, min(Self.usualOpenFiles, hard), hard))
    }

    private mutating func enterCgroups() {
        for index in plan.cgroupDescriptors.indices {
            item = UInt32(index)
            let file = plan.cgroupDescriptors[index]
            step(.cgroup, result(Int32(truncatingIfNeeded: unsafe write(file, "0", 1))))
        }
        item = Self.noItem
        // The launcher's own go here, before a file is opened as the handler's user.
        step(.stdio, clinux_close_range(UInt32(Self.listenerPlace), .max))
    }

    private mutating func changeUser() {
        if plan.spec.user != nil { step(.user, clinux_set_no_groups()) }
        // Without the bounding set not even a root user's exec gives a capability back. Any other user's exec
        // gives none anyway, so that lacking the right to empty it is no loss there.
        if (plan.spec.user?.uid ?? geteuid()) == 0 { step(.user, boundingSet()) }
        if let user = plan.spec.user {
            step(.user, clinux_set_gid(user.gid))
            step(.user, clinux_set_uid(user.uid))
        }
        step(.user, clinux_drop_capabilities())
        // Only now: a change of user clears both of these.
        step(.user, clinux_set_dumpable(true))
        step(.user, clinux_set_parent_death_signal(SIGKILL))
        // With a pid namespace it dies with the first process of that, which dies with the launcher.
        if plan.spec.namespaces == nil, getppid() != plan.launcher { _exit(127) }
    }

    /// A user namespace begins with a full one.
    private func boundingSet() -> Int32 {
        plan.spec.namespaces?.inUserNamespace == true ? clinux_drop_bounding_set() : plan.boundingSet
    }

    private mutating func restrictFiles() {
        guard let landlock = plan.spec.landlock else { return }
        item = Self.noItem
        let ruleset = clinux_landlock_create(landlock.handledAccess, landlock.handledNetwork, landlock.scoped)
        step(.landlock, ruleset)
        for index in landlock.rules.indices {
            item = UInt32(index)
            let rule = landlock.rules[index]
            unsafe allow(plan.rulePaths[index], rule.access, rule.optional, in: ruleset)
        }
        if landlock.allowOwnProc {
            item = UInt32(landlock.rules.count)
            let reading = (CLINUX_LANDLOCK_READ_FILE | CLINUX_LANDLOCK_READ_DIR) & landlock.handledAccess
            unsafe allow("/proc/self", reading, false, in: ruleset)
        }
        item = Self.noItem
        step(.landlock, clinux_landlock_restrict(ruleset))
    }

    private mutating func allow(
        _ path: UnsafePointer<CChar>,
        _ access: UInt64,
        _ optional: Bool,
        in ruleset: Int32
    ) {
        let opened = unsafe clinux_openat(AT_FDCWD, path, clinux_open_path, 0)
        if optional, opened < 0 { return }
        step(.landlock, opened)
        defer { _ = close(opened) }
        var found = CLinux.clinux_stat()
        step(.landlock, unsafe clinux_stat(opened, "", CLINUX_AT_EMPTY_PATH, &found))
        let isFolder = UInt32(found.mode) & S_IFMT == S_IFDIR
        let rights = isFolder ? access : access & CLINUX_LANDLOCK_FILE_RIGHTS
        if rights != 0 { step(.landlock, clinux_landlock_allow(ruleset, opened, rights)) }
    }

    /// Under its filter the child says nothing more until the launcher holds the listener: it waits in a call
    /// that no kernel has and that the filter hands to the launcher.
    private mutating func installFilter() {
        let filter = plan.spec.filter
        guard !filter.program.isEmpty else { return }
        guard filter.hasListener else {
            step(.filter, install(filter.program, flags: 0))
            return
        }
        report(.installing)
        var listener = install(
            filter.program,
            flags: CLINUX_SECCOMP_NEW_LISTENER | CLINUX_SECCOMP_WAIT_KILLABLE
        )
        if listener == -EINVAL { listener = install(filter.program, flags: CLINUX_SECCOMP_NEW_LISTENER) }
        step(.filter, listener)
        guard listener == Self.listenerPlace else { fail(.filter, EBADF) }
        step(.listener, clinux_rendezvous())
    }

    private func install(_ program: [UInt8], flags: UInt) -> Int32 {
        unsafe program.withUnsafeBytes { bytes in
            unsafe clinux_seccomp_install(bytes.baseAddress, bytes.count / 8, flags)
        }
    }

    private func result(_ returned: Int32) -> Int32 {
        returned < 0 ? -errno : returned
    }

    private func step(_ stage: LaunchStage, _ result: Int32) {
        if result < 0 { fail(stage, -result) }
    }

    private func fail(_ stage: LaunchStage, _ errno: Int32) -> Never {
        report(.failed(stage: stage, errno: errno, item: item))
        _exit(127)
    }

    private func report(_ report: ChildReport) {
        let bytes = report.bytes
        _ = unsafe write(status, bytes, bytes.count)
    }
}
