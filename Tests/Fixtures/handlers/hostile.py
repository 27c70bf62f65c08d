#!/usr/bin/env python3
"""Tries what its params name, one attempt a line, and prints what became of each.

An attempt that the kernel has carried out prints "done"; any other prints the errno's name. Where a call would
harm if it were let through, its arguments are nonsense, so that the kernel's answer tells whether it was reached.
"""
import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import resource
import signal
import socket
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
X86 = platform.machine() == "x86_64"
BAD = 1  # an address that nobody has mapped

# x86-64, aarch64; None where there is no such call.
NUMBERS = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "kill": (62, 129), "tgkill": (234, 131), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "unshare": (272, 97), "setns": (308, 268), "clone": (56, 220), "clone3": (435, 435),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "bpf": (321, 280), "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "perf_event_open": (298, 241), "memfd_create": (319, 279),
    "mount": (165, 40), "umount2": (166, 39), "fsopen": (430, 430), "fsmount": (432, 432),
    "move_mount": (429, 429), "open_tree": (428, 428), "mount_setattr": (442, 442),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "reboot": (169, 142), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "swapon": (167, 224), "swapoff": (168, 225), "syslog": (103, 116),
    "iopl": (172, None), "ioperm": (173, None), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162),
    "acct": (163, 89), "quotactl": (179, 60), "mknodat": (259, 33), "fanotify_init": (300, 262),
    "lookup_dcookie": (212, 18), "nfsservctl": (180, 42), "personality": (135, 92), "kcmp": (312, 272),
    "process_madvise": (440, 440), "move_pages": (279, 239), "migrate_pages": (256, 238),
    "mbind": (237, 235), "vhangup": (153, 58), "setuid": (105, 146), "setresuid": (117, 147),
    "setgroups": (116, 159), "capset": (126, 91), "seccomp": (317, 277),
}


def raw(number, *arguments):
    ctypes.set_errno(0)
    padded = [ctypes.c_long(value) for value in arguments] + [ctypes.c_long(0)] * (6 - len(arguments))
    returned = libc.syscall(ctypes.c_long(number), *padded)
    if returned < 0:
        raise OSError(ctypes.get_errno(), "")
    return returned


def call(name, *arguments):
    number = NUMBERS[name][0 if X86 else 1]
    if number is None:
        raise OSError(errno.ENOSYS, "")
    return raw(number, *arguments)


def sock(family, kind, protocol=0):
    socket.socket(family, kind, protocol).close()


def touch(path):
    with open(path, "w") as file:
        file.write("x")


def connect(address):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(address)


def datagram(path):
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.sendto(b"x", path)


def execute_memory():
    """memfd_create, and the program in it executed by its descriptor."""
    file = os.memfd_create("program")
    with open("/bin/true", "rb") as program:
        os.write(file, program.read())
    child = os.fork()
    if child == 0:
        try:
            os.execve(file, ["true"], {})
        except OSError as error:
            os._exit(error.errno)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        raise OSError(status, "")


def interrupt_80(number):
    """An i386 entry from 64-bit code: mov eax, number; int 0x80; ret."""
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(b"\xb8" + struct.pack("<I", number) + b"\xcd\x80\xc3")
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    ctypes.CFUNCTYPE(ctypes.c_long)(address)()


def own_listener():
    """A filter of the handler's own whose notifications it would answer itself (SECCOMP_FILTER_FLAG_NEW_LISTENER)."""
    allow = struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000)
    program = ctypes.create_string_buffer(allow)
    head = struct.pack("<HxxxxxxQ", 1, ctypes.addressof(program))
    call("seccomp", 1, 1 << 3, ctypes.addressof(ctypes.create_string_buffer(head)))


def setuid_program(path):
    """What a setuid root program finds its effective user to be; its own is done where that is root."""
    import subprocess
    found = subprocess.run([path], capture_output=True, text=True)
    if "euid=0" not in found.stdout and os.geteuid() != 0:
        raise OSError(errno.EPERM, "")


def core_dump():
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        raise OSError(errno.EPERM, "")


def execute_file():
    """A program that the handler has written, executed in its own place."""
    copy = os.open("program", os.O_CREAT | os.O_WRONLY, 0o755)
    with open("/bin/true", "rb") as program:
        os.write(copy, program.read())
    os.close(copy)
    os.execve("./program", ["program"], {})


def is_set(name):
    if name not in os.environ:
        raise OSError(errno.ENOENT, "")


def open_many(count):
    files = []
    try:
        for _ in range(count):
            files.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for file in files:
            os.close(file)


def write_many(count):
    try:
        for number in range(count):
            os.close(os.open(f"many-{number}", os.O_CREAT | os.O_WRONLY))
    finally:
        for name in os.listdir("."):
            if name.startswith("many-"):
                os.remove(name)


def write_large(size):
    try:
        with open("large", "wb", buffering=0) as file:
            while file.tell() < size:
                file.write(bytes(1 << 16))
    finally:
        os.remove("large")


def write_sparse(size):
    with open("sparse", "wb") as file:
        os.truncate(file.fileno(), size)


def start_threads(count):
    import threading
    end = threading.Event()
    threads = [threading.Thread(target=end.wait) for _ in range(count)]
    started = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
    except RuntimeError:
        raise OSError(errno.EAGAIN, "") from None
    finally:
        end.set()
        for thread in started:
            thread.join()


def start_children(count):
    children = []
    try:
        for _ in range(count):
            child = os.fork()
            if child == 0:
                signal.pause()
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def spin():
    while True:
        pass


ATTEMPTS = {
    "read": lambda path: open(path, "rb").read(1),
    "list": lambda path: os.listdir(path),
    "write": touch,
    "truncate": lambda path: os.truncate(path, 0),
    "remove": os.remove,
    "link": lambda path: os.link(path, "linked"),
    "connect": connect,
    "abstract": lambda name: connect("\0" + name),
    "datagram": datagram,
    "tcp": lambda port: socket.create_connection(("127.0.0.1", port), 1).close(),
    "udp": lambda port: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port)),
    "socket": lambda family, kind=1, protocol=0: sock(family, kind, protocol),
    "signal": lambda pid: os.kill(pid, 0),
    "kill": lambda pid: os.kill(pid, signal.SIGKILL),
    "tgkill": lambda pid: call("tgkill", pid, pid, signal.SIGKILL),
    "tkill": lambda pid: call("tkill", pid, signal.SIGKILL),
    "queue": lambda pid: call("rt_sigqueueinfo", pid, signal.SIGKILL, BAD),
    "pidfd": lambda pid: signal.pidfd_send_signal(os.pidfd_open(pid), 0),
    "pidfd-getfd": lambda pid: call("pidfd_getfd", os.pidfd_open(pid), 0, 0),
    "ptrace-attach": lambda pid: call("ptrace", 0x4206, pid, 0, 0),
    "poke": lambda pid: call("process_vm_writev", pid, BAD, 1, BAD, 1, 0),
    "peek": lambda pid: call("process_vm_readv", pid, BAD, 1, BAD, 1, 0),
    "unshare-user": lambda: call("unshare", 0x10000000),
    "clone-user": lambda: call("clone", 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0),
    "clone3-user": lambda: call("clone3", BAD, 88),
    "tiocsti": lambda request: fcntl.ioctl(sys.stdin.fileno(), 0x5412, b"x") if request == 0x5412
    else call_ioctl(request),
    "call": lambda name, *arguments: call(name, *(arguments or (BAD, BAD, BAD, BAD, BAD, BAD))),
    "number": raw,
    "fexecve": execute_memory,
    "exec-file": execute_file,
    "is-set": is_set,
    "open-many": open_many,
    "write-many": write_many,
    "write-large": write_large,
    "write-sparse": write_sparse,
    "threads": start_threads,
    "children": start_children,
    "memory": lambda size: bytes(b"x" * size),
    "spin": spin,
    "int80": interrupt_80,
    "own-listener": own_listener,
    "setuid-program": setuid_program,
    "core": core_dump,
}


def call_ioctl(request):
    raw(16 if X86 else 29, 0, request, BAD)


def main():
    sys.stdout.reconfigure(line_buffering=True)
    for name, *arguments in json.load(sys.stdin)["params"]:
        try:
            ATTEMPTS[name](*arguments)
            outcome = "done"
        except OSError as error:
            outcome = errno.errorcode.get(error.errno, str(error))
        print(outcome)


main()
