import BulkheadLaunch
import CLinux
import Foundation
import Glibc
import Testing

let isRoot = geteuid() == 0

/// Run one after another: a script that one test writes must not be open in what another forks just then.
@Suite("Launcher", .serialized)
enum LauncherTests {}

extension LauncherTests {
    @Suite("What a handler gets and gives")
    struct Handlers {
        @Test("exit codes come back as they are", arguments: [0, 1, 65, 75, 255] as [Int32])
        func exitCode(code: Int32) throws {
            let report = try LauncherDriver().run(shell("exit \(code)"))
            #expect(report.outcome?.ending == .exited(code: code))
            #expect(report.outcome?.stop == nil)
            #expect(report.started != nil)
        }

        @Test("a signal comes back as a signal")
        func signal() throws {
            let report = try LauncherDriver().run(shell("kill -SEGV $$"))
            #expect(report.outcome?.ending == .signaled(signal: SIGSEGV))
        }

        @Test("the handler reads its whole stdin to the end")
        func stdin() throws {
            let input = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let report = try LauncherDriver().run(shell("cat"), stdin: input)
            #expect(report.stdout == input)
            #expect(report.outcome?.stdoutBytes == UInt64(input.count))
        }

        @Test("environment, arguments and working folder are exactly those of the spec")
        func environment() throws {
            var spec = LaunchSpec(
                attempt: 0,
                executable: "/usr/bin/env",
                arguments: ["any name", "sh", "-c", "pwd; env; echo \"$0|$1\"", "a b", "c\nd"],
                environment: ["PATH=/usr/bin:/bin", "EMPTY=", "X=ü y"],
                workingFolder: "/usr"
            )
            let report = try LauncherDriver().run(spec)
            for line in ["/usr\n", "EMPTY=\n", "X=ü y\n", "a b|c\nd\n"] {
                #expect(report.text.contains(line))
            }
            #expect(!report.text.contains("HOME="))
            spec.executable = "/usr/bin/printenv"
            spec.arguments = ["printenv"]
            spec.environment = ["ONLY=1"]
            #expect(try LauncherDriver().run(spec).text == "ONLY=1\n")
        }

        @Test("pid and start time are those of /proc")
        func identity() throws {
            let driver = try LauncherDriver()
            let attempt = try driver.launch(shell("sleep 100"))
            guard case .started(attempt, let pid, let startTime) = try driver.receive() else {
                Issue.record("no started message")
                return
            }
            let content = try #require(FileManager.default.contents(atPath: "/proc/\(pid)/stat"))
            #expect(ProcessStat(ArraySlice(content))?.startTime == startTime)
            try driver.send(.stop(attempt: attempt, reason: .cancelled))
            #expect(try driver.collect(attempt).outcome?.stop == .cancelled)
        }

        @Test("that the handler may run from now on is told before it does")
        func executing() throws {
            let driver = try LauncherDriver()
            let attempt = try driver.launch(shell("exit 3"))
            #expect(try driver.receive(executing: true) == .executing(attempt: attempt))
            guard case .started(attempt, _, _) = try driver.receive(executing: true) else {
                Issue.record("no started message")
                return
            }
            #expect(try driver.collect(attempt).outcome?.ending == .exited(code: 3))
        }

        @Test("stdout and stderr are kept apart, each in order")
        func streams() throws {
            let report = try LauncherDriver().run(
                shell("for i in $(seq 1000); do echo out$i; echo err$i >&2; done")
            )
            #expect(report.text == (1...1000).map { "out\($0)\n" }.joined())
            #expect(
                String(decoding: report.stderr, as: UTF8.self) == (1...1000).map { "err\($0)\n" }.joined()
            )
            #expect(report.outcome?.stderrBytes == UInt64(report.stderr.count))
        }

        @Test(
            "unacknowledged output never exceeds the window, and goes on from there once it is acknowledged"
        )
        func backPressure() throws {
            let driver = try LauncherDriver()
            let total = 5_000_000
            let attempt = try driver.launch(shell("head -c \(total) /dev/zero"))
            var report = AttemptReport()
            var acknowledged = 0
            while report.stdout.count < total {
                while report.stdout.count < min(total, acknowledged + LaunchLimits.windowBytes) {
                    _ = try report.take(try driver.receive())
                }
                #expect(report.stdout.count - acknowledged <= LaunchLimits.windowBytes)
                if report.stdout.count < total - LaunchLimits.drainBytes {
                    #expect(try driver.isSilent(seconds: 0.05))
                }
                acknowledged = report.stdout.count
                let offset = UInt64(acknowledged)
                try driver.send(.outputAck(attempt: attempt, stream: .stdout, offset: offset))
            }
            report = try driver.collect(attempt, report)
            #expect(report.outcome?.stdoutBytes == UInt64(total))
            #expect(report.outcome?.drainIncomplete == false)
        }

        @Test("single-byte writes all arrive, in far fewer packets than bytes")
        func singleBytes() throws {
            let driver = try LauncherDriver()
            _ = try driver.launch(shell("for ((i=0;i<20000;i++)); do printf x; done"))
            var report = AttemptReport()
            var packets = 0
            while true {
                let message = try driver.receive()
                if case .output = message { packets += 1 }
                if try report.take(message) { break }
            }
            #expect(report.stdout.count == 20_000)
            #expect(packets < 10_000)
        }

        @Test("fd 3 gives lines, the last one without a newline too")
        func eventLines() throws {
            let report = try LauncherDriver().run(
                shell("printf '{\"a\":1}\\n\\n{\"b\":2}\\n' >&3; printf last >&3")
            )
            #expect(
                report.lines.map { String(decoding: $0.bytes, as: UTF8.self) } == [
                    "{\"a\":1}", "{\"b\":2}", "last",
                ]
            )
            #expect(report.lines.allSatisfy { !$0.truncated })
        }

        @Test("an over-long line of fd 3 comes once, as its head, and costs the next one nothing")
        func longLine() throws {
            let report = try LauncherDriver().run(
                shell("head -c 3000000 /dev/zero | tr '\\0' x >&3; printf '\\nnext\\n' >&3")
            )
            #expect(report.lines.map(\.length) == [3_000_000, 4])
            #expect(report.lines.map(\.truncated) == [true, false])
            #expect(report.lines.first?.bytes.count == LaunchLimits.eventHeadBytes)
            #expect(report.outcome?.eventLinesTruncated == 1)
        }

        @Test("one launcher runs hundreds of tasks and keeps its number of descriptors")
        func warmReuse() throws {
            let driver = try LauncherDriver()
            var spec = shell("echo \"$RANDOM\" >&3; echo out; exit 0")
            spec.filter = FilterSpec(program: notifyingFilter([]), hasListener: true)
            #expect(try driver.run(spec).outcome?.ending == .exited(code: 0))
            let baseline = isRoot ? try driver.openDescriptors() : 0
            for _ in 0..<250 {
                let report = try driver.run(spec)
                #expect(report.outcome?.ending == .exited(code: 0))
                #expect(report.text == "out\n")
                #expect(report.lines.count == 1)
            }
            if isRoot { #expect(try driver.openDescriptors() == baseline) }
        }
    }
}
