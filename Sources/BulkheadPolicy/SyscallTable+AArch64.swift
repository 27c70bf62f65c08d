extension SyscallTable {
    /// The system calls of aarch64, as `number:name:widths`.
    ///
    /// Facts from Linux 6.18: the numbers of scripts/syscall.tbl with the entries that arch/arm64 asks for
    /// (renameat, rlimit, memfd_secret), the widths as in the table of x86-64: the prototypes are shared.
    static let aarch64Entries = """
        0:io_setup:wl 1:io_destroy:l 2:io_submit:lll 3:io_cancel:lll 4:io_getevents:lllll 5:setxattr:llllw
        6:lsetxattr:llllw 7:fsetxattr:wlllw 8:getxattr:llll 9:lgetxattr:llll 10:fgetxattr:wlll
        11:listxattr:lll 12:llistxattr:lll 13:flistxattr:wll 14:removexattr:ll 15:lremovexattr:ll
        16:fremovexattr:wl 17:getcwd:ll 18:lookup_dcookie:lll 19:eventfd2:ww 20:epoll_create1:w
        21:epoll_ctl:wwwl 22:epoll_pwait:wlwwll 23:dup:w 24:dup3:www 25:fcntl:wwl 26:inotify_init1:w
        27:inotify_add_watch:wlw 28:inotify_rm_watch:ww 29:ioctl:wwl 30:ioprio_set:www 31:ioprio_get:ww
        32:flock:ww 33:mknodat:wlhw 34:mkdirat:wlh 35:unlinkat:wlw 36:symlinkat:lwl 37:linkat:wlwlw
        38:renameat:wlwl 39:umount2:lw 40:mount:lllll 41:pivot_root:ll 42:nfsservctl:wll 43:statfs:ll
        44:fstatfs:wl 45:truncate:ll 46:ftruncate:wl 47:fallocate:wwll 48:faccessat:wlw 49:chdir:l
        50:fchdir:w 51:chroot:l 52:fchmod:wh 53:fchmodat:wlh 54:fchownat:wlwww 55:fchown:www 56:openat:wlwh
        57:close:w 58:vhangup: 59:pipe2:lw 60:quotactl:wlwl 61:getdents64:wlw 62:lseek:wlw 63:read:wll
        64:write:wll 65:readv:lll 66:writev:lll 67:pread64:wlll 68:pwrite64:wlll 69:preadv:lllll
        70:pwritev:lllll 71:sendfile:wwll 72:pselect6:wlllll 73:ppoll:lwlll 74:signalfd4:wllw
        75:vmsplice:wllw 76:splice:wlwllw 77:tee:wwlw 78:readlinkat:wllw 79:newfstatat:wllw 80:fstat:wl
        81:sync: 82:fsync:w 83:fdatasync:w 84:sync_file_range:wllw 85:timerfd_create:ww
        86:timerfd_settime:wwll 87:timerfd_gettime:wl 88:utimensat:wllw 89:acct:l 90:capget:ll 91:capset:ll
        92:personality:w 93:exit:w 94:exit_group:w 95:waitid:wwlwl 96:set_tid_address:l 97:unshare:l
        98:futex:lwwllw 99:set_robust_list:ll 100:get_robust_list:wll 101:nanosleep:ll 102:getitimer:wl
        103:setitimer:wll 104:kexec_load:llll 105:init_module:lll 106:delete_module:lw 107:timer_create:wll
        108:timer_gettime:wl 109:timer_getoverrun:w 110:timer_settime:wwll 111:timer_delete:w
        112:clock_settime:wl 113:clock_gettime:wl 114:clock_getres:wl 115:clock_nanosleep:wwll
        116:syslog:wlw 117:ptrace:llll 118:sched_setparam:wl 119:sched_setscheduler:wwl
        120:sched_getscheduler:w 121:sched_getparam:wl 122:sched_setaffinity:wwl 123:sched_getaffinity:wwl
        124:sched_yield: 125:sched_get_priority_max:w 126:sched_get_priority_min:w
        127:sched_rr_get_interval:wl 128:restart_syscall: 129:kill:ww 130:tkill:ww 131:tgkill:www
        132:sigaltstack:ll 133:rt_sigsuspend:ll 134:rt_sigaction:wlll 135:rt_sigprocmask:wlll
        136:rt_sigpending:ll 137:rt_sigtimedwait:llll 138:rt_sigqueueinfo:wwl 139:rt_sigreturn:
        140:setpriority:www 141:getpriority:ww 142:reboot:wwwl 143:setregid:ww 144:setgid:w 145:setreuid:ww
        146:setuid:w 147:setresuid:www 148:getresuid:lll 149:setresgid:www 150:getresgid:lll 151:setfsuid:w
        152:setfsgid:w 153:times:l 154:setpgid:ww 155:getpgid:w 156:getsid:w 157:setsid: 158:getgroups:wl
        159:setgroups:wl 160:uname:l 161:sethostname:lw 162:setdomainname:lw 163:getrlimit:wl
        164:setrlimit:wl 165:getrusage:wl 166:umask:w 167:prctl:wllll 168:getcpu:lll 169:gettimeofday:ll
        170:settimeofday:ll 171:adjtimex:l 172:getpid: 173:getppid: 174:getuid: 175:geteuid: 176:getgid:
        177:getegid: 178:gettid: 179:sysinfo:l 180:mq_open:lwhl 181:mq_unlink:l 182:mq_timedsend:wllwl
        183:mq_timedreceive:wllll 184:mq_notify:wl 185:mq_getsetattr:wll 186:msgget:ww 187:msgctl:wwl
        188:msgrcv:wlllw 189:msgsnd:wllw 190:semget:www 191:semctl:wwwl 192:semtimedop:wlwl 193:semop:wlw
        194:shmget:wlw 195:shmctl:wwl 196:shmat:wlw 197:shmdt:l 198:socket:www 199:socketpair:wwwl
        200:bind:wlw 201:listen:ww 202:accept:wll 203:connect:wlw 204:getsockname:wll 205:getpeername:wll
        206:sendto:wllwlw 207:recvfrom:wllwll 208:setsockopt:wwwlw 209:getsockopt:wwwll 210:shutdown:ww
        211:sendmsg:wlw 212:recvmsg:wlw 213:readahead:wll 214:brk:l 215:munmap:ll 216:mremap:lllll
        217:add_key:llllw 218:request_key:lllw 219:keyctl:wllll 220:clone:lllll 221:execve:lll
        222:mmap:llllll 223:fadvise64:wllw 224:swapon:lw 225:swapoff:l 226:mprotect:lll 227:msync:llw
        228:mlock:ll 229:munlock:ll 230:mlockall:w 231:munlockall: 232:mincore:lll 233:madvise:llw
        234:remap_file_pages:lllll 235:mbind:lllllw 236:get_mempolicy:lllll 237:set_mempolicy:wll
        238:migrate_pages:wlll 239:move_pages:wllllw 240:rt_tgsigqueueinfo:wwwl 241:perf_event_open:lwwwl
        242:accept4:wllw 243:recvmmsg:wlwwl 260:wait4:wlwl 261:prlimit64:wwll 262:fanotify_init:ww
        263:fanotify_mark:wwlwl 264:name_to_handle_at:wlllw 265:open_by_handle_at:wlw 266:clock_adjtime:wl
        267:syncfs:w 268:setns:ww 269:sendmmsg:wlww 270:process_vm_readv:wlllll 271:process_vm_writev:wlllll
        272:kcmp:wwwll 273:finit_module:wlw 274:sched_setattr:wlw 275:sched_getattr:wlww 276:renameat2:wlwlw
        277:seccomp:wwl 278:getrandom:llw 279:memfd_create:lw 280:bpf:wlw 281:execveat:wlllw
        282:userfaultfd:w 283:membarrier:www 284:mlock2:llw 285:copy_file_range:wlwllw 286:preadv2:lllllw
        287:pwritev2:lllllw 288:pkey_mprotect:lllw 289:pkey_alloc:ll 290:pkey_free:w 291:statx:wlwwl
        292:io_pgetevents:llllll 293:rseq:lwww 294:kexec_file_load:wwlll 424:pidfd_send_signal:wwlw
        425:io_uring_setup:wl 426:io_uring_enter:wwwwll 427:io_uring_register:wwlw 428:open_tree:wlw
        429:move_mount:wlwlw 430:fsopen:lw 431:fsconfig:wwllw 432:fsmount:www 433:fspick:wlw
        434:pidfd_open:ww 435:clone3:ll 436:close_range:www 437:openat2:wlll 438:pidfd_getfd:www
        439:faccessat2:wlww 440:process_madvise:wllww 441:epoll_pwait2:wlwlll 442:mount_setattr:wlwll
        443:quotactl_fd:wwwl 444:landlock_create_ruleset:llw 445:landlock_add_rule:wwlw
        446:landlock_restrict_self:ww 447:memfd_secret:w 448:process_mrelease:ww 449:futex_waitv:lwwlw
        450:set_mempolicy_home_node:llll 451:cachestat:wllw 452:fchmodat2:wlhw 453:map_shadow_stack:llw
        454:futex_wake:llww 455:futex_wait:lllwlw 456:futex_requeue:lwww 457:statmount:lllw
        458:listmount:lllw 459:lsm_get_self_attr:wllw 460:lsm_set_self_attr:wlww 461:lsm_list_modules:llw
        462:mseal:lll 463:setxattrat:wlwlll 464:getxattrat:wlwlll 465:listxattrat:wlwll
        466:removexattrat:wlwl 467:open_tree_attr:wlwll 468:file_getattr:wlllw 469:file_setattr:wlllw
        """
}
