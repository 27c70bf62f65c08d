/// The processor time that a whole tree may use, watched by looking from time to time.
///
/// The kernel limits one process (RLIMIT_CPU); the tree's sum is the launcher's to count.
public struct CPUBudget: Sendable, Equatable {
    /// Nanoseconds that the tree may use.
    public let limitNanoseconds: UInt64
    private let processors: UInt64

    private static let second: UInt64 = 1_000_000_000
    private static let shortestPause: UInt64 = 20_000_000

    /// Makes a budget; nil where there is no limit.
    ///
    /// - Parameters:
    ///   - limitNanoseconds: Nanoseconds that the tree may use; 0: no limit.
    ///   - processors: How many processors can work for the tree at once.
    public init?(limitNanoseconds: UInt64, processors: Int) {
        guard limitNanoseconds > 0 else { return nil }
        self.limitNanoseconds = limitNanoseconds
        self.processors = UInt64(max(1, processors))
    }

    /// RLIMIT_CPU of each process, in whole seconds: never below the limit, so that the sum decides first.
    public var secondsPerProcess: UInt64 {
        let (whole, part) = limitNanoseconds.quotientAndRemainder(dividingBy: Self.second)
        return whole + (part > 0 ? 1 : 0)
    }

    /// Whether the budget is used up.
    public func isExceeded(by usedNanoseconds: UInt64) -> Bool { usedNanoseconds >= limitNanoseconds }

    /// Nanoseconds until the next look: no earlier than the budget can be used up, at most a second.
    public func pause(after usedNanoseconds: UInt64) -> UInt64 {
        let left = limitNanoseconds - min(limitNanoseconds, usedNanoseconds)
        return min(Self.second, max(Self.shortestPause, left / processors))
    }

    /// Whether an ending without a stop was the kernel's, at the limit of one process.
    ///
    /// - Parameters:
    ///   - ending: How the handler's own process ended.
    ///   - usedNanoseconds: What the tree had used by then.
    ///   - xcpu: SIGXCPU of this machine.
    ///   - kill: SIGKILL of this machine.
    /// - Returns: Whether the processor time was what ended it.
    public func explains(_ ending: Ending, usedNanoseconds: UInt64, xcpu: Int32, kill: Int32) -> Bool {
        switch ending {
        case .exited: false
        case .signaled(let signal) where signal == xcpu: true
        case .signaled(let signal): signal == kill && isExceeded(by: usedNanoseconds)
        }
    }
}
