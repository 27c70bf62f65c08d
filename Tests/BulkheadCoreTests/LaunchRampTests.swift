import BulkheadCore
import Testing
import SeededRandom

@Suite("LaunchRamp")
struct LaunchRampTests {
    private let begin = Timestamp(milliseconds: 1_000_000)

    /// How many of very many tasks have started by each tenth of a second, where all start that may.
    private func starts(_ random: () -> Double, looksEvery milliseconds: Int = 1) -> [Int] {
        var ramp = LaunchRamp()
        var total = 0
        var totals: [Int] = []
        for moment in stride(from: 0, through: 5_000, by: milliseconds) {
            ramp.advance(to: begin + .milliseconds(moment), random: random)
            guard let left = ramp.left else { break }
            ramp.take(left)
            total += left
            if moment % 100 == 0 { totals.append(total) }
        }
        return totals
    }

    @Test("a small queue starts at once, and the next few within a tenth of a second and a half")
    func smallQueue() {
        var ramp = LaunchRamp()
        ramp.advance(to: begin) { 0.999 }
        #expect(ramp.left == LaunchRamp.firstStarts && !ramp.isOver)
        ramp.take(LaunchRamp.firstStarts)
        #expect(ramp.left == 0)
        let next = ramp.nextStep
        #expect(next.map { $0 - begin <= .milliseconds(150) } == true)
        ramp.advance(to: begin + .milliseconds(150)) { 0.999 }
        #expect(ramp.left.map { $0 > LaunchRamp.firstStarts } == true)
    }

    @Test(
        "starts grow from a few to thousands in some seconds, and then nothing is held back",
        arguments: [0, 0.25, 0.5, 0.999]
    )
    func grows(jitter: Double) {
        let totals = starts { jitter }
        #expect(totals[0] == LaunchRamp.firstStarts)
        #expect(totals[10] <= 1_000, "after a second \(totals[10]) have started")
        #expect(totals.last.map { $0 > 2_000 } == true)
        #expect(totals.count <= 46, "it is over within four seconds and a half")
        for (before, after) in zip(totals, totals.dropFirst()) { #expect(after >= before) }
    }

    @Test("what was not used is not saved up, and a supervisor that had nothing to do holds nothing back")
    func notSavedUp() {
        var ramp = LaunchRamp()
        ramp.advance(to: begin) { 0.5 }
        ramp.advance(to: begin + .milliseconds(500)) { 0.5 }
        let afterFive = ramp.left
        #expect(afterFive.map { $0 < 2 * LaunchRamp.firstStarts + 2 } == true)
        ramp.advance(to: begin + .seconds(60)) { 0.5 }
        #expect(ramp.isOver && ramp.left == nil && ramp.nextStep == nil)
        #expect(ramp.share(amongPools: 3) == nil)
    }

    @Test("two machines that start together do not launch in step")
    func jittered() {
        var (one, two) = (SeededRandom(seed: 1), SeededRandom(seed: 2))
        let first = starts { Double.random(in: 0..<1, using: &one) }
        let second = starts { Double.random(in: 0..<1, using: &two) }
        #expect(first.prefix(30) != second.prefix(30))
    }

    @Test(
        "pools share a step: each has a turn, and together they start no more than it gives",
        arguments: 1...12
    )
    func shares(pools: Int) {
        var ramp = LaunchRamp()
        ramp.advance(to: begin) { 0.5 }
        var total = 0
        for pool in 0..<pools {
            let share = ramp.share(amongPools: pools - pool) ?? 0
            #expect(share > 0 || total == LaunchRamp.firstStarts)
            ramp.take(share)
            total += share
        }
        #expect(total == LaunchRamp.firstStarts && ramp.left == 0)
    }
}
