/// How many tasks may start at which moment after a start of the supervisor.
///
/// A restart finds everything that waits due at one moment. The first few start at once, so that a small queue notices
/// nothing; then each step lets a few more start than the one before, until after some seconds nothing is held back.
/// The steps are jittered, so that machines that were started together do not launch in step. What a step leaves over
/// is not saved up.
public struct LaunchRamp: Sendable, Equatable {
    /// Tasks that the first step starts.
    public static let firstStarts = 8
    /// The length of a step, of which the jitter makes between half and one and a half.
    public static let step: Duration = .milliseconds(100)
    /// Steps until nothing is held back any more.
    public static let steps = 30
    /// By how much, in hundredths, a step starts more than the one before it.
    private static let growth = 115

    private var taken = 0
    private var number = 0
    private var end: Timestamp?

    /// Makes a ramp that begins when it is first asked.
    public init() {}

    /// Whether nothing is held back any more.
    public var isOver: Bool { number >= Self.steps }

    /// The moment at which the next step begins; nil where there is none.
    public var nextStep: Timestamp? { isOver ? nil : end }

    /// Tasks that may still start in this step; nil where nothing is held back.
    public var left: Int? { isOver ? nil : max(Self.starts(inStep: number) - taken, 0) }

    /// Tasks that one of several pools may start, so that none takes the whole step.
    /// - Parameter pools: The pools that are still to have their turn, this one among them.
    /// - Returns: The number; nil where nothing is held back.
    public func share(amongPools pools: Int) -> Int? {
        left.map { ($0 + max(pools, 1) - 1) / max(pools, 1) }
    }

    /// Goes on to the step of a moment.
    /// - Parameters:
    ///   - now: The moment.
    ///   - random: Numbers from 0 up to, but not including, 1, for the jitter.
    public mutating func advance(to now: Timestamp, random: () -> Double) {
        guard var end else { return begin(at: now, random()) }
        while !isOver, end <= now {
            number += 1
            taken = 0
            end = end + Self.length(random())
        }
        self.end = end
    }

    /// Notes that tasks start.
    public mutating func take(_ count: Int) { taken += count }

    private mutating func begin(at now: Timestamp, _ random: Double) {
        end = now + Self.length(random)
    }

    private static func length(_ random: Double) -> Duration {
        .milliseconds(Int64(Double(step.wholeMilliseconds) * (0.5 + min(max(random, 0), 1))))
    }

    private static func starts(inStep number: Int) -> Int {
        var hundredths = firstStarts * 100
        for _ in 0..<number { hundredths = hundredths * growth / 100 }
        return hundredths / 100
    }
}
