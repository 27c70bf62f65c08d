import BulkheadLaunch
import Glibc

/// Life without a supervisor.
extension Launcher {
    /// What has ended and waits for its acknowledgement: the attempt, or one that never began.
    var endedAttempt: (number: UInt64, task: String)? {
        if let refused { return (refused.number, refused.task) }
        return attempt.flatMap { $0.phase == .reported ? ($0.number, $0.spec.task) : nil }
    }

    func supervisorHasGone(_ status: Int32, at now: UInt64) {
        guard leaving == nil, solitude == nil else { return }
        guard door != nil, attempt != nil || refused != nil else { return leave(status, at: now) }
        solitude = Solitude()
        attempt?.drain.attend(false)
    }

    /// Ends with the machine, or with the unit of launchers and tasks.
    ///
    /// A handler that is ended for this has not ended by itself: it is stopped as by a supervisor that stops, and what
    /// becomes of its task is for the next. With a supervisor it is that one's to say.
    func askedToEnd(at now: UInt64) {
        _ = buffer.read(endSignals.number, limit: buffer.capacity)
        // It may have gone already, without anybody having looked.
        if !control.isClosed { serveControl(at: now) }
        if control.isClosed, solitude == nil { supervisorHasGone(0, at: now) }
        guard solitude != nil else { return }
        solitude?.isAskedToEnd = true
        attempt?.stop(.supervisorStop, at: now)
    }

    func liveAlone(at now: UInt64) {
        if let guest = door?.serve(poll, state: state, at: now) { return welcome(guest, at: now) }
        guard let ended = endedAttempt else { return }
        if solitude?.wantsRecord(at: now) == true {
            let record = OutcomeRecord(task: ended.task, attempt: ended.number, messages: report)
            let failure = door?.leave(record) ?? -EINVAL
            if failure != 0 { complain("the outcome cannot be recorded: errno \(-failure)") }
            solitude?.tried(succeeded: failure == 0, at: now)
        }
        if solitude?.wantsLook(at: now) == true, door?.isForgotten == true {
            // A supervisor knows the outcome, as when the one before had committed it and did not live to say so.
            refused = nil
            return leave(0, at: now)
        }
        if solitude?.isOver(at: now) == true {
            if solitude?.isAskedToEnd == false {
                complain("no supervisor came for the outcome of attempt \(ended.number)")
            }
            refused = nil
            leave(0, at: now)
        }
    }

    private func welcome(_ guest: Door.Guest, at now: UInt64) {
        control.reopen(guest.descriptor)
        solitude = nil
        do {
            try attempt?.acknowledge(.stdout, guest.stdout)
            try attempt?.acknowledge(.stderr, guest.stderr)
        } catch {
            return reject("a resumption beyond what was produced: \(error)", at: now)
        }
        attempt?.drain.attend(true)
        for message in report { control.send(message) }
    }

    private var report: [LauncherMessage] {
        if let refused { return [refused.message] }
        return attempt?.report() ?? []
    }

    private var state: AttemptState {
        let refusals = door?.refusedVisitors ?? 0
        if let attempt { return attempt.state(refusedVisitors: refusals) }
        let nothing = AttemptState.Stream(produced: 0, acknowledged: 0, dropped: 0)
        return AttemptState(
            task: refused?.task ?? "",
            attempt: refused?.number ?? 0,
            process: nil,
            stdout: nothing,
            stderr: nothing,
            refusedVisitors: refusals
        )
    }
}
