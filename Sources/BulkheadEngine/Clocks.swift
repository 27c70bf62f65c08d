public import BulkheadCore
import FoundationEssentials

/// Where the engine takes time and chance from, so that tests can give both.
public struct Clocks: Sendable {
    /// The wall clock, for what is shown and for what goes by date.
    public var wall: @Sendable () -> Timestamp
    /// The wall clock as it was at the start plus the time since; it never jumps, and waits go by it.
    public var steady: @Sendable () -> Timestamp
    /// A number from 0 up to, but not including, 1.
    public var random: @Sendable () -> Double
    /// The random part of an id.
    public var randomBits: @Sendable () -> (UInt64, UInt64)

    /// Makes clocks from their parts.
    public init(
        wall: @escaping @Sendable () -> Timestamp,
        steady: @escaping @Sendable () -> Timestamp,
        random: @escaping @Sendable () -> Double,
        randomBits: @escaping @Sendable () -> (UInt64, UInt64)
    ) {
        self.wall = wall
        self.steady = steady
        self.random = random
        self.randomBits = randomBits
    }

    /// The date at which a moment of the steady clock comes, as the wall clock stands now.
    func date(of moment: Timestamp) -> Timestamp { wall() + (moment - steady()) }

    /// The machine's clocks and its source of randomness.
    public static let system = Clocks(
        wall: { currentWallTime() },
        steady: { startOfWaiting.wall + startOfWaiting.instant.duration(to: .now) },
        random: { Double.random(in: 0..<1) },
        randomBits: { (UInt64.random(in: 0...UInt64.max), UInt64.random(in: 0...UInt64.max)) }
    )

    private static let startOfWaiting = (wall: currentWallTime(), instant: ContinuousClock.now)

    private static func currentWallTime() -> Timestamp {
        Timestamp(milliseconds: Int64(Date.now.timeIntervalSince1970 * 1_000))
    }
}
