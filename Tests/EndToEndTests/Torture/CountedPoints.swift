import Testing
import SeededRandom

/// Goes through the points of a supervisor's life one by one, each struck before and after it is done.
struct CountedPoints {
    private var random: SeededRandom
    private let seed: UInt64
    private(set) var reached: [FaultPoint.Kind: Int] = [:]
    /// The largest number that was reached.
    private var last: [FaultPoint.Kind: Int] = [:]

    /// Points that share a folder, and are checked together.
    private static let perFolder = 10
    /// Of so many first points the short form draws; all supervisors have them.
    private static let drawnFrom: [FaultPoint.Kind: Int] = [
        .write: 60, .sync: 15, .name: 6, .spawn: 2, .send: 6, .receive: 8, .memory: 300_000,
    ]
    /// Of the pieces of memory, which are too many to go through, so many are refused in the long form.
    private static let drawnRefusals = 200

    init(seed: UInt64) {
        self.seed = seed
        random = SeededRandom(seed: seed)
    }

    /// What was reached, in words.
    var summary: String {
        FaultPoint.Kind.allCases.map { kind in
            "\(kind) \(reached[kind, default: 0]) (up to the number \(last[kind, default: 0]))"
        }.joined(separator: ", ")
    }

    /// Strikes at the points of a kind: in the long form at each, until it is not reached any more.
    mutating func through(_ kind: FaultPoint.Kind) async throws {
        for victim in FaultPoint.Victim.allCases where Self.applies(victim, to: kind) {
            for isAfter in [false, true] where Self.applies(isAfter: isAfter, to: kind) {
                var points = points(of: kind, victim, isAfter: isAfter)[...]
                while !points.isEmpty {
                    let isOver = try await strike(points.prefix(Self.perFolder))
                    points = isOver ? [] : points.dropFirst(Self.perFolder)
                }
            }
        }
    }

    /// Only at a message it matters at which one a launcher dies; memory is what a call can lack.
    private static func applies(_ victim: FaultPoint.Victim, to kind: FaultPoint.Kind) -> Bool {
        switch victim {
        case .supervisor: kind != .memory
        case .launchers: kind == .send || kind == .receive
        case .call: kind == .memory
        }
    }

    private static func applies(isAfter: Bool, to kind: FaultPoint.Kind) -> Bool {
        switch kind {
        case .receive: isAfter
        case .memory: !isAfter
        default: true
        }
    }

    private mutating func points(
        of kind: FaultPoint.Kind,
        _ victim: FaultPoint.Victim,
        isAfter: Bool
    ) -> [FaultPoint] {
        let numbers: [Int]
        if kind == .memory {
            let count =
                TortureLength.isLong ? min(TortureLength.points, Self.drawnRefusals) : TortureLength.points
            let last = Self.drawnFrom[kind] ?? 1
            numbers = (0..<count).map { _ in Int.random(in: 1...last, using: &random) }.sorted()
        } else if TortureLength.isLong {
            numbers = Array(1...10_000).prefix(TortureLength.points).map(\.self)
        } else {
            let first = Array(1...(Self.drawnFrom[kind] ?? 1)).shuffled(using: &random)
            numbers = first.prefix(isAfter ? 1 : TortureLength.points).sorted()
        }
        return numbers.map { FaultPoint(kind: kind, victim: victim, number: $0, isAfter: isAfter) }
    }

    /// Strikes at some points, one after another in one folder, and checks what came of it.
    /// - Returns: Whether one of them was not reached.
    private mutating func strike(_ points: ArraySlice<FaultPoint>) async throws -> Bool {
        var torture = try Torture(seed: random.next())
        var isOver = false
        for point in points where !isOver {
            if try await torture.round(strikingAt: point) {
                reached[point.kind, default: 0] += 1
                last[point.kind] = max(last[point.kind] ?? 0, point.number)
            } else {
                isOver = true
            }
        }
        let violations = try await torture.finish()
        let name = "\(points.first?.description ?? "nothing") to \(points.last?.number ?? 0)"
        for violation in violations { Issue.record("BULKHEAD_TORTURE_SEED=\(seed), \(name): \(violation)") }
        if !violations.isEmpty { EndToEnd.TortureTests.keep(torture, name) }
        if TortureLength.isLong { print("torture: \(name): \(violations.count) violations") }
        return isOver
    }
}
