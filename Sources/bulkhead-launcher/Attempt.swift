import BulkheadLaunch
import CLinux
import Glibc

/// One attempt, from its fork to its acknowledged end.
final class Attempt {
    /// Where it stands; it never goes back.
    enum Phase {
        /// Forked; leaves by a successful exec (to running) or a failed step (to ending).
        case launching
        /// The handler runs; leaves by its exit, to ending.
        case running
        /// The tree is being ended and the pipes drained; leaves when both are done, to reported.
        case ending
        /// `finished` or `refused` is sent. Leaves by the acknowledgement, which forgets the attempt.
        case reported
    }

    let number: UInt64
    private(set) var phase = Phase.launching
    /// Processes that could not be ended.
    private(set) var survivors: UInt32 = 0

    private let spec: LaunchSpec
    private let plan: ChildPlan
    private let control: ControlSocket
    private let tree: ProcessTree
    private let drain: Drain
    private let denials: DenialListener
    private let budget: CPUBudget?
    private var steps: StopSteps
    private var status: Descriptor?
    private var pendingStop: StopReason?
    private var refusal: Refusal?
    private var ending: Ending?
    private var killedBySyscall: UInt32?
    private var wallNanoseconds: UInt64 = 0
    private var startedAt: UInt64 = 0
    private var treeHasEnded = false
    private var reapAgain = false

    private var launchDeadline: UInt64?
    private var timeoutDeadline: UInt64?
    private var nextBudgetLook: UInt64?
    private var nextPass: UInt64?
    private var passPause: UInt64 = 1_000_000
    private var sweepDeadline: UInt64 = .max

    /// Forks the child of a spec.
    ///
    /// - Parameters:
    ///   - spec: What to run.
    ///   - stdin: The handler's stdin.
    ///   - control: Where to report.
    ///   - boundingSet: What emptying the launcher's bounding set gave.
    ///   - now: The time.
    /// - Throws: What could not be made before the fork, or the fork itself.
    init(spec: LaunchSpec, stdin: borrowing Descriptor, control: ControlSocket, boundingSet: Int32, now: UInt64)
        throws(Refusal)
    {
        let output = try Pipe("the pipe of stdout")
        let errors = try Pipe("the pipe of stderr")
        let events = try Pipe("the event pipe")
        let report = try Pipe("the status pipe")
        // A refusal leaves the kernel's default size, which works as well.
        for end in [output.read.number, errors.read.number] {
            _ = clinux_set_pipe_size(end, Int32(LaunchLimits.pipeBytes))
        }
        number = spec.attempt
        self.spec = spec
        self.control = control
        budget = CPUBudget(limitNanoseconds: spec.cpuNanoseconds, processors: sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        steps = StopSteps(graceNanoseconds: spec.graceNanoseconds)
        denials = DenialListener(spec: spec, control: control)
        drain = try Drain(spec: spec, control: control, stdout: output.read, stderr: errors.read, events: events.read)
        try check(clinux_set_nonblocking(report.read.number), .fork, "the status pipe")
        plan = ChildPlan(
            spec: spec,
            budget: budget,
            boundingSet: boundingSet,
            descriptors: [
                stdin.number, output.write.number, errors.write.number, events.write.number, report.write.number,
            ]
        )
        let child = clinux_fork()
        if child == 0 {
            var stages = ChildStages(plan: plan)
            stages.run()
        }
        tree = ProcessTree(leader: try check(child, .fork, LaunchStage.fork.words))
        status = Optional(report.read)
        launchDeadline = now + LaunchLimits.launchNanoseconds
    }

    /// Asks to be woken by everything that concerns the attempt now.
    func watch(_ poll: inout PollSet, at now: UInt64) {
        if let number = status?.number { poll.watch(.status, number) }
        if let number = denials.number { poll.watch(.listener, number) }
        if phase == .running || phase == .ending { drain.watch(&poll, at: now) }
    }

    /// When it must be woken at the latest.
    func deadline(after now: UInt64) -> UInt64? {
        if reapAgain { return now }
        var deadlines = [launchDeadline, steps.deadline, nextPass]
        if phase == .running { deadlines += [timeoutDeadline, nextBudgetLook] }
        if phase == .running || phase == .ending {
            deadlines += [denials.deadline, drain.resumption(after: now), treeHasEnded ? drain.endDeadline : nil]
        }
        return deadlines.compactMap(\.self).min()
    }

    /// Takes what is ready.
    func handle(_ poll: borrowing PollSet, at now: UInt64) {
        // The exec comes before the handler's first call: a call that is denied while the launch still counts as
        // going on shows that its end is only waiting to be read.
        let mayHaveStarted = phase == .launching && poll.isReady(.listener)
        if poll.isReady(.status) || mayHaveStarted { readStatus(at: now) }
        if poll.isReady(.listener) { answerDenials(at: now) }
        if poll.isReady(.children) || reapAgain { reap(at: now) }
        if phase == .running || phase == .ending { drain.read(poll, at: now) }
    }

    /// Does what is due.
    func tick(at now: UInt64) {
        if phase == .running || phase == .ending { denials.tell(at: now) }
        if let deadline = launchDeadline, now >= deadline { failLaunch(at: now) }
        if phase == .running {
            if let deadline = timeoutDeadline, now >= deadline {
                timeoutDeadline = nil
                stop(.timeout, at: now)
            }
            if let look = nextBudgetLook, now >= look { countProcessorTime(at: now) }
        }
        act(steps.handle(.deadline, at: now), at: now)
        if let pass = nextPass, now >= pass { sweep(at: now) }
        if phase == .ending { reportIfDone(at: now) }
    }

    /// Stops it; a stop that comes before the exec waits for that.
    func stop(_ reason: StopReason, at now: UInt64) {
        switch phase {
        case .launching:
            pendingStop = pendingStop ?? reason
        case .running:
            // An exit that came before the stop counts as itself, also when nobody has looked yet.
            if tree.leaderHasEnded() { reap(at: now) }
            if phase == .running { act(steps.handle(.stop(reason), at: now), at: now) }
        case .ending, .reported:
            break
        }
    }

    func acknowledge(_ stream: OutputStream, _ offset: UInt64) throws(WindowError) {
        try drain.acknowledge(stream, offset)
    }

    /// The supervisor has gone: ends the tree at once, with nobody to tell.
    func abandon(at now: UInt64) {
        guard phase != .reported else { return }
        drain.close()
        status = nil
        beginEnd(at: now)
        act(.kill, at: now)
        reap(at: now)
    }
}

/// The launch.
extension Attempt {
    private func readStatus(at now: UInt64) {
        guard let number = status?.number else { return }
        var bytes = [UInt8](repeating: 0, count: 8 * ChildReport.size)
        let count = unsafe read(number, &bytes, bytes.count)
        if count < 0 { return }
        guard count > 0 else {
            concludeLaunch(at: now)
            return
        }
        do {
            for report in try ChildReport.reports(in: bytes[..<count]) { try take(report) }
        } catch let error as Refusal {
            refuse(error, at: now)
        } catch {
            refuse(Refusal(stage: .fork, errno: EPROTO, detail: "\(error)"), at: now)
        }
    }

    private func take(_ report: ChildReport) throws(Refusal) {
        switch report {
        case .installing:
            if let listener = try fetchListener() { denials.adopt(Descriptor(listener)) }
        case .failed(let stage, let errno, let item):
            refusal = Refusal(stage: stage, errno: errno, detail: detail(of: stage, errno, item))
        }
    }

    /// The listener is in the child's table a moment after its report, at a number that is known beforehand.
    ///
    /// - Returns: The listener; nil if the child has ended, of which it has reported the cause.
    private func fetchListener() throws(Refusal) -> Int32? {
        let words = LaunchStage.listener.words
        let held = Descriptor(try check(clinux_pidfd_open(tree.leader), .listener, words))
        let giveUpAt = monotonicNow() + 2_000_000_000
        while true {
            let fetched = clinux_pidfd_getfd(held.number, ChildStages.listenerPlace)
            if fetched >= 0 { return fetched }
            if tree.leaderHasEnded() { return nil }
            guard fetched == -EBADF, monotonicNow() < giveUpAt else {
                throw Refusal(stage: .listener, errno: -fetched, detail: words)
            }
            usleep(20)
        }
    }

    /// The status pipe is closed: by the exec, or by the child's end before it.
    private func concludeLaunch(at now: UInt64) {
        status = nil
        launchDeadline = nil
        if let refusal {
            refuse(refusal, at: now)
        } else if let stat = tree.leaderStat(), stat.hasExecuted {
            begin(startTime: stat.startTime, at: now)
        } else {
            let words = "\(spec.executable): the process ended before it could be executed"
            refuse(Refusal(stage: .exec, errno: ECANCELED, detail: words), at: now)
        }
    }

    private func begin(startTime: UInt64, at now: UInt64) {
        phase = .running
        startedAt = now
        if spec.timeoutNanoseconds > 0 {
            let (sum, overflow) = now.addingReportingOverflow(spec.timeoutNanoseconds)
            timeoutDeadline = overflow ? nil : sum
        }
        nextBudgetLook = budget.map { now + $0.pause(after: 0) }
        control.send(.started(attempt: number, pid: tree.leader, startTime: startTime))
        reap(at: now)
        if let pendingStop { stop(pendingStop, at: now) }
    }

    private func failLaunch(at now: UInt64) {
        refuse(Refusal(stage: .exec, errno: ETIMEDOUT, detail: spec.executable), at: now)
    }

    private func refuse(_ why: Refusal, at now: UInt64) {
        // A child that told why, and whose listener could not be had after that, has told the cause.
        refusal = refusal ?? why
        status = nil
        drain.close()
        beginEnd(at: now)
        act(.kill, at: now)
        reap(at: now)
    }

    private func detail(of stage: LaunchStage, _ errno: Int32, _ item: UInt32) -> String {
        let subject = plan.subject(of: stage, item: item)
        guard stage == .exec, errno == ENOENT, unsafe access(spec.executable, F_OK) == 0 else { return subject }
        return "\(subject): its interpreter does not exist"
    }
}

/// The run and its end.
extension Attempt {
    private func reap(at now: UInt64) {
        reapAgain = false
        // Until the launch is concluded the zombie is needed: its flags tell whether the exec took place.
        guard phase != .launching else { return }
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

    private func leaderEnded(_ ending: Ending, at now: UInt64) {
        self.ending = ending
        guard phase == .running else { return }
        wallNanoseconds = now - startedAt
        beginEnd(at: now)
        // Most handlers leave nothing behind that would have to be killed: reaping tells.
        _ = steps.handle(.exited, at: now)
    }

    private func beginEnd(at now: UInt64) {
        guard phase != .ending else { return }
        phase = .ending
        launchDeadline = nil
        sweepDeadline = now + LaunchLimits.sweepNanoseconds
        drain.beginEnd(at: now)
    }

    private func act(_ action: StopSteps.Action?, at now: UInt64) {
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

    private func writeCgroupKill() {
        guard let file = spec.cgroup.kill else { return }
        let result = writeSmallFile(file, "1")
        // The sweep ends the tree just as surely.
        if result < 0 { complain("cannot write \(file): errno \(-result)") }
    }

    /// A pass of SIGKILL, and the time of the next one should anything live on.
    private func sweep(at now: UInt64) {
        guard !treeHasEnded else { return }
        tree.kill()
        nextPass = now + passPause
        passPause = min(passPause * 2, 50_000_000)
        guard now >= sweepDeadline, phase == .ending else { return }
        survivors = UInt32(clamping: tree.survivors())
        complain("\(survivors) processes of attempt \(number) do not end")
        treeEnded(at: now)
    }

    private func treeEnded(at now: UInt64) {
        treeHasEnded = true
        nextPass = nil
        _ = steps.handle(.treeEnded, at: now)
    }

    private func answerDenials(at now: UInt64) {
        guard case .end(let call) = denials.answer(handler: tree.leader) else { return }
        guard phase != .launching else {
            let words = "\(spec.executable): the filter denies the launcher's own call \(call)"
            return refuse(Refusal(stage: .exec, errno: EPERM, detail: words), at: now)
        }
        let wasRunning = steps.phase == .running
        stop(.syscallDenied, at: now)
        if wasRunning, steps.reason == .syscallDenied { killedBySyscall = call }
    }

    private func countProcessorTime(at now: UInt64) {
        guard let budget else { return }
        let used = tree.reapedNanoseconds + tree.livingNanoseconds()
        if budget.isExceeded(by: used) {
            nextBudgetLook = nil
            stop(.cpu, at: now)
        } else {
            nextBudgetLook = now + budget.pause(after: used)
        }
    }

    private func reportIfDone(at now: UInt64) {
        guard treeHasEnded else { return }
        if let refusal {
            control.send(
                .refused(attempt: number, stage: refusal.stage, errno: refusal.errno, detail: refusal.detail)
            )
        } else {
            guard drain.finish(at: now) else { return }
            denials.tell(at: now, all: true)
            control.send(.finished(attempt: number, outcome: outcome()))
        }
        phase = .reported
        denials.close()
        removeCgroups()
    }

    private func outcome() -> LaunchOutcome {
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

    private func processorTime(explaining ending: Ending) -> StopReason? {
        guard let budget else { return nil }
        let used = tree.reapedNanoseconds
        return budget.explains(ending, usedNanoseconds: used, xcpu: SIGXCPU, kill: SIGKILL) ? .cpu : nil
    }

    private func countOOMKills() -> UInt64 {
        guard let oom = spec.cgroup.oom else { return 0 }
        guard let content = smallFile(oom.path, ReadBuffer(capacity: 4096)) else {
            complain("cannot read \(oom.path): errno \(errno)")
            return 0
        }
        return CgroupOOM.kills(in: content[...])
    }

    /// A group whose last process has just been reaped can be busy for a moment.
    private func removeCgroups() {
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
