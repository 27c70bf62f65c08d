import BulkheadLaunch
import Testing

@testable import BulkheadHost

@Suite("LauncherState")
struct LauncherStateTests {
    private static let outcome = LaunchOutcome(ending: .exited(code: 0))
    private static let ready = LauncherMessage.ready(version: LaunchLimits.protocolVersion, pid: 7)

    /// Every message, about attempt 5 where it is about one.
    private static let messages: [LauncherMessage] = [
        ready, .started(attempt: 5, pid: 8, startTime: 9),
        .output(attempt: 5, stream: .stdout, offset: 0, bytes: [1]),
        .event(attempt: 5, line: [1], truncated: false, length: 1),
        .denied(attempt: 5, syscall: 1, count: 1), .finished(attempt: 5, outcome: outcome),
        .refused(attempt: 5, stage: .exec, errno: 2, detail: ""),
        .executing(attempt: 5),
    ]

    /// A state in each phase, with the names of the messages that may come in it.
    private static var phases: [(LauncherState, allowed: Set<String>)] {
        let launching = LauncherState(pid: 7)
        var ready = launching
        _ = ready.receive(Self.ready)
        var running = ready
        _ = running.launch(5)
        var started = running
        _ = started.receive(messages[1])
        var ended = started
        _ = ended.receive(messages[5])
        var acknowledged = ended
        _ = acknowledged.admits(.outcomeAck(attempt: 5))
        var lost = acknowledged
        _ = lost.lose()
        return [
            (launching, ["ready"]), (ready, []), (running, ["executing", "started", "denied", "refused"]),
            (started, ["output", "event", "denied", "finished"]), (ended, []), (acknowledged, ["ready"]),
            (lost, []),
        ]
    }

    @Test("in each phase exactly the messages of that phase are taken, every other one is a breach")
    func everyPairOfPhaseAndMessage() {
        for (state, allowed) in Self.phases {
            for message in Self.messages {
                var copy = state
                let reaction = copy.receive(message)
                if allowed.contains(message.name) {
                    if case .breach(let what) = reaction { Issue.record("\(state.phase): \(what)") }
                } else if case .breach = reaction {
                    #expect(copy == state, "a breach changes nothing")
                } else {
                    Issue.record("\(state.phase) took \(message.name): \(reaction)")
                }
            }
        }
    }

    @Test("finished and refused are the last that a reader gets")
    func lastMessages() {
        let (running, started) = (Self.phases[2].0, Self.phases[3].0)
        var state = running
        #expect(state.receive(Self.messages[6]) == .deliverLast)
        #expect(state.phase == .ended(attempt: 5))
        state = started
        #expect(state.receive(Self.messages[5]) == .deliverLast)
        #expect(state.phase == .ended(attempt: 5))
    }

    @Test("a message about another attempt is a breach")
    func otherAttempt() {
        var state = Self.phases[3].0
        let reaction = state.receive(.output(attempt: 4, stream: .stdout, offset: 0, bytes: [1]))
        #expect(reaction == .breach("output is not about attempt 5"))
    }

    @Test("ready of another version or another process is a breach")
    func foreignReady() {
        var state = LauncherState(pid: 7)
        #expect(state.receive(.ready(version: 99, pid: 7)) == .breach("it speaks protocol version 99, not 1"))
        #expect(state.receive(.ready(version: 1, pid: 8)) == .breach("ready names process 8, not 7"))
        #expect(state.phase == .launching)
    }

    @Test("only a ready launcher takes an attempt")
    func launchesOnlyWhenReady() {
        for (state, _) in Self.phases {
            var copy = state
            let isTaken = copy.launch(6)
            #expect(isTaken == (state.phase == .ready))
        }
    }

    @Test("messages about an attempt that is over are stale")
    func staleMessages() {
        let sent: [SupervisorMessage] = [
            .stop(attempt: 5, reason: .cancelled), .outputAck(attempt: 5, stream: .stdout, offset: 1),
            .outcomeAck(attempt: 5),
        ]
        let wanted: [[Bool]] = [
            [false, false, false], [false, false, false], [true, true, false], [true, true, false],
            [false, true, true], [false, false, false], [false, false, false],
        ]
        for (index, (state, _)) in Self.phases.enumerated() {
            for (message, isWanted) in zip(sent, wanted[index]) {
                var copy = state
                let isSent = copy.admits(message)
                #expect(isSent == isWanted, "\(state.phase): \(message)")
            }
            var copy = state
            let never: [SupervisorMessage] = [
                .stop(attempt: 4, reason: .cancelled), .launch(LaunchHeader(attempt: 5, specBytes: 1)),
            ]
            for message in never {
                let isSent = copy.admits(message)
                #expect(!isSent, "\(state.phase): \(message)")
            }
        }
    }

    @Test("it is lost once, and says from where")
    func lostOnce() {
        var state = Self.phases[3].0
        #expect(state.lose() == .running(attempt: 5, started: true))
        #expect(state.lose() == nil)
    }
}
