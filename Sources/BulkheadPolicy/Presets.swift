/// What a preset gives: system calls, and files.
public struct PresetRules: Sendable {
    /// Whether a call that is not listed is given too.
    public let givesEverything: Bool
    /// Calls given whatever their arguments.
    public let names: Set<String>
    /// Calls given for some of their arguments.
    public let conditions: [String: SyscallRule]
    /// The files; nil is every file that ordinary permissions give.
    public let files: FileRules?

    /// The rule for a call; nil where the preset does not name it.
    func rule(for name: String) -> SyscallRule? {
        if givesEverything { return .always(.allow) }
        if Self.unfilterable.contains(name) { return .always(.unimplemented) }
        return conditions[name] ?? (names.contains(name) ? .always(.allow) : nil)
    }

    /// clone3 takes its flags through memory, out of a filter's sight; C libraries then use clone.
    private static let unfilterable: Set<String> = ["clone3"]
}

extension Preset {
    /// What the preset gives.
    public var rules: PresetRules {
        switch self {
        case .default: Self.defaultRules
        case .compute: Self.computeRules
        case .network: Self.networkRules
        case .unconfined: Self.unconfinedRules
        }
    }

    private static let defaultRules = PresetRules(
        givesEverything: false,
        names: words(computeCalls, ordinaryCalls),
        conditions: ordinaryConditions,
        files: .ordinary
    )

    private static let networkRules = PresetRules(
        givesEverything: false,
        names: words(computeCalls, ordinaryCalls, "connect bind"),
        conditions: ordinaryConditions.merging(["socket": .only(clientSockets)]) { $1 },
        files: .networked
    )

    private static let computeRules = PresetRules(
        givesEverything: false,
        names: words(computeCalls),
        conditions: computeConditions,
        files: .ordinary
    )

    private static let unconfinedRules = PresetRules(
        givesEverything: true,
        names: [],
        conditions: [:],
        files: nil
    )

    private static func words(_ texts: String...) -> Set<String> {
        Set(texts.flatMap { $0.split(whereSeparator: \.isWhitespace) }.map(String.init))
    }

    /// Computing on open descriptors and readable files, with threads: what python, node, java and Swift
    /// programs were seen to call, and what stands beside it; bash asks for its input's peer.
    private static let computeCalls = """
        access alarm arch_prctl brk capget chdir clock_getres clock_gettime clock_nanosleep close close_range
        dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd
        eventfd2 exit exit_group faccessat faccessat2 fadvise64 fchdir fcntl fdatasync fstat fstatfs fsync
        ftruncate futex futex_requeue futex_wait futex_waitv futex_wake get_robust_list getcpu getcwd getdents
        getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid
        getpriority getrandom getresgid getresuid getrlimit getrusage getsid gettid gettimeofday getuid lseek
        lstat madvise map_shadow_stack membarrier mincore mmap mprotect mremap mseal msync munmap nanosleep
        newfstatat open openat openat2 pause pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll pread64
        preadv preadv2 pselect6 pwrite64 pwritev pwritev2 read readlink readlinkat readv restart_syscall rseq
        rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait
        sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getparam sched_getscheduler
        sched_setaffinity sched_yield select set_robust_list set_tid_address setitimer sigaltstack stat statfs
        statx sysinfo tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
        timerfd_create timerfd_gettime timerfd_settime times umask uname uprobe uretprobe write writev
        """

    /// What ordinary programs call beyond that: other programs, their own files, connected sockets.
    ///
    /// It follows the list that Docker gives containers by default, less ptrace and process_vm_*, mknod,
    /// memfd_secret, name_to_handle_at, the set*id and chown families, System V and POSIX message queues and
    /// their kin, classic asynchronous io, io_uring, keyrings, clocks, and sockets that reach anything.
    private static let ordinaryCalls = """
        cachestat capset chmod copy_file_range creat execve execveat fallocate fchmod fchmodat fchmodat2
        fgetxattr flistxattr flock fork fremovexattr fsetxattr futimesat getsockname getsockopt getxattr
        getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioprio_get ioprio_set kill
        landlock_add_rule landlock_create_ruleset landlock_restrict_self lgetxattr link linkat listxattr
        listxattrat llistxattr lremovexattr lsetxattr memfd_create mkdir mkdirat mlock mlock2 mlockall munlock
        munlockall pidfd_open pidfd_send_signal readahead recvfrom recvmmsg recvmsg remap_file_pages
        removexattr removexattrat rename renameat renameat2 rmdir rt_sigqueueinfo rt_tgsigqueueinfo
        sched_getattr sched_rr_get_interval sched_setattr sched_setparam sched_setscheduler sendfile sendmmsg
        sendmsg sendto setpgid setpriority setrlimit setsid setsockopt setxattr setxattrat shutdown signalfd
        signalfd4 splice symlink symlinkat sync sync_file_range syncfs tee tkill truncate unlink unlinkat
        utime utimensat utimes vfork vmsplice wait4 waitid
        """
}
