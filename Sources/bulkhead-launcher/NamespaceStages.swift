import BulkheadLaunch
import CLinux
import Glibc

/// The way from the fork into the attempt's namespaces, for a process between launcher and handler.
///
/// It enters and makes the namespaces and starts two children of the launcher's: the first process of the new pid
/// namespace, which lays out the files and then only reaps, and the handler's. So the launcher sees the handler's
/// exit itself, and whatever else there is ends with the first process.
struct NamespaceStages {
    private let plan: ChildPlan
    private let spec: NamespaceSpec

    init(plan: ChildPlan, spec: NamespaceSpec) {
        self.plan = plan
        self.spec = spec
    }

    /// Starts the two processes and ends.
    ///
    /// - Parameter handler: What the handler's process does.
    func run(handler: () -> Never) -> Never {
        umask(0)
        enterNamespaces()
        // Only now: entering a user namespace clears it.
        step(.unshare, clinux_set_parent_death_signal(SIGKILL))
        let launcher = clinux_pidfd_open(plan.launcher)
        step(.firstProcess, launcher)
        // Else the number may be another's already.
        if getppid() != plan.launcher { _exit(127) }
        let first = startFirstProcess(launcher: launcher)
        if getppid() != plan.launcher {
            // The launcher may have died before the first process asked to die with it.
            _ = kill(first, SIGKILL)
            _exit(127)
        }
        let child = clinux_fork_sibling()
        if child == 0 { handler() }
        step(.handler, child)
        plan.report(.born(first: first, handler: child))
        _exit(0)
    }

    private func enterNamespaces() {
        if plan.userNamespace >= 0 { step(.user, clinux_setns(plan.userNamespace, clinux_new_user)) }
        if plan.networkNamespace >= 0 {
            step(.network, clinux_setns(plan.networkNamespace, clinux_new_network))
        }
        var new = clinux_new_processes
        if spec.hasIPC { new |= clinux_new_ipc }
        if spec.mounts != nil { new |= clinux_new_mounts }
        step(.unshare, clinux_unshare(new))
    }

    /// Waits until the files are laid out: the handler's process is to begin with them.
    private func startFirstProcess(launcher: Int32) -> pid_t {
        var ready: (read: Int32, write: Int32) = (-1, -1)
        let made = unsafe withUnsafeMutableBytes(of: &ready) { raw in
            unsafe clinux_pipe(raw.assumingMemoryBound(to: Int32.self).baseAddress, 0)
        }
        step(.firstProcess, made)
        let first = clinux_fork_sibling()
        if first == 0 { FirstProcess(plan: plan, spec: spec, launcher: launcher, ready: ready.write).run() }
        step(.firstProcess, first)
        _ = close(ready.write)
        var byte: UInt8 = 0
        // Where it has ended it has told why.
        if unsafe read(ready.read, &byte, 1) != 1 { _exit(127) }
        _ = close(ready.read)
        return first
    }

    private func step(_ step: NamespaceStep, _ result: Int32) {
        if result < 0 { plan.fail(step, -result) }
    }
}

/// The first process of a pid namespace: ours, outside the handler's limits, file rules and filter.
struct FirstProcess {
    let plan: ChildPlan
    let spec: NamespaceSpec
    /// A pidfd of the launcher, whose number means nothing in here.
    let launcher: Int32
    /// Where to say that the files are laid out.
    let ready: Int32

    /// Lays out the files, then reaps until it is killed, by the launcher or at its end.
    func run() -> Never {
        dieWithLauncher()
        if let mounts = spec.mounts {
            var stages = MountStages(plan: plan, spec: mounts)
            stages.run()
        }
        // Opening files as the handler's user has cleared both (commit_creds in kernel/cred.c).
        dieWithLauncher()
        // What the handler sees of it.
        unsafe clinux_set_name("init")
        // Nothing of the launcher's or the handler's is held open from here.
        _ = clinux_duplicate_to(ready, 0)
        _ = clinux_close_range(1, .max)
        var byte: UInt8 = 1
        // Nobody reads it where the process in between died with the launcher.
        if unsafe write(0, &byte, 1) != 1 { _exit(127) }
        _ = close(0)
        clinux_reap_forever()
    }

    private func dieWithLauncher() {
        let set = clinux_set_parent_death_signal(SIGKILL)
        if set < 0 { plan.fail(.firstProcess, -set) }
        _ = clinux_set_dumpable(false)
        // It may have died before the signal was asked for.
        var entry = pollfd(fd: launcher, events: Int16(POLLIN), revents: 0)
        if unsafe clinux_poll(&entry, 1, 0) != 0 { _exit(127) }
    }
}
