import BulkheadLaunch

/// What a launcher may say and be told now: pure, so that every order of events can be tested.
struct LauncherState: Sendable, Equatable {
    /// Where the launcher stands.
    enum Phase: Sendable, Equatable {
        /// Prepared; its first `ready` has not come. Exits: ready, lost.
        case launching
        /// It can take a launch. Exits: running, lost.
        case ready
        /// It has an attempt, whose exec may have succeeded. Exits: ended, lost.
        case running(attempt: UInt64, started: Bool)
        /// The outcome or refusal has come. Exits: acknowledged, lost.
        case ended(attempt: UInt64)
        /// The outcome is committed; the next `ready` has not come. Exits: ready, lost.
        case acknowledged
        /// Nothing more comes. No exits.
        case lost
    }

    /// What a message means.
    enum Reaction: Sendable, Equatable {
        /// It is idle.
        case becomesReady
        /// The attempt's reader gets it.
        case deliver
        /// The attempt's reader gets it, and nothing after it.
        case deliverLast
        /// It may not come now.
        case breach(String)
    }

    private(set) var phase: Phase = .launching
    /// The process that was started; a `ready` from another is a breach.
    let pid: Int32

    init(pid: Int32) {
        self.pid = pid
    }

    /// Begins with a launcher that has an attempt already and is about to say again all that it has of it.
    init(pid: Int32, adoptedWith attempt: UInt64) {
        self.pid = pid
        phase = .running(attempt: attempt, started: false)
    }

    /// Takes what the launcher says.
    mutating func receive(_ message: LauncherMessage) -> Reaction {
        if case .ready(let version, let pid) = message { return receiveReady(version: version, pid: pid) }
        guard case .running(let attempt, let started) = phase else {
            return .breach("\(message.name) came when there was no attempt")
        }
        guard let about = message.attempt, about == attempt else {
            return .breach("\(message.name) is not about attempt \(attempt)")
        }
        switch message {
        case .executing: return started ? .breach("executing came after started") : .deliver
        case .started:
            guard !started else { return .breach("started came twice") }
            phase = .running(attempt: attempt, started: true)
            return .deliver
        case .refused:
            guard !started else { return .breach("refused came after started") }
            phase = .ended(attempt: attempt)
            return .deliverLast
        case .finished:
            guard started else { return .breach("finished came before started") }
            phase = .ended(attempt: attempt)
            return .deliverLast
        case .output, .event, .leftBehind:
            return started ? .deliver : .breach("\(message.name) came before started")
        case .denied:
            // The filter is in force before the exec.
            return .deliver
        case .challenge, .adopted, .ready:
            return .breach("\(message.name) came out of its place")
        }
    }

    private mutating func receiveReady(version: UInt16, pid: Int32) -> Reaction {
        guard version == LaunchLimits.protocolVersion else {
            return .breach("it speaks protocol version \(version), not \(LaunchLimits.protocolVersion)")
        }
        guard pid == self.pid else { return .breach("ready names process \(pid), not \(self.pid)") }
        guard phase == .launching || phase == .acknowledged else { return .breach("ready came unasked") }
        phase = .ready
        return .becomesReady
    }

    /// Begins an attempt; false when the launcher cannot take one now.
    mutating func launch(_ attempt: UInt64) -> Bool {
        guard phase == .ready else { return false }
        phase = .running(attempt: attempt, started: false)
        return true
    }

    /// Whether a message is worth sending: one about an attempt that has gone is stale.
    mutating func admits(_ message: SupervisorMessage) -> Bool {
        switch (message, phase) {
        case (.stop(let attempt, _), .running(let current, _)): return attempt == current
        case (.outputAck(let attempt, _, _), .running(let current, _)): return attempt == current
        case (.outputAck(let attempt, _, _), .ended(let current)): return attempt == current
        case (.eventAck(let attempt, _), .running(let current, _)): return attempt == current
        case (.outcomeAck(let attempt), .ended(let current)):
            guard attempt == current else { return false }
            phase = .acknowledged
            return true
        default: return false
        }
    }

    /// Ends it; the phase in which that happened, nil when it had ended before.
    mutating func lose() -> Phase? {
        guard phase != .lost else { return nil }
        defer { phase = .lost }
        return phase
    }
}

extension LauncherMessage {
    /// The message's name, for errors.
    var name: String {
        switch self {
        case .ready: "ready"
        case .executing: "executing"
        case .started: "started"
        case .output: "output"
        case .event: "event"
        case .denied: "denied"
        case .leftBehind: "leftBehind"
        case .finished: "finished"
        case .refused: "refused"
        case .challenge: "challenge"
        case .adopted: "adopted"
        }
    }
}
