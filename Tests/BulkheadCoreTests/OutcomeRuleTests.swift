import BulkheadCore
import Testing

@Suite("OutcomeRule")
struct OutcomeRuleTests {
    private func decide(
        _ ending: AttemptEnding,
        error: HandlerError? = nil,
        retries: Int = 1
    ) -> OutcomeRule {
        OutcomeRule.decide(ending, handlerError: error, retriesLeft: retries)
    }

    @Test("exit 0 completes, and an error line is then only a warning")
    func exitZero() {
        let plain = decide(.exited(code: 0))
        #expect(plain.event == .complete && plain.error == nil && plain.warning == nil)
        #expect(plain.poolEffect == .success)
        let complaint = HandlerError(message: "odd", retryable: false, hint: nil)
        let complained = decide(.exited(code: 0), error: complaint)
        #expect(complained.event == .complete)
        #expect(complained.warning?.contains("odd") == true)
    }

    @Test("codes 65 and 78 fail at once, every other code is retried", arguments: Int32(1)...255)
    func exitCodes(code: Int32) {
        let decision = decide(.exited(code: code))
        #expect(decision.event == ([65, 78].contains(code) ? .fail : .retry))
        #expect(decision.error?.reason == .exit)
        #expect(decision.error?.exitCode == Int(code))
        #expect(decision.poolEffect == .failure)
    }

    @Test("an error line overrides the code's rule either way, and the reason stays exit")
    func errorLineOverrides() {
        let retryable = HandlerError(message: "busy", retryable: true, hint: "later")
        #expect(decide(.exited(code: 65), error: retryable).event == .retry)
        let final = HandlerError(message: "never", retryable: false, hint: "give up")
        let decision = decide(.exited(code: 1), error: final)
        #expect(decision.event == .fail)
        #expect(decision.error?.reason == .exit)
        #expect(decision.error?.message == "never")
        #expect(decision.error?.hint == "give up")
        #expect(decision.error?.retryable == false)
    }

    @Test("an error line without a word on retrying leaves the code's rule")
    func errorLineSilent() {
        let silent = HandlerError(message: "no", retryable: nil, hint: nil)
        #expect(decide(.exited(code: 65), error: silent).event == .fail)
        #expect(decide(.exited(code: 2), error: silent).event == .retry)
    }

    @Test("nothing is retried once the retries are used up")
    func noRetriesLeft() {
        #expect(decide(.exited(code: 1), retries: 0).event == .fail)
        #expect(decide(.signaled(signal: 11), retries: 0).event == .fail)
    }

    @Test("a stop decides: timeout and memory are retried, limits and denials are not")
    func stops() {
        let expected: [(AttemptEnding, ErrorReason, TaskEvent)] = [
            (.timedOut(after: .seconds(3)), .timeout, .retry),
            (.outOfProcessorTime(limit: .seconds(3)), .timeout, .retry),
            (.outOfMemory(limit: 1 << 20), .memory, .retry),
            (.signaled(signal: 9), .signal, .retry),
            (.syscallDenied(name: "ptrace"), .syscallDenied, .fail),
            (.syscallDenied(name: nil), .syscallDenied, .fail),
            (.tooManyDenials(limit: 100_000), .syscallDenied, .fail),
            (.outOfOutput(limit: 8 << 20), .outputLimit, .fail),
        ]
        for (ending, reason, event) in expected {
            let decision = decide(ending)
            #expect(decision.error?.reason == reason, "\(ending)")
            #expect(decision.event == event, "\(ending)")
            #expect(decision.poolEffect == .failure, "\(ending)")
        }
    }

    @Test("a cpu limit is a timeout whose message says cpu")
    func cpuLimit() {
        let error = decide(.outOfProcessorTime(limit: .seconds(60))).error
        #expect(error?.reason == .timeout)
        #expect(error?.message.contains("cpu") == true)
    }

    @Test("a cancel is cancelled and says nothing about the pool")
    func cancelled() {
        let decision = decide(.cancelled)
        #expect(decision.event == .cancel)
        #expect(decision.error?.reason == .cancelled)
        #expect(decision.poolEffect == .none)
    }

    @Test("a launch failure is final, and counts for the pool only where the handler is to blame")
    func launchFailures() {
        let ours = decide(.launchFailed(message: "no cgroup", hint: nil, handlerToBlame: false))
        #expect(ours.event == .fail && ours.poolEffect == .none)
        let broken = decide(.launchFailed(message: "bad ELF", hint: nil, handlerToBlame: true))
        #expect(broken.event == .fail && broken.poolEffect == .failure)
        #expect(broken.error?.reason == .launchFailed)
        let changed = decide(.pluginChanged(message: "other bytes"))
        #expect(changed.error?.reason == .pluginChanged && changed.poolEffect == .none)
    }

    @Test("a denied call that got an errno goes into the hint of the failure it led to")
    func deniedHint() {
        let decision = OutcomeRule.decide(
            .exited(code: 1),
            handlerError: nil,
            retriesLeft: 0,
            deniedHint: "the sandbox denied socket"
        )
        #expect(decision.error?.reason == .exit)
        #expect(decision.error?.hint == "the sandbox denied socket")
    }
}
