import BulkheadLaunch

/// Tells when a launcher with an attempt has been silent for so long that it must be stuck, as by SIGSTOP.
///
/// The launcher enforces timeout and grace; this only guards against a launcher that does nothing any more.
/// Its clock is the launcher's, which stands still while the host sleeps. Pure: time is passed in.
struct SilenceWatch: Sendable, Equatable {
    typealias Instant = SuspendingClock.Instant

    private let timeout: Duration?
    private let grace: Duration
    /// What a launcher may need for its own work: the launch itself, the drain, the end of the tree.
    private let margin: Duration
    /// By when something decisive must have come; nil: the handler may run for ever.
    private var dueAt: Instant?
    private var heardAt: Instant
    private var received: [OutputStream: UInt64] = [:]
    private var acknowledged: [OutputStream: UInt64] = [:]

    init(_ spec: LaunchSpec, margin: Duration, now: Instant) {
        self.init(
            timeout: spec.timeoutNanoseconds == 0 ? nil : .nanoseconds(spec.timeoutNanoseconds),
            grace: .nanoseconds(spec.graceNanoseconds),
            margin: margin,
            now: now
        )
    }

    init(timeout: Duration?, grace: Duration, margin: Duration, now: Instant) {
        self.timeout = timeout
        self.grace = grace
        self.margin = margin
        dueAt = now + margin
        heardAt = now
    }

    /// The launcher said something.
    mutating func heard(_ message: LauncherMessage, now: Instant) {
        heardAt = now
        switch message {
        case .started: dueAt = timeout.map { now + $0 + grace + margin }
        case .output(_, let stream, let offset, let bytes): received[stream] = offset + UInt64(bytes.count)
        default: break
        }
    }

    /// The launcher was told something.
    mutating func told(_ message: SupervisorMessage, now: Instant) {
        switch message {
        case .stop: dueAt = min(dueAt ?? now + grace + margin, now + grace + margin)
        case .resume(_, let stdout, let stderr):
            acknowledged = [.stdout: stdout, .stderr: stderr]
            received = acknowledged
        case .outputAck(_, let stream, let offset):
            acknowledged[stream] = offset
            heardAt = now
        default: break
        }
    }

    /// The launcher could say nothing, since its socket was not read.
    mutating func excuse(now: Instant) {
        heardAt = now
    }

    /// Whether the launcher is stuck: its time is over, it says nothing, and it does not wait for us.
    func isOverdue(now: Instant) -> Bool {
        guard let dueAt, now > dueAt, now > heardAt + margin else { return false }
        return received == acknowledged
    }
}
