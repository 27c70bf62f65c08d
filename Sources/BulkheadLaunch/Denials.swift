/// Denied system calls, counted by number, so that many of them share one message.
public struct DenialCounts: Sendable, Equatable {
    /// A number and how often it was denied so far.
    public struct Count: Sendable, Equatable {
        /// The system call's number.
        public var number: UInt32
        /// Denials since the attempt's start.
        public var count: UInt64
    }

    /// Denied calls in all.
    public private(set) var total: UInt64 = 0
    /// Denied calls of numbers that came when `LaunchLimits.deniedNumbers` others were counted already.
    public private(set) var unnamed: UInt64 = 0
    private var counts: [UInt32: UInt64] = [:]
    private var changed: Set<UInt32> = []

    /// Makes an empty count.
    public init() {}

    /// Whether there is something that `takeChanges` would give.
    public var hasChanges: Bool { !changed.isEmpty }

    /// Counts one denied call.
    public mutating func add(_ number: UInt32) {
        total += 1
        guard counts[number] != nil || counts.count < LaunchLimits.deniedNumbers else {
            unnamed += 1
            return
        }
        counts[number, default: 0] += 1
        changed.insert(number)
    }

    /// Every count, by number.
    public var all: [Count] {
        counts.sorted { $0.key < $1.key }.map { Count(number: $0.key, count: $0.value) }
    }

    /// Gives the counts that have changed since the last call, by number.
    public mutating func takeChanges() -> [Count] {
        defer { changed.removeAll(keepingCapacity: true) }
        return changed.sorted().map { Count(number: $0, count: counts[$0, default: 0]) }
    }
}

/// What a notification of the filter is answered with.
public enum NotificationAnswer: Sendable, Equatable {
    /// The call fails with this errno and counts for nothing.
    case fail(errno: Int32)
    /// The call goes through.
    case proceed
    /// The call fails with this errno and is counted.
    case deny(errno: Int32)
    /// The call is counted and goes through all the same.
    case letThrough
    /// The call is counted, and the whole tree is ended for it, unanswered.
    case denyAndKill
}

/// Decides what notifications are answered with: the rendezvous and our own exec are no denied calls.
public struct NotificationRule: Sendable, Equatable {
    /// The numbers that the rule must tell apart.
    public struct Numbers: Sendable, Equatable {
        /// The number that no kernel has.
        public var rendezvous: UInt32
        /// `execve` of this machine.
        public var execve: UInt32
        /// ENOSYS of this machine.
        public var noSuchCall: Int32

        /// Makes the numbers of a machine.
        public init(rendezvous: UInt32, execve: UInt32, noSuchCall: Int32) {
            self.rendezvous = rendezvous
            self.execve = execve
            self.noSuchCall = noSuchCall
        }
    }

    private let numbers: Numbers
    private let onDenied: DeniedAction
    private let answers: [UInt32: [DenialAnswer]]
    private var execPending: Bool

    /// Makes the rule of an attempt.
    ///
    /// - Parameters:
    ///   - filter: The attempt's filter.
    ///   - numbers: The machine's numbers.
    public init(filter: FilterSpec, numbers: Numbers) {
        self.numbers = numbers
        onDenied = filter.onDenied
        answers = Dictionary(grouping: filter.answers, by: \.number)
        execPending = filter.firstExecNotified
    }

    /// Decides one notification.
    ///
    /// - Parameters:
    ///   - number: The system call's number.
    ///   - arguments: Its six arguments.
    ///   - fromHandler: Whether the handler's own process made it.
    /// - Returns: The answer.
    public mutating func answer(
        to number: UInt32,
        arguments: [UInt64],
        fromHandler: Bool
    ) -> NotificationAnswer {
        if number == numbers.rendezvous { return .fail(errno: numbers.noSuchCall) }
        if execPending, fromHandler, number == numbers.execve {
            execPending = false
            return .proceed
        }
        switch action(for: number, arguments) {
        case .errno(let errno): return .deny(errno: errno)
        case .kill: return .denyAndKill
        case .audit(let errno, let held): return held.contains(number) ? .deny(errno: errno) : .letThrough
        }
    }

    private func action(for number: UInt32, _ arguments: [UInt64]) -> DeniedAction {
        let fitting = answers[number]?.first { answer in
            answer.conditions.allSatisfy { $0.holds(for: arguments) }
        }
        return fitting?.action ?? onDenied
    }
}
