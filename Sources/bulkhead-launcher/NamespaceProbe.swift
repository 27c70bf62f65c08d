import BulkheadLaunch
import CLinux
import Glibc

/// Asks what namespaces can be had, by making them once, on the very way that a launch takes.
enum NamespaceProbe {
    /// The mode in which this program asks and prints what it found, see `main.swift`.
    static let mode = "probe-namespaces"

    /// Prints a line for each means, the launcher's own rights first.
    ///
    /// - Returns: The exit status.
    static func run() -> Int32 {
        guard clinux_reset_signals() == 0 else { return EX_OSERR }
        // As a launcher does before its first attempt.
        _ = clinux_drop_bounding_set()
        for means in NamespaceMeans.allCases {
            var report = NamespaceReport(means: means)
            let kept = KeptNamespaces()
            while let failure = tryOnce(report.spec, kept), report.note(failure.step, errno: failure.errno) {}
            let line = report.text + "\n"
            guard unsafe write(STDOUT_FILENO, line, line.utf8.count) == line.utf8.count else {
                return EX_IOERR
            }
        }
        return 0
    }

    /// Makes the namespaces and a process in them; nil where all went well.
    private static func tryOnce(
        _ spec: NamespaceSpec,
        _ kept: KeptNamespaces
    ) -> (step: NamespaceStep?, errno: Int32)? {
        do throws(Refusal) {
            var launch = LaunchSpec(attempt: 0, executable: "/", arguments: [], workingFolder: "/")
            launch.namespaces = spec
            let status = try Pipe("the status pipe")
            let plan = ChildPlan(
                spec: launch,
                budget: nil,
                boundingSet: 0,
                namespaces: try kept.enter(spec),
                cgroups: [],
                descriptors: [-1, -1, -1, -1, status.write.number]
            )
            try check(start(plan, spec), .fork, LaunchStage.fork.words)
            close(status.write.release())
            return outcome(of: status.read.number)
        } catch {
            return (error.step, error.errno)
        }
    }

    private static func start(_ plan: ChildPlan, _ spec: NamespaceSpec) -> pid_t {
        let child = clinux_fork()
        if child == 0 { NamespaceStages(plan: plan, spec: spec).run { _exit(0) } }
        return child
    }

    private static func outcome(of status: Int32) -> (step: NamespaceStep?, errno: Int32)? {
        var reports: [UInt8] = []
        let buffer = ReadBuffer(capacity: 256)
        while let bytes = buffer.read(status, limit: 256), !bytes.isEmpty { reports += bytes }
        var failure: (step: NamespaceStep?, errno: Int32)? = (nil, ECHILD)
        for report in (try? ChildReport.reports(in: reports[...])) ?? [] {
            switch report {
            case .born(let first, _):
                _ = kill(first, SIGKILL)
                failure = nil
            case .failed(_, let errno, let item):
                failure = (NamespaceStep(item: item), errno)
            case .installing:
                break
            }
        }
        var ended = clinux_ended()
        while unsafe clinux_wait(0, 0, &ended) == 0 {}
        return failure
    }
}
