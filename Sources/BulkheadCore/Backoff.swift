/// A delay that doubles, capped and jittered.
public struct BackoffSchedule: Sendable, Equatable {
    /// How a delay is spread, so that many waits do not end at one moment.
    public enum Jitter: String, Sendable, CaseIterable {
        /// Anywhere between nothing and the whole delay.
        case full
        /// The whole delay.
        case none
    }

    /// The first delay.
    public var delay: Duration
    /// The longest delay.
    public var maximum: Duration
    /// How a delay is spread.
    public var jitter: Jitter

    /// Makes a schedule.
    public init(delay: Duration, maximum: Duration, jitter: Jitter = .full) {
        self.delay = delay
        self.maximum = maximum
        self.jitter = jitter
    }

    /// The wait before a step: `delay`·2ⁿ up to `maximum`, jittered.
    /// - Parameters:
    ///   - step: n, from 0.
    ///   - random: A number from 0 up to, but not including, 1.
    /// - Returns: The wait, never longer than `maximum`.
    public func wait(step: Int, random: Double) -> Duration {
        let first = min(delay, maximum).wholeMilliseconds
        let most = maximum.wholeMilliseconds
        let doublings = min(max(step, 0), 62)
        let (doubled, overflow) = first.multipliedReportingOverflow(by: 1 << doublings)
        let capped = overflow ? most : min(doubled, most)
        switch jitter {
        case .full: return .milliseconds(Int64(Double(capped) * min(max(random, 0), 1)))
        case .none: return .milliseconds(capped)
        }
    }
}
