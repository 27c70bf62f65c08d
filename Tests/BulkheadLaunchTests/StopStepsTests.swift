import BulkheadLaunch
import Testing

@Suite("StopSteps")
struct StopStepsTests {
    @Test("a stop sends SIGTERM, the end of the grace SIGKILL")
    func graceful() {
        var steps = StopSteps(graceNanoseconds: 100)
        #expect(steps.deadline == nil)
        #expect(steps.handle(.stop(.cancelled), at: 1000) == .terminate)
        #expect(steps.deadline == 1100)
        #expect(steps.handle(.deadline, at: 1099) == nil)
        #expect(steps.handle(.deadline, at: 1100) == .kill)
        #expect(steps.phase == .killing)
        #expect(steps.deadline == nil)
        #expect(steps.handle(.treeEnded, at: 1200) == nil)
        #expect(steps.phase == .ended)
        #expect(steps.reason == .cancelled)
    }

    @Test("an exit within the grace kills what is left at once and keeps the reason")
    func exitInGrace() {
        var steps = StopSteps(graceNanoseconds: 100)
        _ = steps.handle(.stop(.timeout), at: 0)
        #expect(steps.handle(.exited, at: 50) == .kill)
        #expect(steps.reason == .timeout)
    }

    @Test("an exit that came before the stop counts as itself")
    func exitFirst() {
        var steps = StopSteps(graceNanoseconds: 100)
        #expect(steps.handle(.exited, at: 0) == .kill)
        #expect(steps.handle(.stop(.cancelled), at: 1) == nil)
        #expect(steps.reason == nil)
    }

    @Test("the first stop gives the reason, a second changes neither reason nor deadline")
    func secondStop() {
        var steps = StopSteps(graceNanoseconds: 100)
        _ = steps.handle(.stop(.cancelled), at: 0)
        #expect(steps.handle(.stop(.supervisorStop), at: 90) == nil)
        #expect(steps.reason == .cancelled)
        #expect(steps.deadline == 100)
    }

    @Test("a reason that ends at once kills without grace", arguments: [StopReason.cpu, .syscallDenied])
    func atOnce(reason: StopReason) {
        var steps = StopSteps(graceNanoseconds: 100)
        #expect(steps.handle(.stop(reason), at: 0) == .kill)
        var graceful = StopSteps(graceNanoseconds: 100)
        _ = graceful.handle(.stop(.cancelled), at: 0)
        #expect(graceful.handle(.stop(reason), at: 1) == .kill)
        #expect(graceful.reason == .cancelled)
    }

    @Test("a grace of nothing kills at once")
    func noGrace() {
        var steps = StopSteps(graceNanoseconds: 0)
        #expect(steps.handle(.stop(.timeout), at: 0) == .kill)
    }

    @Test("a grace beyond the clock's end does not overflow")
    func endlessGrace() {
        var steps = StopSteps(graceNanoseconds: .max)
        #expect(steps.handle(.stop(.timeout), at: 5) == .terminate)
        #expect(steps.deadline == .max)
    }

    @Test("an ended attempt takes no event")
    func ended() {
        var steps = StopSteps(graceNanoseconds: 1)
        _ = steps.handle(.exited, at: 0)
        _ = steps.handle(.treeEnded, at: 0)
        let before = steps
        for event in [StopSteps.Event.stop(.cpu), .deadline, .exited, .treeEnded] {
            #expect(steps.handle(event, at: 9) == nil)
        }
        #expect(steps == before)
    }
}
