import BulkheadLaunch
import CLinux
import Glibc

/// The run and its end.
extension Attempt {
    func reap(at now: UInt64) {
        reapAgain = false
        // Until the launch is concluded the zombie is needed: its flags tell whether the exec took place.
        guard phase != .launching else { return }
        // Reaping it ends its process group as well.
        if phase == .running, steps.reason == nil, tree.leaderHasEnded() { tellWhatIsLeft() }
        while !treeHasEnded {
            switch tree.reap() {
            case .leader(let ending):
                leaderEnded(ending, at: now)
            case .none:
                treeEnded(at: now)
            case .busy:
                reapAgain = true
                return
            case .waiting:
                if tree.leaderIsReaped, nextPass == nil { act(.kill, at: now) }
                return
            }
        }
    }

    /// Says what a handler that ended by itself has left; of one that was stopped it is no wonder.
    func tellWhatIsLeft() {
        let processes = tree.others()
        guard processes > 0, leftBehind == nil else { return }
        let message = LauncherMessage.leftBehind(
            attempt: number,
            processes: UInt32(clamping: processes),
            holdsPipes: drain.isHeld
        )
        leftBehind = message
        control.send(message)
    }

    func leaderEnded(_ ending: Ending, at now: UInt64) {
        self.ending = ending
        guard phase == .running else { return }
        wallNanoseconds = now - startedAt
        beginEnd(at: now)
        // Most handlers leave nothing behind that would have to be killed: reaping tells.
        _ = steps.handle(.exited, at: now)
    }

    func beginEnd(at now: UInt64) {
        guard phase != .ending else { return }
        phase = .ending
        launchDeadline = nil
        sweepDeadline = now + LaunchLimits.sweepNanoseconds
        drain.beginEnd(at: now)
    }

    func act(_ action: StopSteps.Action?, at now: UInt64) {
        switch action {
        case .terminate:
            tree.terminate()
        case .kill:
            sweepDeadline = now + LaunchLimits.sweepNanoseconds
            writeCgroupKill()
            sweep(at: now)
        case nil:
            break
        }
    }

    func writeCgroupKill() {
        // With a pid namespace the kernel ends the tree by itself.
        guard let file = spec.cgroup.kill, tree.first == nil else { return }
        let result = writeSmallFile(file, "1")
        // The sweep ends the tree just as surely.
        if result < 0 { complain("cannot write \(file): errno \(-result)") }
    }

    /// A pass of SIGKILL, and the time of the next one should anything live on.
    func sweep(at now: UInt64) {
        guard !treeHasEnded else { return }
        tree.kill()
        nextPass = now + passPause
        passPause = min(passPause * 2, 50_000_000)
        // As long as anything ends it goes on; only what SIGKILL does not end is given up.
        if tree.reapedCount != reapedAtLastPass {
            reapedAtLastPass = tree.reapedCount
            sweepDeadline = now + LaunchLimits.sweepNanoseconds
        }
        guard now >= sweepDeadline, phase == .ending else { return }
        survivors = UInt32(clamping: tree.survivors())
        complain("\(survivors) processes of attempt \(number) do not end")
        treeEnded(at: now)
    }

    func treeEnded(at now: UInt64) {
        treeHasEnded = true
        tree.endSweep()
        nextPass = nil
        _ = steps.handle(.treeEnded, at: now)
    }

    func answerDenials(at now: UInt64) {
        guard case .end(let call) = denials.answer(handler: tree.leader) else { return }
        // The handler may have made the call before anybody has read that its launch succeeded.
        if phase == .launching { readStatus(at: now) }
        if phase == .launching, tree.leaderStat()?.hasExecuted == true { concludeLaunch(at: now) }
        guard phase != .launching else {
            let words = "\(spec.executable): the filter denies the launcher's own call \(call)"
            return refuse(Refusal(stage: .exec, errno: EPERM, detail: words), at: now)
        }
        let wasRunning = steps.phase == .running
        stop(.syscallDenied, at: now)
        if wasRunning, steps.reason == .syscallDenied { killedBySyscall = call }
    }

    func countProcessorTime(at now: UInt64) {
        guard let budget else { return }
        let used = tree.reapedNanoseconds + tree.livingNanoseconds()
        if budget.isExceeded(by: used) {
            nextBudgetLook = nil
            stop(.cpu, at: now)
        } else {
            nextBudgetLook = now + budget.pause(after: used)
        }
    }

    func reportIfDone(at now: UInt64) {
        guard treeHasEnded else { return }
        if refusal == nil {
            guard drain.finish(at: now) else { return }
            denials.tell(at: now, all: true)
            outcome = makeOutcome()
        }
        phase = .reported
        if let end { control.send(end) }
        denials.close()
        removeCgroups()
    }

    func makeOutcome() -> LaunchOutcome {
        // Without an exit status only a process that SIGKILL does not end is left.
        let ending = ending ?? .signaled(signal: SIGKILL)
        var outcome = LaunchOutcome(ending: ending, stop: steps.reason ?? processorTime(explaining: ending))
        outcome.killedBySyscall = killedBySyscall
        outcome.stdoutBytes = drain.window(of: .stdout).produced
        outcome.stderrBytes = drain.window(of: .stderr).produced
        outcome.drainIncomplete = drain.isIncomplete
        outcome.eventLinesTruncated = drain.lines.truncatedCount
        outcome.deniedTotal = denials.counts.total
        outcome.deniedUnnamed = denials.counts.unnamed
        outcome.oomKills = countOOMKills()
        outcome.survivors = survivors
        outcome.wallNanoseconds = wallNanoseconds
        outcome.userMicroseconds = tree.userMicroseconds
        outcome.systemMicroseconds = tree.systemMicroseconds
        outcome.maxRSSBytes = tree.maxRSSBytes
        return outcome
    }

    func processorTime(explaining ending: Ending) -> StopReason? {
        guard let budget else { return nil }
        let used = tree.reapedNanoseconds
        return budget.explains(ending, usedNanoseconds: used, xcpu: SIGXCPU, kill: SIGKILL) ? .cpu : nil
    }

    func countOOMKills() -> UInt64 {
        guard let oom = spec.cgroup.oom else { return 0 }
        guard let content = smallFile(oom.path, ReadBuffer(capacity: 4096)) else {
            complain("cannot read \(oom.path): errno \(errno)")
            return 0
        }
        return CgroupOOM.kills(in: content[...])
    }

    /// A group whose last process has just been reaped can be busy for a moment.
    func removeCgroups() {
        for folder in spec.cgroup.folders {
            var tries = 0
            while unsafe rmdir(folder) != 0, errno != ENOENT {
                guard errno == EBUSY, tries < 20 else {
                    complain("cannot remove \(folder): errno \(errno)")
                    break
                }
                tries += 1
                usleep(1000)
            }
        }
    }
}
