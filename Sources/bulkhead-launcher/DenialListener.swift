import BulkheadLaunch
import CLinux
import Glibc

/// The notifications of one handler's filter: answered, counted, told in few messages.
final class DenialListener {
    /// Why the tree must end for what was denied.
    enum Verdict: Equatable {
        case goOn
        case end(killedBy: UInt32)
    }

    private(set) var counts = DenialCounts()
    private let attempt: UInt64
    private let control: ControlSocket
    private let deniedLimit: UInt64
    private var rule: NotificationRule
    private var descriptor: Descriptor?
    private var tellAt: UInt64 = 0
    private var isOver = false

    /// Notifications that are answered before the loop looks at anything else.
    private static let batch = 64

    init(spec: LaunchSpec, control: ControlSocket) {
        attempt = spec.attempt
        self.control = control
        deniedLimit = spec.filter.deniedLimit
        let numbers = NotificationRule.Numbers(
            rendezvous: UInt32(CLINUX_RENDEZVOUS_SYSCALL),
            execve: UInt32(clinux_execve_number),
            noSuchCall: ENOSYS
        )
        rule = NotificationRule(filter: spec.filter, numbers: numbers)
    }

    /// The number to poll; nil once a denied call has ended the tree: what is still asked then gets no answer.
    var number: Int32? { isOver ? nil : descriptor?.number }

    /// When the next `denied` messages are due, if anything is to be told.
    var deadline: UInt64? { counts.hasChanges ? tellAt : nil }

    func adopt(_ listener: consuming Descriptor) {
        descriptor = consume listener
    }

    func close() {
        descriptor = nil
    }

    /// Answers what is waiting.
    func answer(handler: pid_t?) -> Verdict {
        for _ in 0..<Self.batch {
            guard let number = descriptor?.number, isWaiting(number) else { return .goOn }
            var notification = clinux_notification()
            // A process that went away between poll and receive is nothing to answer.
            guard unsafe clinux_notification_receive(number, &notification) == 0 else { continue }
            if case .end(let call) = answer(notification, number, handler) {
                isOver = true
                return .end(killedBy: call)
            }
        }
        return .goOn
    }

    /// Tells what is due; all of it at the attempt's end.
    func tell(at now: UInt64, all: Bool = false) {
        guard counts.hasChanges, all || now >= tellAt else { return }
        for change in counts.takeChanges() {
            control.send(.denied(attempt: attempt, syscall: change.number, count: change.count))
        }
        tellAt = now + LaunchLimits.deniedNanoseconds
    }

    /// Every count, as another supervisor is to hear it.
    func report() -> [LauncherMessage] {
        counts.all.map { .denied(attempt: attempt, syscall: $0.number, count: $0.count) }
    }

    private func answer(_ notification: clinux_notification, _ listener: Int32, _ handler: pid_t?) -> Verdict
    {
        let number = UInt32(bitPattern: notification.number)
        let given = notification.arguments
        let arguments = [given.0, given.1, given.2, given.3, given.4, given.5]
        switch rule.answer(
            to: number,
            arguments: arguments,
            fromHandler: pid_t(notification.pid) == handler
        ) {
        case .fail(let errno):
            _ = clinux_notification_deny(listener, notification.id, errno)
        case .proceed:
            _ = clinux_notification_continue(listener, notification.id)
        case .deny(let errno):
            counts.add(number)
            _ = clinux_notification_deny(listener, notification.id, errno)
            if counts.total > deniedLimit { return .end(killedBy: number) }
        case .letThrough:
            counts.add(number)
            // Whoever is about to be ended for its many calls gets no answer to the last.
            if counts.total > deniedLimit { return .end(killedBy: number) }
            _ = clinux_notification_continue(listener, notification.id)
        case .denyAndKill:
            counts.add(number)
            return .end(killedBy: number)
        }
        return .goOn
    }

    /// A receive would wait for ever where nothing is: on kernels before 6.11 even when every filtered process has
    /// gone.
    private func isWaiting(_ listener: Int32) -> Bool {
        var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        guard unsafe clinux_poll(&entry, 1, 0) > 0 else { return false }
        if entry.revents & Int16(POLLIN) != 0 { return true }
        // No filtered process is left.
        close()
        return false
    }
}
