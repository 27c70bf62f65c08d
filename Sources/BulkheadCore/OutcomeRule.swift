/// How an attempt ended, as the launcher saw it.
public enum AttemptEnding: Sendable, Equatable {
    /// The handler exited by itself with this code.
    case exited(code: Int32)
    /// This signal ended the handler.
    case signaled(signal: Int32)
    /// We stopped it for its timeout.
    case timedOut(after: Duration)
    /// We stopped it for its processor time.
    case outOfProcessorTime(limit: Duration)
    /// It used more memory than its limit.
    case outOfMemory(limit: Int64)
    /// A denied call ended it; the name is nil for a foreign architecture's entry point.
    case syscallDenied(name: String?)
    /// Too many denied calls ended it.
    case tooManyDenials(limit: UInt64)
    /// We stopped it for its output.
    case outOfOutput(limit: Int64)
    /// We stopped it because someone cancelled it.
    case cancelled
    /// It could not be started; the handler is to blame where it cannot be executed.
    case launchFailed(message: String, hint: String?, handlerToBlame: Bool)
    /// The handler's file is not what was checked.
    case pluginChanged(message: String)
}

/// What an `error` line of the handler said.
public struct HandlerError: Sendable, Equatable {
    /// What happened, in the handler's words.
    public var message: String
    /// Whether trying again may help.
    public var retryable: Bool?
    /// What the user can do.
    public var hint: String?

    /// Makes a report.
    public init(message: String, retryable: Bool?, hint: String?) {
        self.message = message
        self.retryable = retryable
        self.hint = hint
    }
}

/// What an attempt's end means for its task and its pool (contract §2, §3, §5).
public struct OutcomeRule: Sendable, Equatable {
    /// What the end means for the pool's count of failures.
    public enum PoolEffect: String, Sendable {
        /// It ends a row of failures.
        case success
        /// It is one more failure.
        case failure
        /// It says nothing about the pool's handlers.
        case none
    }

    /// What happens to the task: `complete`, `fail`, `retry` or `cancel`.
    public var event: TaskEvent
    /// Why it did not complete.
    public var error: TaskError?
    /// What it means for the pool.
    public var poolEffect: PoolEffect
    /// What the user should know although it changed nothing.
    public var warning: String?

    /// The exit codes after which trying again cannot help: EX_DATAERR and EX_CONFIG (sysexits.h).
    static let finalExitCodes: Set<Int32> = [65, 78]

    /// Decides what an attempt's end means.
    /// - Parameters:
    ///   - ending: How it ended.
    ///   - handlerError: The handler's last `error` line, if it sent one.
    ///   - retriesLeft: Retries that the run still has.
    ///   - deniedHint: What to say about calls that were denied on the way, if any were.
    /// - Returns: The decision.
    public static func decide(
        _ ending: AttemptEnding,
        handlerError: HandlerError?,
        retriesLeft: Int,
        deniedHint: String? = nil
    ) -> OutcomeRule {
        if case .exited(code: 0) = ending {
            let warning = handlerError.map { "the handler exited with 0, but reported: \($0.message)" }
            return OutcomeRule(event: .complete, error: nil, poolEffect: .success, warning: warning)
        }
        if case .cancelled = ending {
            let error = TaskError(.cancelled, "cancelled while it was running")
            return OutcomeRule(event: .cancel, error: error, poolEffect: .none)
        }
        var error = describe(ending)
        var retried = error.reason.isRetried
        if case .exited(let code) = ending {
            retried = !finalExitCodes.contains(code)
            error.hint = deniedHint
            if let handlerError {
                error.message = handlerError.message.cut(toBytes: Limits.messageBytes)
                error.hint = (handlerError.hint ?? deniedHint)?.cut(toBytes: Limits.hintBytes)
                error.retryable = handlerError.retryable
                retried = handlerError.retryable ?? retried
            }
        } else if error.hint == nil {
            error.hint = deniedHint
        }
        return OutcomeRule(
            event: retried && retriesLeft > 0 ? .retry : .fail,
            error: error,
            poolEffect: poolEffect(ending, error.reason)
        )
    }

    private static func poolEffect(_ ending: AttemptEnding, _ reason: ErrorReason) -> PoolEffect {
        switch reason {
        case .exit, .signal, .timeout, .memory, .syscallDenied, .outputLimit: return .failure
        case .launchFailed:
            guard case .launchFailed(_, _, handlerToBlame: true) = ending else { return .none }
            return .failure
        default: return .none
        }
    }

    private static func describe(_ ending: AttemptEnding) -> TaskError {
        switch ending {
        case .exited(let code):
            return TaskError(
                .exit,
                "the handler exited with \(code)\(meaning(of: code))",
                exitCode: Int(code)
            )
        case .signaled(let signal):
            let name = SignalName.of(signal)
            return TaskError(.signal, "the handler was ended by \(name)", signal: name)
        case .timedOut(let limit):
            return TaskError(.timeout, "it ran longer than its timeout of \(Quantities.text(limit))")
        case .outOfProcessorTime(let limit):
            return TaskError(.timeout, "it used more cpu time than its limit of \(Quantities.text(limit))")
        case .outOfMemory(let limit):
            return TaskError(
                .memory,
                "it used more memory than its limit of \(Quantities.text(bytes: limit))"
            )
        case .syscallDenied(let name?):
            return TaskError(
                .syscallDenied,
                "the system call \(name) is denied and ended it (on-denied: kill)"
            )
        case .syscallDenied(nil):
            return TaskError(
                .syscallDenied,
                "it entered the kernel as a program of a foreign architecture (SIGSYS)",
                signal: "SIGSYS",
                hint: "system calls of i386 and x32 are never let through; build the program for this machine"
            )
        case .tooManyDenials(let limit):
            return TaskError(.syscallDenied, "it made more than \(limit) denied system calls")
        case .outOfOutput(let limit):
            return TaskError(
                .outputLimit,
                "it wrote more than its output limit of \(Quantities.text(bytes: limit))"
            )
        case .cancelled:
            return TaskError(.cancelled, "cancelled while it was running")
        case .launchFailed(let message, let hint, _):
            return TaskError(.launchFailed, message, hint: hint)
        case .pluginChanged(let message):
            return TaskError(.pluginChanged, message)
        }
    }

    private static func meaning(of code: Int32) -> String {
        switch code {
        case 65: " (wrong input data)"
        case 75: " (a temporary failure)"
        case 78: " (wrong configuration)"
        default: ""
        }
    }
}

/// The names of Linux's signals (signal(7)).
public enum SignalName {
    private static let names: [Int32: String] = [
        1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS",
        8: "SIGFPE", 9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE",
        14: "SIGALRM", 15: "SIGTERM", 16: "SIGSTKFLT", 17: "SIGCHLD", 18: "SIGCONT", 19: "SIGSTOP",
        20: "SIGTSTP", 21: "SIGTTIN", 22: "SIGTTOU", 23: "SIGURG", 24: "SIGXCPU", 25: "SIGXFSZ",
        26: "SIGVTALRM", 27: "SIGPROF", 28: "SIGWINCH", 29: "SIGIO", 30: "SIGPWR", 31: "SIGSYS",
    ]

    /// A signal's name, or `signal N` for one that has none.
    public static func of(_ signal: Int32) -> String {
        names[signal] ?? "signal \(signal)"
    }
}
