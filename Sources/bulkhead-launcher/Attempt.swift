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
    var phase = Phase.launching
    /// Processes that could not be ended.
    var survivors: UInt32 = 0

    let spec: LaunchSpec
    let plan: ChildPlan
    let control: ControlSocket
    let tree: ProcessTree
    /// What was forked: the handler's process, or the one that starts it in its namespaces.
    let child: pid_t
    let drain: Drain
    let denials: DenialListener
    let budget: CPUBudget?
    var steps: StopSteps
    var status: Descriptor?
    /// Kept open to the end, such as the lock on the handler's user.
    private let held: Descriptor?
    /// Whether the child is about to install its filter and its pid is not known yet.
    var awaitsBirth = false
    var pendingStop: StopReason?
    /// Whether the handler may run, as the supervisor was told.
    var isExecuting = false
    var refusal: Refusal?
    var ending: Ending?
    var killedBySyscall: UInt32?
    var wallNanoseconds: UInt64 = 0
    var startedAt: UInt64 = 0
    /// The handler's process, from its exec on.
    var process: AttemptState.Process?
    var outcome: LaunchOutcome?
    /// What lived on when the handler exited by itself, once it is known.
    var leftBehind: LauncherMessage?
    var treeHasEnded = false
    var reapAgain = false

    var launchDeadline: UInt64?
    var timeoutDeadline: UInt64?
    var nextBudgetLook: UInt64?
    var nextPass: UInt64?
    var passPause: UInt64 = 1_000_000
    var sweepDeadline: UInt64 = .max
    var reapedAtLastPass = 0

    /// Forks the child of a spec.
    ///
    /// - Parameters:
    ///   - spec: What to run.
    ///   - stdin: The handler's stdin.
    ///   - held: What is kept open to the attempt's end.
    ///   - control: Where to report.
    ///   - boundingSet: What emptying the launcher's bounding set gave.
    ///   - kept: The namespaces that the launcher keeps.
    ///   - now: The time.
    /// - Throws: What could not be made before the fork, or the fork itself.
    init(
        spec: LaunchSpec,
        stdin: borrowing Descriptor,
        held: consuming Descriptor?,
        control: ControlSocket,
        boundingSet: Int32,
        kept: KeptNamespaces,
        now: UInt64
    )
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
        self.held = held
        self.control = control
        budget = CPUBudget(
            limitNanoseconds: spec.cpuNanoseconds,
            processors: sysconf(Int32(_SC_NPROCESSORS_ONLN))
        )
        steps = StopSteps(graceNanoseconds: spec.graceNanoseconds)
        denials = DenialListener(spec: spec, control: control)
        drain = try Drain(
            spec: spec,
            control: control,
            stdout: output.read,
            stderr: errors.read,
            events: events.read
        )
        try check(clinux_set_nonblocking(report.read.number), .fork, "the status pipe")
        let cgroups = try Self.openCgroups(spec.cgroup)
        defer { for file in cgroups { close(file) } }
        plan = ChildPlan(
            spec: spec,
            budget: budget,
            boundingSet: boundingSet,
            namespaces: try spec.namespaces.map { spec throws(Refusal) in try kept.enter(spec) } ?? (-1, -1),
            cgroups: cgroups,
            descriptors: [
                stdin.number, output.write.number, errors.write.number, events.write.number,
                report.write.number,
            ]
        )
        // Without a listener nothing holds the child up before its exec.
        if !spec.filter.hasListener {
            isExecuting = true
            control.send(.executing(attempt: spec.attempt))
        }
        child = try check(Self.start(plan), .fork, LaunchStage.fork.words)
        tree = ProcessTree(leader: spec.namespaces == nil ? child : nil)
        status = Optional(report.read)
        launchDeadline = now + LaunchLimits.launchNanoseconds
    }

    /// A function of its own: nothing that the caller owns is closed in the child, which never comes back from here.
    private static func start(_ plan: ChildPlan) -> pid_t {
        let child = clinux_fork()
        guard child == 0 else { return child }
        if let namespaces = plan.spec.namespaces {
            NamespaceStages(plan: plan, spec: namespaces).run { ChildStages.run(plan) }
        }
        ChildStages.run(plan)
    }

    private static func openCgroups(_ spec: CgroupSpec) throws(Refusal) -> [Int32] {
        var opened: [Int32] = []
        for path in spec.procs {
            let file = unsafe clinux_openat(AT_FDCWD, path, O_WRONLY, 0)
            guard file >= 0 else {
                for file in opened { close(file) }
                throw Refusal(stage: .cgroup, errno: -file, detail: path)
            }
            opened.append(file)
        }
        return opened
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
            deadlines += [
                denials.deadline, drain.resumption(after: now), treeHasEnded ? drain.endDeadline : nil,
            ]
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

    /// Takes the supervisor's word on the oldest event line; whether one was waiting for it.
    func acknowledgeEvent(_ meaning: EventMeaning) -> Bool {
        drain.acknowledgeEvent(meaning)
    }

    func acknowledge(_ stream: OutputStream, _ offset: UInt64) throws(WindowError) {
        try drain.acknowledge(stream, offset)
    }

    /// Ends the tree at once, with nobody to tell.
    func abandon(at now: UInt64) {
        guard phase != .reported else { return }
        drain.close()
        status = nil
        beginEnd(at: now)
        act(.kill, at: now)
        reap(at: now)
    }
}

/// What another supervisor is to hear.
extension Attempt {
    /// How it stands.
    func state(refusedVisitors: UInt64) -> AttemptState {
        let streams = [OutputStream.stdout, .stderr].map { stream in
            let window = drain.window(of: stream)
            return AttemptState.Stream(
                produced: window.produced,
                acknowledged: window.acknowledged,
                dropped: window.dropped
            )
        }
        return AttemptState(
            task: spec.task,
            attempt: number,
            process: process,
            stdout: streams[0],
            stderr: streams[1],
            refusedVisitors: refusedVisitors
        )
    }

    /// Everything that it has to say, from `started` on, without what is acknowledged.
    func report() -> [LauncherMessage] {
        var messages: [LauncherMessage] = []
        if let process {
            messages.append(.started(attempt: number, pid: process.pid, startTime: process.startTime))
        }
        if process == nil, isExecuting { messages.append(.executing(attempt: number)) }
        messages += denials.report()
        // Before the exec nothing of the handler's can be there.
        if process != nil { messages += drain.report() }
        if let leftBehind { messages.append(leftBehind) }
        if let end { messages.append(end) }
        return messages
    }

    /// The last message, once there is one.
    var end: LauncherMessage? {
        guard phase == .reported else { return nil }
        if let refusal {
            return .refused(
                attempt: number,
                stage: refusal.stage,
                errno: refusal.errno,
                detail: refusal.detail
            )
        }
        guard var outcome else { return nil }
        outcome.stdoutDroppedBytes = drain.window(of: .stdout).dropped
        outcome.stderrDroppedBytes = drain.window(of: .stderr).dropped
        outcome.eventLinesDropped = drain.events.dropped
        return .finished(attempt: number, outcome: outcome)
    }
}
