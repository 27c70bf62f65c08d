import BulkheadCore
public import BulkheadPolicy

/// Whether a handler keeps the protocol under its policy: what was seen of it, as lines for its author.
public struct HandlerCheck: Sendable, Equatable {
    /// One thing that a handler must do.
    public struct Line: Sendable, Equatable {
        /// How it stands.
        public enum Verdict: String, Sendable {
            /// It holds.
            case ok
            /// It does not, or could not be seen, and that breaks nothing.
            case note
            /// It does not hold.
            case wrong
        }

        /// The thing, in a word or two.
        public var name: String
        /// How it stands.
        public var verdict: Verdict
        /// What was seen, as a sentence.
        public var text: String
        /// What its author can do about it.
        public var advice: String?

        /// Makes a line.
        public init(_ name: String, _ verdict: Verdict, _ text: String, advice: String? = nil) {
            self.name = name
            self.verdict = verdict
            self.text = text
            self.advice = advice
        }
    }

    /// A file that appeared outside the handler's own folders while it ran.
    public struct StrayFile: Sendable, Equatable {
        /// Where it is.
        public var path: String
        /// Whether only the handler can have made it.
        public var isCertain: Bool

        /// Makes a file.
        public init(path: String, isCertain: Bool) {
            self.path = path
            self.isCertain = isCertain
        }
    }

    /// The policy that held.
    public var policy: Policy
    /// Its file as the author knows it.
    public var policyFile: String
    /// A run to its own end.
    public var first: TrialRun
    /// A run that was told to stop; nil where there was none.
    public var stopped: TrialRun?
    /// Files that appeared outside.
    public var files: [StrayFile]

    /// Makes a check from what was seen.
    public init(
        policy: Policy,
        policyFile: String,
        first: TrialRun,
        stopped: TrialRun?,
        files: [StrayFile]
    ) {
        self.policy = policy
        self.policyFile = policyFile
        self.first = first
        self.stopped = stopped
        self.files = files
    }

    /// The lines, in the order of a handler's life.
    public var lines: [Line] {
        guard let seen = first.observation else { return [notStarted] }
        return [Line("starts", .ok, "its process was started"), input(seen), ending, events, denials]
            + warnings + [processes(seen), pipes(seen), strayFiles, stop]
    }

    private var notStarted: Line {
        let error = first.task.error
        return Line("starts", .wrong, error?.message ?? "it was not started", advice: error?.hint)
    }

    private func input(_ seen: AttemptObservation) -> Line {
        if seen.readInput { return Line("stdin", .ok, "it read its stdin") }
        return Line(
            "stdin",
            .wrong,
            "it did not read its stdin, so that no params reach it",
            advice:
                "read one JSON object from stdin, to the end of file; the task's params are its member \"params\""
        )
    }

    private var ending: Line {
        guard let error = first.task.error else { return Line("exit", .ok, "it exited with 0: completed") }
        let isDenied = !first.task.deniedSyscalls.isEmpty
        let advice = isDenied ? nil : error.hint ?? "if these params are wrong, give right ones with --params"
        return Line("exit", .wrong, "\(error.reason.rawValue): \(error.message)", advice: advice)
    }

    /// What was said on fd 3: lines that were not understood stand among the task's warnings.
    private var events: Line {
        let stray = first.task.warnings.kept.filter { $0.hasPrefix(Self.strayEvent) }
        guard stray.isEmpty else {
            return Line(
                "events",
                .wrong,
                stray.joined(separator: "; "),
                advice: "write to fd 3 only JSON lines with one member each: progress, result or error"
            )
        }
        if first.task.result != nil {
            return Line("events", .ok, "every line on fd 3 was understood; it sent a result")
        }
        let isSilent = first.task.progress == nil && first.task.error?.hint == nil
        return Line(
            "events",
            isSilent ? .note : .ok,
            isSilent ? "it sent no result on fd 3" : "every line on fd 3 was understood; it sent no result"
        )
    }

    private static let strayEvent = "an event line was not understood"

    private var denials: Line {
        let calls = first.task.deniedSyscalls
        guard !calls.isEmpty else { return Line("policy", .ok, "no system call was denied") }
        let counted = calls.map { "\($0.name) \($0.count)× (\($0.action))" }.joined(separator: ", ")
        let advice = DenialAdvice(policy.sandbox).sentences(on: calls.map(\.name), file: policyFile)
        // What fell back on something else after an errno has completed all the same.
        let isHarmless = first.task.status == .completed
        return Line("policy", isHarmless ? .note : .wrong, "denied: \(counted)", advice: advice)
    }

    private var warnings: [Line] {
        first.task.warnings.kept.filter { !$0.hasPrefix(Self.strayEvent) }.map { Line("warning", .note, $0) }
    }

    private func processes(_ seen: AttemptObservation) -> Line {
        guard let left = seen.leftBehind else { return Line("processes", .ok, "it left no process behind") }
        let (count, were) =
            left.processes == 1 ? ("a process", "was") : ("\(left.processes) processes", "were")
        return Line(
            "processes",
            .wrong,
            "it exited and left \(count) running, which \(were) ended",
            advice: "wait for what it starts; nothing of an attempt outlives it"
        )
    }

    private func pipes(_ seen: AttemptObservation) -> Line {
        guard seen.leftBehind?.holdsPipes == true else {
            return Line("pipes", .ok, "stdout, stderr and fd 3 were closed at its exit")
        }
        return Line(
            "pipes",
            .wrong,
            "a process that it left behind held stdout, stderr or fd 3 open; what that wrote later is lost",
            advice: "wait for it, or give it other descriptors"
        )
    }

    private var strayFiles: Line {
        guard !files.isEmpty else {
            return Line("files", .ok, "it left no file behind in the folders for temporary ones")
        }
        let isCertain = files.contains(where: \.isCertain)
        let names = files.prefix(8).map(\.path).joined(separator: ", ")
        return Line(
            "files",
            isCertain ? .wrong : .note,
            "\(isCertain ? "it left" : "it, or another program of this user, left") \(names)",
            advice: "put temporary files into $TMPDIR, which is removed with the task"
        )
    }

    private var stop: Line {
        let grace = Quantities.text(policy.grace)
        guard let stopped, let seen = stopped.observation else {
            return Line("SIGTERM", .note, "not tried")
        }
        guard stopped.task.status == .cancelled else {
            return Line(
                "SIGTERM",
                .note,
                "it ended before it could be told to stop",
                advice: "give it params that keep it busy for a second or more"
            )
        }
        if seen.ending == .signaled(signal: 9) {
            return Line(
                "SIGTERM",
                .wrong,
                "it did not end within its grace of \(grace) and was killed",
                advice: "end at SIGTERM, or raise grace in \(policyFile)"
            )
        }
        return Line("SIGTERM", .ok, "it ended within its grace of \(grace)")
    }
}
