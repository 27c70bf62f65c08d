import BulkheadLaunch
import CLinux
import Foundation
import Glibc
import Testing

extension LauncherTests {
    @Suite("The tree and its end")
    struct Tree {
        @Test("what lives on after the handler's own exit is told, and whether it holds the pipes")
        func leftBehind() throws {
            let driver = try LauncherDriver()
            let none = try driver.run(shell("sleep 0 & wait; exit 0"))
            #expect(none.leftBehind == nil)
            let held = try driver.run(shell("setsid sleep 100 & exit 0"))
            #expect(held.leftBehind?.processes == 1 && held.leftBehind?.holdsPipes == true)
            let silent = try driver.run(
                shell("setsid sleep 100 <&- >&- 2>&- 3>&- & while [ -e /proc/$!/fd/3 ]; do :; done; exit 0")
            )
            #expect(silent.leftBehind?.processes == 1 && silent.leftBehind?.holdsPipes == false)
            #expect(silent.outcome?.ending == .exited(code: 0))
            // Of a tree that was stopped it is no wonder that something was left to end.
            let attempt = try driver.launch(shell("sleep 100 & sleep 100"))
            try driver.send(.stop(attempt: attempt, reason: .cancelled))
            #expect(try driver.collect(attempt).leftBehind == nil)
        }

        @Test("a handler that closes fd 3 and floods stdout without end is stopped as asked")
        func flood() throws {
            let driver = try LauncherDriver()
            var spec = shell("exec 3>&-; exec yes")
            spec.graceNanoseconds = 5_000_000_000
            let report = try driver.run(spec) { attempt in
                try driver.send(.stop(attempt: attempt, reason: .outputLimit))
            }
            #expect(report.outcome?.ending == .signaled(signal: SIGTERM))
            #expect(report.outcome?.stop == .outputLimit)
        }

        @Test("what ignores SIGTERM is killed after the grace")
        func ignoreTerm() throws {
            let driver = try LauncherDriver()
            var spec = shell("trap '' TERM; echo up; while :; do sleep 1; done")
            spec.graceNanoseconds = 200_000_000
            let attempt = try driver.launch(spec)
            var report = AttemptReport()
            while report.stdout.isEmpty { _ = try report.take(try driver.receive()) }
            try driver.send(.stop(attempt: attempt, reason: .cancelled))
            report = try driver.collect(attempt, report)
            #expect(report.outcome?.ending == .signaled(signal: SIGKILL))
            #expect(report.outcome?.stop == .cancelled)
            #expect(try #require(report.outcome).wallNanoseconds >= 200_000_000)
        }

        @Test("a handler may end itself within the grace, with what it still has to say")
        func obedient() throws {
            let driver = try LauncherDriver()
            let attempt = try driver.launch(
                shell("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done")
            )
            var report = AttemptReport()
            while report.stdout.isEmpty { _ = try report.take(try driver.receive()) }
            try driver.send(.stop(attempt: attempt, reason: .supervisorStop))
            report = try driver.collect(attempt, report)
            #expect(report.outcome?.ending == .exited(code: 7))
            #expect(report.outcome?.stop == .supervisorStop)
            #expect(report.text == "up\nbye\n")
        }

        @Test("a stopped handler receives SIGTERM all the same")
        func stopped() throws {
            let driver = try LauncherDriver()
            let attempt = try driver.launch(shell("trap 'exit 9' TERM; echo up; kill -STOP $$"))
            var report = AttemptReport()
            while report.stdout.isEmpty { _ = try report.take(try driver.receive()) }
            try driver.send(.stop(attempt: attempt, reason: .cancelled))
            #expect(try driver.collect(attempt, report).outcome?.ending == .exited(code: 9))
        }

        @Test("a launcher that waits, for a window, a timeout or a grace, does not spin")
        func waitsQuietly() throws {
            let driver = try LauncherDriver()
            var spec = shell("trap '' TERM; head -c 2000000 /dev/zero & while :; do sleep 1; done")
            spec.timeoutNanoseconds = 400_000_000
            spec.graceNanoseconds = 600_000_000
            spec.cpuNanoseconds = 60_000_000_000
            let attempt = try driver.launch(spec)
            var report = AttemptReport()
            while try !report.take(try driver.receive()) {}
            #expect(report.outcome?.ending == .signaled(signal: SIGKILL))
            #expect(report.stdout.count <= LaunchLimits.windowBytes + LaunchLimits.drainBytes)
            let content = try #require(FileManager.default.contents(atPath: "/proc/\(driver.pid)/stat"))
            // A launcher that spun for the second it had to wait would show a hundred ticks.
            #expect(try #require(ProcessStat(ArraySlice(content))).ownCPUTicks < 30)
            try driver.send(.outcomeAck(attempt: attempt))
            try driver.expectReady()
        }

        @Test("the launcher ends what takes longer than its timeout")
        func timeout() throws {
            var spec = shell("exec sleep 100")
            spec.timeoutNanoseconds = 100_000_000
            let report = try LauncherDriver().run(spec)
            #expect(report.outcome?.stop == .timeout)
            #expect(report.outcome?.ending == .signaled(signal: SIGTERM))
            #expect(try #require(report.outcome).wallNanoseconds >= 100_000_000)
        }

        @Test("an exit that came before the stop counts as itself")
        func lateStop() throws {
            let driver = try LauncherDriver()
            let attempt = try driver.launch(shell("exit 3"))
            var report = AttemptReport()
            while try !report.take(try driver.receive()) {}
            try driver.send(.stop(attempt: attempt, reason: .cancelled))
            try driver.send(.outcomeAck(attempt: attempt))
            try driver.expectReady()
            #expect(report.outcome?.ending == .exited(code: 3))
            #expect(report.outcome?.stop == nil)
        }

        @Test("processor time of the whole tree is limited")
        func cpuLimit() throws {
            var spec = shell("(while :; do :; done) & (while :; do :; done) & wait")
            spec.cpuNanoseconds = 300_000_000
            let report = try LauncherDriver().run(spec)
            let outcome = try #require(report.outcome)
            #expect(outcome.stop == .cpu)
            #expect(outcome.ending == .signaled(signal: SIGKILL))
            #expect(outcome.userMicroseconds + outcome.systemMicroseconds >= 280_000)
        }

        @Test("usage counts processes that lost their parents")
        func usage() throws {
            let folder = try TemporaryFolder()
            let work = "for ((i=0;i<200000;i++)); do :; done; echo done >fifo"
            var spec = shell("mkfifo fifo; (setsid bash -c '\(work)' &); read -r line <fifo; echo $line")
            spec.workingFolder = folder.path
            let report = try LauncherDriver().run(spec)
            #expect(report.text == "done\n")
            #expect(try #require(report.outcome).userMicroseconds > 20_000)
        }

        @Test("a grandchild that keeps stdout open does not delay the end by two seconds")
        func forkAndLeave() throws {
            let driver = try LauncherDriver()
            let begin = ContinuousClock.now
            let report = try driver.run(shell("sleep 1000 & echo left; exit 4"))
            #expect(ContinuousClock.now - begin < .seconds(2))
            #expect(report.outcome?.ending == .exited(code: 4))
            #expect(report.text == "left\n")
            #expect(report.outcome?.survivors == 0)
        }

        @Test("nothing remains of a tree that leaves its session, forks twice and closes its descriptors")
        func setsidAndSurvive() throws {
            let mark = "31\(getpid())"
            let script = """
                setsid bash -c 'trap "" TERM HUP; exec 0<&- 1>&- 2>&- 3>&-; (sleep \(mark) &) & sleep \(mark)' &
                while ! pgrep -f 'sleep \(mark)' >/dev/null; do :; done; exit 0
                """
            let report = try LauncherDriver().run(shell(script))
            #expect(report.outcome?.ending == .exited(code: 0))
            #expect(try processes(holding: "sleep\0\(mark)").isEmpty)
        }

        @Test("a stop ends descendants that left the session, and the handler with them")
        func stopReachesAll() throws {
            let mark = "32\(getpid())"
            let driver = try LauncherDriver()
            var spec = shell("setsid sleep \(mark) & sleep \(mark) & echo up; wait; wait; exit 6")
            spec.graceNanoseconds = 10_000_000_000
            let attempt = try driver.launch(spec)
            var report = AttemptReport()
            while report.stdout.isEmpty { _ = try report.take(try driver.receive()) }
            try driver.send(.stop(attempt: attempt, reason: .cancelled))
            #expect(try driver.collect(attempt, report).outcome?.stop == .cancelled)
            #expect(try processes(holding: "sleep\0\(mark)").isEmpty)
        }

        @Test("a handler that closes every descriptor and lives on is seen to end")
        func closeAll() throws {
            let report = try LauncherDriver().run(
                shell(
                    "exec 0<&- 1>&- 2>&- 3>&-; for fd in 4 5 6 7 8 9; do eval \"exec $fd>&-\"; done; sleep 0.2; exit 11"
                )
            )
            #expect(report.outcome?.ending == .exited(code: 11))
            #expect(try #require(report.outcome).wallNanoseconds >= 190_000_000)
        }

        @Test("a tree that forks without end is ended whole")
        func forkTree() throws {
            let mark = "bulkhead-fork-\(getpid())"
            let driver = try LauncherDriver()
            // Each of 300 processes has another parent and ignores SIGTERM.
            let script = """
                : \(mark); trap '' TERM; f() { if (( $1 > 0 )); then f $(( $1 - 1 )) & fi; sleep 1000; }; f 300
                """
            var spec = shell(script)
            spec.timeoutNanoseconds = 1_500_000_000
            spec.graceNanoseconds = 1_000_000
            let report = try driver.run(spec)
            #expect(report.outcome?.stop == .timeout)
            #expect(report.outcome?.survivors == 0)
            #expect(try processes(holding: mark).isEmpty)
        }
    }
}
