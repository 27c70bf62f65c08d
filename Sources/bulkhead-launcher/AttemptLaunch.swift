import BulkheadLaunch
import CLinux
import Glibc

/// The launch.
extension Attempt {
    func readStatus(at now: UInt64) {
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

    func take(_ report: ChildReport) throws(Refusal) {
        switch report {
        case .installing:
            // The two processes that write to the pipe do so in any order.
            guard let leader = tree.leader else { return awaitsBirth = true }
            try adoptListener(of: leader)
        case .born(let first, let handler):
            tree.bear(first: first, leader: handler)
            // It is about to end, and counts as long as it is not reaped.
            if spec.namespaces?.processes != nil { tree.reap(child) }
            if awaitsBirth { try adoptListener(of: handler) }
        case .failed(let stage, let errno, let item):
            refusal = Refusal(stage: stage, errno: errno, detail: detail(of: stage, errno, item))
        }
    }

    /// The listener is in the child's table a moment after its report, at a number that is known beforehand.
    func adoptListener(of child: pid_t) throws(Refusal) {
        guard let listener = try fetchListener(of: child) else { return }
        denials.adopt(Descriptor(listener))
        // The child waits for an answer to its filter's call, which comes after this.
        sayExecuting()
    }

    /// - Returns: The listener; nil if the child has ended, of which it has reported the cause.
    func fetchListener(of child: pid_t) throws(Refusal) -> Int32? {
        let words = LaunchStage.listener.words
        let held = Descriptor(try check(clinux_pidfd_open(child), .listener, words))
        let giveUpAt = monotonicNow() + 2_000_000_000
        while true {
            let fetched = clinux_pidfd_getfd(held.number, ChildStages.listenerPlace)
            if fetched >= 0 { return fetched }
            if fetched == -ESRCH || tree.leaderHasEnded() { return nil }
            guard fetched == -EBADF, monotonicNow() < giveUpAt else {
                throw Refusal(stage: .listener, errno: -fetched, detail: words)
            }
            usleep(20)
        }
    }

    /// Says that from here on the handler may run.
    func sayExecuting() {
        isExecuting = true
        control.send(.executing(attempt: number))
    }

    /// The status pipe is closed: by the exec, or by the child's end before it.
    func concludeLaunch(at now: UInt64) {
        status = nil
        launchDeadline = nil
        if let refusal {
            refuse(refusal, at: now)
        } else if let leader = tree.leader, let stat = tree.leaderStat(), stat.hasExecuted {
            begin(leader, startTime: stat.startTime, at: now)
        } else {
            refuse(endBeforeExec(), at: now)
        }
    }

    /// Why the child ended without a word before its exec: only a signal does that.
    ///
    /// EINTR is somebody's kill, after which the same launch may well succeed. What its own group's memory limit, the
    /// filter or a fault ends would end again.
    func endBeforeExec() -> Refusal {
        let words = "\(spec.executable): the process ended before it could be executed"
        guard case .signaled(let signal) = tree.leaderEnding() else {
            return Refusal(stage: .exec, errno: ECANCELED, detail: words)
        }
        guard countOOMKills() == 0 else {
            return Refusal(stage: .exec, errno: ECANCELED, detail: words + ", by its memory limit")
        }
        let isKill = [SIGKILL, SIGTERM, SIGINT, SIGQUIT, SIGHUP].contains(signal)
        return Refusal(
            stage: .exec,
            errno: isKill ? EINTR : ECANCELED,
            detail: words + ", by signal \(signal)"
        )
    }

    func begin(_ leader: pid_t, startTime: UInt64, at now: UInt64) {
        phase = .running
        startedAt = now
        if spec.timeoutNanoseconds > 0 {
            let (sum, overflow) = now.addingReportingOverflow(spec.timeoutNanoseconds)
            timeoutDeadline = overflow ? nil : sum
        }
        nextBudgetLook = budget.map { now + $0.pause(after: 0) }
        process = AttemptState.Process(pid: leader, startTime: startTime)
        control.send(.started(attempt: number, pid: leader, startTime: startTime))
        reap(at: now)
        if let pendingStop { stop(pendingStop, at: now) }
    }

    func failLaunch(at now: UInt64) {
        refuse(Refusal(stage: .exec, errno: ETIMEDOUT, detail: spec.executable), at: now)
    }

    func refuse(_ why: Refusal, at now: UInt64) {
        // A child that told why, and whose listener could not be had after that, has told the cause.
        refusal = refusal ?? why
        status = nil
        drain.close()
        beginEnd(at: now)
        act(.kill, at: now)
        reap(at: now)
    }

    func detail(of stage: LaunchStage, _ errno: Int32, _ item: UInt32) -> String {
        let subject = plan.subject(of: stage, item: item)
        guard stage == .exec, errno == ENOENT, unsafe access(spec.executable, F_OK) == 0 else {
            return subject
        }
        return "\(subject): its interpreter does not exist"
    }
}
