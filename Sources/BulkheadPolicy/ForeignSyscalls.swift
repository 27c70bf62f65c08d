/// System calls that Linux has on other architectures alone.
///
/// OCI profiles are written for all of them at once. Since every entry of a foreign architecture is killed, such a
/// name asks for nothing here, whether it is allowed or denied.
enum ForeignSyscalls {
    /// Whether some architecture that Bulkhead does not run on has a call of this name.
    static func knows(_ name: String) -> Bool { names.contains(name) }

    private static let names = Set(text.split(whereSeparator: \.isWhitespace).map(String.init))

    /// The names of asm/unistd_32.h of x86 that no 64-bit table has, and those that are ARM's, MIPS's, PowerPC's,
    /// RISC-V's, s390's or SPARC's own.
    private static let text = """
        _llseek _newselect arm_fadvise64_64 arm_sync_file_range atomic_barrier atomic_cmpxchg_32
        bdflush break breakpoint cachectl cacheflush chown32 clock_adjtime64 clock_getres_time64
        clock_gettime64 clock_nanosleep_time64 clock_settime64 fadvise64_64 fchown32 fcntl64
        fstat64 fstatat64 fstatfs64 ftime ftruncate64 futex_time64 get_tls getdomainname getegid32
        geteuid32 getgid32 getgroups32 getpagesize getresgid32 getresuid32 getuid32 getunwind gtty
        idle io_pgetevents_time64 ipc kern_features lchown32 llseek lock lstat64 memory_ordering
        mmap2 mpx mq_timedreceive_time64 mq_timedsend_time64 multiplexer nice oldfstat oldlstat
        oldolduname oldstat olduname pciconfig_iobase pciconfig_read pciconfig_write ppoll_time64
        prof profil pselect6_time64 readdir recv recvmmsg_time64 riscv_flush_icache riscv_hwprobe
        rt_sigtimedwait_time64 rtas s390_guarded_storage s390_pci_mmio_read s390_pci_mmio_write
        s390_runtime_instr s390_sthyi sched_rr_get_interval_time64 semtimedop_time64 send
        sendfile64 set_tls setfsgid32 setfsuid32 setgid32 setgroups32 setregid32 setresgid32
        setresuid32 setreuid32 setuid32 sgetmask sigaction signal sigpending sigprocmask sigreturn
        sigsuspend socketcall spu_create spu_run ssetmask stat64 statfs64 stime stty subpage_prot
        swapcontext switch_endian sync_file_range2 sys_debug_setcontext sysmips timer_gettime64
        timer_settime64 timerfd timerfd_gettime64 timerfd_settime64 truncate64 ugetrlimit ulimit
        umount usr26 usr32 utimensat_time64 utrap_install vm86 vm86old waitpid
        """
}
