import BulkheadCore
import Foundation
import SeededRandom
import Testing

@testable import BulkheadStore

/// A store under random work, beside a plain model of what it must hold.
protocol ModelDrive {
    var bench: StoreWorkbench { get set }
    var store: Store { get set }
    var random: SeededRandom { get set }

    /// Does the same to the store and to the model.
    mutating func step() async throws

    /// Compares the two.
    mutating func check() async throws
}

/// With `BULKHEAD_MODEL_STEPS` set to a number the work is that long.
enum ModelRun {
    private static let asked = ProcessInfo.processInfo.environment["BULKHEAD_MODEL_STEPS"].flatMap { Int($0) }
    private static let crashOdds = 400
    private static let auditEvery = 250

    /// Whether somebody asks for another length, so that not every step needs the dearest looks.
    static var isLong: Bool { asked != nil }

    /// Steps of a run that is this long where nobody asks for another.
    static func steps(_ usual: Int) -> Int { asked ?? usual }

    /// Runs the work, with a crash now and then, and compares store and model every so many steps.
    static func run<Drive: ModelDrive>(_ drive: Drive, steps: Int, checkingEvery interval: Int) async throws {
        var drive = drive
        defer { drive.bench.remove() }
        let began = ContinuousClock.now
        var crashes = 0
        for step in 1...steps {
            try await drive.step()
            if step.isMultiple(of: interval) { try await drive.check() }
            if step.isMultiple(of: auditEvery) { try await StoreWorkbench.audit(drive.store) }
            if Int.random(in: 0..<crashOdds, using: &drive.random) == 0 {
                try await drive.crash()
                try await drive.check()
                crashes += 1
            }
        }
        try await drive.check()
        try await StoreWorkbench.audit(drive.store)
        try await drive.store.close()
        if asked != nil {
            print("\(Drive.self): \(steps) steps, \(crashes) crashes in \(began.duration(to: .now))")
        }
    }
}

extension ModelDrive {
    /// Goes on with what a process that is killed at this moment leaves.
    mutating func crash() async throws {
        let image = try StoreWorkbench()
        try bench.copyFiles(to: image)
        var settings = store.settings
        settings.path = image.path
        try await store.close()
        bench.remove()
        bench = image
        store = try Store.open(settings)
    }
}
