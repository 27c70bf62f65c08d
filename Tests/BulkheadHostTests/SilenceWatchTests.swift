import BulkheadLaunch
import Testing

@testable import BulkheadHost

@Suite("SilenceWatch")
struct SilenceWatchTests {
    private let start = SilenceWatch.Instant.now

    private func watch(timeout: UInt64 = 10) -> SilenceWatch {
        var spec = LaunchSpec(attempt: 1, executable: "/bin/true", arguments: [], workingFolder: "/")
        spec.timeoutNanoseconds = timeout * 1_000_000_000
        spec.graceNanoseconds = 5_000_000_000
        return SilenceWatch(spec, margin: .seconds(45), now: start)
    }

    private func at(_ seconds: Int) -> SilenceWatch.Instant { start + .seconds(seconds) }
    private let started = LauncherMessage.started(attempt: 1, pid: 2, startTime: 3)

    @Test("a launch that brings no word is overdue after the margin")
    func silentLaunch() {
        #expect(!watch().isOverdue(now: at(45)))
        #expect(watch().isOverdue(now: at(46)))
    }

    @Test("a running attempt is overdue after its timeout, its grace and the margin")
    func timeout() {
        var watch = watch()
        watch.heard(started, now: at(1))
        #expect(!watch.isOverdue(now: at(61)))
        #expect(watch.isOverdue(now: at(62)))
    }

    @Test("an attempt without a timeout is never overdue, unless it is stopped")
    func noTimeout() {
        var watch = watch(timeout: 0)
        watch.heard(started, now: at(1))
        #expect(!watch.isOverdue(now: at(1_000_000)))
        watch.told(.stop(attempt: 1, reason: .cancelled), now: at(1_000_000))
        #expect(!watch.isOverdue(now: at(1_000_050)))
        #expect(watch.isOverdue(now: at(1_000_051)))
    }

    @Test("a stop never gives more time than the timeout left")
    func stopIsNoRespite() {
        var watch = watch()
        watch.heard(started, now: at(0))
        watch.told(.stop(attempt: 1, reason: .cancelled), now: at(59))
        #expect(watch.isOverdue(now: at(61)))
    }

    @Test("a launcher that still says something is not overdue")
    func stillTalking() {
        var watch = watch()
        watch.heard(started, now: at(0))
        watch.heard(.denied(attempt: 1, syscall: 1, count: 1), now: at(100))
        #expect(!watch.isOverdue(now: at(145)))
        #expect(watch.isOverdue(now: at(146)))
    }

    @Test("a launcher that waits for an acknowledgement is not overdue, and then has the margin again")
    func waitingForUs() {
        var watch = watch()
        watch.heard(started, now: at(0))
        watch.heard(.output(attempt: 1, stream: .stderr, offset: 10, bytes: [1, 2]), now: at(1))
        #expect(!watch.isOverdue(now: at(1000)))
        watch.told(.outputAck(attempt: 1, stream: .stderr, offset: 12), now: at(1000))
        #expect(!watch.isOverdue(now: at(1045)))
        #expect(watch.isOverdue(now: at(1046)))
    }

    @Test("time in which its socket was not read does not count")
    func excused() {
        var watch = watch()
        watch.heard(started, now: at(0))
        watch.excuse(now: at(500))
        #expect(!watch.isOverdue(now: at(545)))
        #expect(watch.isOverdue(now: at(546)))
    }
}
