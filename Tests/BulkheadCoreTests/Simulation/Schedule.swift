import BulkheadCore

/// One crash schedule: steps drawn from a seed, the invariants after each, and a quiet end.
struct Schedule {
    let seed: UInt64
    private var world: World
    private(set) var violation: String?

    static let steps = 60
    /// Steps of the quiet end; a world that still has something to do then is stuck.
    private static let quietSteps = 600
    private static let tasks = 6
    private static let year: Int64 = 365 * 86_400_000

    /// Draws and checks a schedule.
    /// - Returns: The first thing that must not be, with the step; nil where all held.
    static func violation(seed: UInt64, rules: Rules = Rules()) -> String? {
        var schedule = Schedule(seed: seed, world: World(seed: seed, rules: rules))
        schedule.run()
        return schedule.violation
    }

    private init(seed: UInt64, world: World) {
        self.seed = seed
        self.world = world
    }

    private mutating func run() {
        for step in 0..<Self.steps {
            let before = world
            let name = takeStep()
            check(after: "step \(step), \(name)", before)
            guard violation == nil else { return }
        }
        settle()
    }

    // MARK: Steps

    private mutating func takeStep() -> String {
        world.wall = world.wall + .milliseconds(Int64.random(in: 0...800, using: &world.random))
        world.steady = world.steady + .milliseconds(Int64.random(in: 0...800, using: &world.random))
        world.submitted = nil
        let task = Int.random(in: 0..<Self.tasks, using: &world.random)
        switch Int.random(in: 0..<100, using: &world.random) {
        case 0..<14:
            world.submit(task, params: .object([:]))
            return "submit \(task)"
        case 14..<16:
            world.submit(task, params: World.otherParams)
            return "submit \(task) with other params"
        case 16..<20:
            world.cancel(task)
            return "cancel \(task)"
        case 20..<36: world.dispatch(); return "dispatch"
        case 36..<52: world.launch(); return "launch"
        case 52..<64: return endHandler()
        case 64..<74: world.takeOutcome(); return "take an outcome"
        case 74..<79: world.acknowledge(); return "acknowledge"
        case 79..<83: world.killLauncher(); return "kill a launcher"
        case 83..<86: world.crash(); return "crash"
        case 86..<87: world.stop(); return "stop"
        case 87..<91: world.restart(); return "restart"
        case 91..<97: world.recoverOne(); return "recover one"
        case 97..<99:
            let days = Int64.random(in: -Self.year...Self.year, using: &world.random)
            world.wall = world.wall + .milliseconds(days)
            return "set the clock"
        default:
            world.wall = world.wall + .seconds(20)
            world.steady = world.steady + .seconds(20)
            return "wait"
        }
    }

    private static let endings: [AttemptEnding] = [
        .exited(code: 0), .exited(code: 0), .exited(code: 0), .exited(code: 1), .exited(code: 65),
        .exited(code: 75), .exited(code: 78), .signaled(signal: 11), .timedOut(after: .seconds(1)),
        .outOfMemory(limit: 1), .outOfOutput(limit: 1), .syscallDenied(name: "ptrace"),
    ]

    private mutating func endHandler() -> String {
        let live = world.launchers.indices.filter { world.launchers[$0].ending == nil }
        guard let index = live.randomElement(using: &world.random),
            let ending = Self.endings.randomElement(using: &world.random)
        else { return "nothing" }
        var error: HandlerError?
        if case .exited = ending, Int.random(in: 0..<5, using: &world.random) == 0 {
            let retryable = [nil, true, false].randomElement(using: &world.random) ?? nil
            error = HandlerError(message: "it says so", retryable: retryable, hint: nil)
        }
        world.handlerEnds(index, ending, error)
        return "end of a handler"
    }

    /// Nothing goes wrong any more: everything ends.
    private mutating func settle() {
        for step in 0..<Self.quietSteps {
            let before = world
            world.wall = world.wall + .seconds(5)
            world.steady = world.steady + .seconds(5)
            world.restart()
            world.recoverOne()
            world.dispatch()
            check(after: "quiet step \(step)", before)
            world.launch()
            for index in world.launchers.indices where world.launchers[index].ending == nil {
                world.handlerEnds(index, .exited(code: 0), nil)
            }
            let taken = world
            world.takeOutcome()
            check(after: "quiet step \(step)", taken)
            world.acknowledge()
            if violation != nil { return }
            if world.rows.values.allSatisfy({ $0.status.isTerminal }), world.launchers.isEmpty { return }
        }
        violation = "seed \(seed): stuck with \(world.rows.values.filter { !$0.status.isTerminal })"
    }

    private mutating func check(after step: String, _ before: World) {
        guard violation == nil, let found = WorldCheck(before: before, now: world).violation else { return }
        violation = "seed \(seed), \(step): \(found)"
    }
}
