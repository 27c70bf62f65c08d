/// Where a task stands; the last four are terminal.
public enum TaskStatus: String, Sendable, CaseIterable {
    /// Waits for its turn.
    case queued
    /// An attempt of it runs.
    case running
    /// Its handler succeeded.
    case completed
    /// Its handler failed and is not tried again.
    case failed
    /// Someone cancelled it.
    case cancelled
    /// A crash took it and its policy does not let it run again.
    case interrupted

    /// Whether the run is over.
    public var isTerminal: Bool {
        switch self {
        case .queued, .running: false
        case .completed, .failed, .cancelled, .interrupted: true
        }
    }
}

/// What can happen to a task.
public enum TaskEvent: String, Sendable, CaseIterable {
    /// A submit that executes a task that failed, was interrupted or cancelled.
    case resubmit
    /// An attempt begins.
    case start
    /// The attempt succeeded.
    case complete
    /// The attempt failed for good, or the task cannot start.
    case fail
    /// The attempt failed and another one will follow.
    case retry
    /// Someone cancelled it.
    case cancel
    /// It was lost and does not run again.
    case interrupt
    /// It was lost and runs again.
    case rehydrate
    /// The launch failed before the handler ran, for want of something that will come back.
    case putBack
}

extension TaskStatus {
    /// The status after an event.
    /// - Parameter event: What happened.
    /// - Returns: The next status, or nil where the event is not legal in this one.
    public func after(_ event: TaskEvent) -> TaskStatus? {
        switch (self, event) {
        case (.failed, .resubmit), (.cancelled, .resubmit), (.interrupted, .resubmit): .queued
        case (.queued, .start): .running
        case (.running, .complete): .completed
        case (.queued, .fail), (.running, .fail): .failed
        case (.running, .retry), (.running, .rehydrate), (.running, .putBack): .queued
        case (.queued, .cancel), (.running, .cancel): .cancelled
        case (.running, .interrupt): .interrupted
        default: nil
        }
    }
}

/// Why a task did not complete; the words of contract §3.
public enum ErrorReason: String, Sendable, CaseIterable {
    /// The handler ended with a code other than 0.
    case exit
    /// A signal ended the handler.
    case signal
    /// It took longer than its timeout, or more processor time than its limit.
    case timeout
    /// It took more memory than its limit.
    case memory
    /// A denied system call ended it.
    case syscallDenied = "syscall-denied"
    /// It wrote more output than its limit.
    case outputLimit = "output-limit"
    /// Someone cancelled it.
    case cancelled
    /// A crash took it.
    case supervisorLost = "supervisor-lost"
    /// It could not be started.
    case launchFailed = "launch-failed"
    /// Its handler was gone when its turn came.
    case noHandler = "no-handler"
    /// Its policy was wrong when its turn came.
    case policyInvalid = "policy-invalid"
    /// The handler's file is not the one that was checked.
    case pluginChanged = "plugin-changed"
    /// Too many losses to a crash in a row.
    case poison
    /// Its `expiresAt` passed while it was queued.
    case expired

    /// Whether a failure of this reason may be tried again, as far as the reason decides.
    public var isRetried: Bool {
        switch self {
        case .exit, .signal, .timeout, .memory: true
        default: false
        }
    }
}
