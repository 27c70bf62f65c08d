extension SyscallTable {
    /// The system calls of x86-64, as `number:name:widths`.
    ///
    /// Facts from Linux 6.18: the numbers of arch/x86/entry/syscalls/syscall_64.tbl, the widths from the
    /// argument types that a running 6.18 kernel names in tracefs (`events/syscalls/*/format`), those of the
    /// module and kexec calls from include/linux/syscalls.h. A call that was never implemented has none.
    static let x8664Entries = """
        0:read:wll 1:write:wll 2:open:lwh 3:close:w 4:stat:ll 5:fstat:wl 6:lstat:ll 7:poll:lww 8:lseek:wlw
        9:mmap:llllll 10:mprotect:lll 11:munmap:ll 12:brk:l 13:rt_sigaction:wlll 14:rt_sigprocmask:wlll
        15:rt_sigreturn: 16:ioctl:wwl 17:pread64:wlll 18:pwrite64:wlll 19:readv:lll 20:writev:lll
        21:access:lw 22:pipe:l 23:select:wllll 24:sched_yield: 25:mremap:lllll 26:msync:llw 27:mincore:lll
        28:madvise:llw 29:shmget:wlw 30:shmat:wlw 31:shmctl:wwl 32:dup:w 33:dup2:ww 34:pause:
        35:nanosleep:ll 36:getitimer:wl 37:alarm:w 38:setitimer:wll 39:getpid: 40:sendfile:wwll
        41:socket:www 42:connect:wlw 43:accept:wll 44:sendto:wllwlw 45:recvfrom:wllwll 46:sendmsg:wlw
        47:recvmsg:wlw 48:shutdown:ww 49:bind:wlw 50:listen:ww 51:getsockname:wll 52:getpeername:wll
        53:socketpair:wwwl 54:setsockopt:wwwlw 55:getsockopt:wwwll 56:clone:lllll 57:fork: 58:vfork:
        59:execve:lll 60:exit:w 61:wait4:wlwl 62:kill:ww 63:uname:l 64:semget:www 65:semop:wlw
        66:semctl:wwwl 67:shmdt:l 68:msgget:ww 69:msgsnd:wllw 70:msgrcv:wlllw 71:msgctl:wwl 72:fcntl:wwl
        73:flock:ww 74:fsync:w 75:fdatasync:w 76:truncate:ll 77:ftruncate:wl 78:getdents:wlw 79:getcwd:ll
        80:chdir:l 81:fchdir:w 82:rename:ll 83:mkdir:lh 84:rmdir:l 85:creat:lh 86:link:ll 87:unlink:l
        88:symlink:ll 89:readlink:llw 90:chmod:lh 91:fchmod:wh 92:chown:lww 93:fchown:www 94:lchown:lww
        95:umask:w 96:gettimeofday:ll 97:getrlimit:wl 98:getrusage:wl 99:sysinfo:l 100:times:l
        101:ptrace:llll 102:getuid: 103:syslog:wlw 104:getgid: 105:setuid:w 106:setgid:w 107:geteuid:
        108:getegid: 109:setpgid:ww 110:getppid: 111:getpgrp: 112:setsid: 113:setreuid:ww 114:setregid:ww
        115:getgroups:wl 116:setgroups:wl 117:setresuid:www 118:getresuid:lll 119:setresgid:www
        120:getresgid:lll 121:getpgid:w 122:setfsuid:w 123:setfsgid:w 124:getsid:w 125:capget:ll
        126:capset:ll 127:rt_sigpending:ll 128:rt_sigtimedwait:llll 129:rt_sigqueueinfo:wwl
        130:rt_sigsuspend:ll 131:sigaltstack:ll 132:utime:ll 133:mknod:lhw 134:uselib: 135:personality:w
        136:ustat:wl 137:statfs:ll 138:fstatfs:wl 139:sysfs:wll 140:getpriority:ww 141:setpriority:www
        142:sched_setparam:wl 143:sched_getparam:wl 144:sched_setscheduler:wwl 145:sched_getscheduler:w
        146:sched_get_priority_max:w 147:sched_get_priority_min:w 148:sched_rr_get_interval:wl 149:mlock:ll
        150:munlock:ll 151:mlockall:w 152:munlockall: 153:vhangup: 154:modify_ldt:wll 155:pivot_root:ll
        156:_sysctl: 157:prctl:wllll 158:arch_prctl:wl 159:adjtimex:l 160:setrlimit:wl 161:chroot:l
        162:sync: 163:acct:l 164:settimeofday:ll 165:mount:lllll 166:umount2:lw 167:swapon:lw 168:swapoff:l
        169:reboot:wwwl 170:sethostname:lw 171:setdomainname:lw 172:iopl:w 173:ioperm:llw 174:create_module:
        175:init_module:lll 176:delete_module:lw 177:get_kernel_syms: 178:query_module: 179:quotactl:wlwl
        180:nfsservctl:wll 181:getpmsg: 182:putpmsg: 183:afs_syscall: 184:tuxcall: 185:security: 186:gettid:
        187:readahead:wll 188:setxattr:llllw 189:lsetxattr:llllw 190:fsetxattr:wlllw 191:getxattr:llll
        192:lgetxattr:llll 193:fgetxattr:wlll 194:listxattr:lll 195:llistxattr:lll 196:flistxattr:wll
        197:removexattr:ll 198:lremovexattr:ll 199:fremovexattr:wl 200:tkill:ww 201:time:l 202:futex:lwwllw
        203:sched_setaffinity:wwl 204:sched_getaffinity:wwl 205:set_thread_area: 206:io_setup:wl
        207:io_destroy:l 208:io_getevents:lllll 209:io_submit:lll 210:io_cancel:lll 211:get_thread_area:
        212:lookup_dcookie:lll 213:epoll_create:w 214:epoll_ctl_old: 215:epoll_wait_old:
        216:remap_file_pages:lllll 217:getdents64:wlw 218:set_tid_address:l 219:restart_syscall:
        220:semtimedop:wlwl 221:fadvise64:wllw 222:timer_create:wll 223:timer_settime:wwll
        224:timer_gettime:wl 225:timer_getoverrun:w 226:timer_delete:w 227:clock_settime:wl
        228:clock_gettime:wl 229:clock_getres:wl 230:clock_nanosleep:wwll 231:exit_group:w
        232:epoll_wait:wlww 233:epoll_ctl:wwwl 234:tgkill:www 235:utimes:ll 236:vserver: 237:mbind:lllllw
        238:set_mempolicy:wll 239:get_mempolicy:lllll 240:mq_open:lwhl 241:mq_unlink:l
        242:mq_timedsend:wllwl 243:mq_timedreceive:wllll 244:mq_notify:wl 245:mq_getsetattr:wll
        246:kexec_load:llll 247:waitid:wwlwl 248:add_key:llllw 249:request_key:lllw 250:keyctl:wllll
        251:ioprio_set:www 252:ioprio_get:ww 253:inotify_init: 254:inotify_add_watch:wlw
        255:inotify_rm_watch:ww 256:migrate_pages:wlll 257:openat:wlwh 258:mkdirat:wlh 259:mknodat:wlhw
        260:fchownat:wlwww 261:futimesat:wll 262:newfstatat:wllw 263:unlinkat:wlw 264:renameat:wlwl
        265:linkat:wlwlw 266:symlinkat:lwl 267:readlinkat:wllw 268:fchmodat:wlh 269:faccessat:wlw
        270:pselect6:wlllll 271:ppoll:lwlll 272:unshare:l 273:set_robust_list:ll 274:get_robust_list:wll
        275:splice:wlwllw 276:tee:wwlw 277:sync_file_range:wllw 278:vmsplice:wllw 279:move_pages:wllllw
        280:utimensat:wllw 281:epoll_pwait:wlwwll 282:signalfd:wll 283:timerfd_create:ww 284:eventfd:w
        285:fallocate:wwll 286:timerfd_settime:wwll 287:timerfd_gettime:wl 288:accept4:wllw
        289:signalfd4:wllw 290:eventfd2:ww 291:epoll_create1:w 292:dup3:www 293:pipe2:lw 294:inotify_init1:w
        295:preadv:lllll 296:pwritev:lllll 297:rt_tgsigqueueinfo:wwwl 298:perf_event_open:lwwwl
        299:recvmmsg:wlwwl 300:fanotify_init:ww 301:fanotify_mark:wwlwl 302:prlimit64:wwll
        303:name_to_handle_at:wlllw 304:open_by_handle_at:wlw 305:clock_adjtime:wl 306:syncfs:w
        307:sendmmsg:wlww 308:setns:ww 309:getcpu:lll 310:process_vm_readv:wlllll
        311:process_vm_writev:wlllll 312:kcmp:wwwll 313:finit_module:wlw 314:sched_setattr:wlw
        315:sched_getattr:wlww 316:renameat2:wlwlw 317:seccomp:wwl 318:getrandom:llw 319:memfd_create:lw
        320:kexec_file_load:wwlll 321:bpf:wlw 322:execveat:wlllw 323:userfaultfd:w 324:membarrier:www
        325:mlock2:llw 326:copy_file_range:wlwllw 327:preadv2:lllllw 328:pwritev2:lllllw
        329:pkey_mprotect:lllw 330:pkey_alloc:ll 331:pkey_free:w 332:statx:wlwwl 333:io_pgetevents:llllll
        334:rseq:lwww 335:uretprobe: 336:uprobe: 424:pidfd_send_signal:wwlw 425:io_uring_setup:wl
        426:io_uring_enter:wwwwll 427:io_uring_register:wwlw 428:open_tree:wlw 429:move_mount:wlwlw
        430:fsopen:lw 431:fsconfig:wwllw 432:fsmount:www 433:fspick:wlw 434:pidfd_open:ww 435:clone3:ll
        436:close_range:www 437:openat2:wlll 438:pidfd_getfd:www 439:faccessat2:wlww
        440:process_madvise:wllww 441:epoll_pwait2:wlwlll 442:mount_setattr:wlwll 443:quotactl_fd:wwwl
        444:landlock_create_ruleset:llw 445:landlock_add_rule:wwlw 446:landlock_restrict_self:ww
        447:memfd_secret:w 448:process_mrelease:ww 449:futex_waitv:lwwlw 450:set_mempolicy_home_node:llll
        451:cachestat:wllw 452:fchmodat2:wlhw 453:map_shadow_stack:llw 454:futex_wake:llww
        455:futex_wait:lllwlw 456:futex_requeue:lwww 457:statmount:lllw 458:listmount:lllw
        459:lsm_get_self_attr:wllw 460:lsm_set_self_attr:wlww 461:lsm_list_modules:llw 462:mseal:lll
        463:setxattrat:wlwlll 464:getxattrat:wlwlll 465:listxattrat:wlwll 466:removexattrat:wlwl
        467:open_tree_attr:wlwll 468:file_getattr:wlllw 469:file_setattr:wlllw
        """
}
