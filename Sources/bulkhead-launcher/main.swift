// The small program between the supervisor and a handler. Its stdin is the supervisor's SEQPACKET socket.

import BulkheadLaunch
import CLinux
import Glibc

/// Resets what a thread of the supervisor may have left behind, then ignores what a terminal sends to everybody: as
/// long as there is a supervisor, only the end of its socket ends a launcher.
func resetSignals() {
    _ = clinux_reset_signals()
    for number in ignoredSignals { _ = signal(number, SIG_IGN) }
}

/// Moves the control socket away from fd 0, where the handler's stdin will be; nil if there is none.
func takeControlSocket() -> Int32? {
    var kind: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    let found = unsafe getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &kind, &size)
    guard found == 0, kind == Int32(SOCK_SEQPACKET.rawValue) else { return nil }
    let control = clinux_fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 64)
    guard control >= 0 else { return nil }
    var bytes = Int32(LaunchLimits.packetBytes)
    // Asks for room for the longest packet; the kernel's default has it too, unless it was lowered.
    _ = unsafe setsockopt(control, SOL_SOCKET, SO_SNDBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
    return control
}

/// Fills the numbers that a child gives away anew, 0 to 9, so that none of its sources lies there.
func reserveLowDescriptors() -> Bool {
    _ = close(STDIN_FILENO)
    var last: Int32 = 0
    while last >= 0, last < 10 { last = unsafe clinux_openat(AT_FDCWD, "/dev/null", O_RDWR, 0) }
    if last >= 10 { _ = close(last) }
    return last >= 10
}

func serve() -> Int32 {
    guard let control = takeControlSocket() else {
        complain("started by `bulkhead serve` and of no use by hand: stdin is not the supervisor's socket")
        return EX_USAGE
    }
    resetSignals()
    let childSignals = clinux_child_signal_descriptor()
    let endSignals = clinux_end_signal_descriptor()
    guard reserveLowDescriptors(), childSignals >= 0, endSignals >= 0, clinux_become_subreaper() == 0 else {
        complain("cannot set itself up: errno \(errno)")
        return EX_OSERR
    }
    // A wait for a child's filter is shorter than the lateness that is usual.
    _ = clinux_set_timer_slack(1)
    // Handlers of the same user may neither trace the launcher nor read its memory.
    _ = clinux_set_dumpable(false)
    // The launcher executes nothing but its children, so that it can give the set up for them once and for all.
    let boundingSet = clinux_drop_bounding_set()
    return Launcher(
        control: control,
        childSignals: Descriptor(childSignals),
        endSignals: Descriptor(endSignals),
        boundingSet: boundingSet
    ).run()
}

switch CommandLine.arguments.dropFirst().first {
case KeptNamespaces.mode:
    exit(NamespaceMaker.run(withUser: true))
case NamespaceProbe.mode:
    exit(NamespaceProbe.run())
default:
    exit(serve())
}
