import BulkheadCore
import BulkheadStore
import Foundation
import Testing

/// A state folder with many tasks, as a supervisor that ended suddenly would have left it.
///
/// The rows are the store's own: one task is really run and lost, and the others are made after its pattern.
struct CrowdedState {
    let bench: Workbench
    /// Tasks that ran and whose launchers are gone, the pattern among them.
    var lost: [TaskID] = []
    /// Tasks that wait.
    var queued: [TaskID] = []

    private var store: Store
    private let pattern: RunningAttempt

    /// A cap under which every one of so many attempts has room for its result.
    static func spoolCap(forRunning count: Int) -> Int64 {
        let settings = StoreSettings(path: "")
        let final = Int64(Limits.finalBytes(resultLimit: settings.resultLimit))
        return max(settings.spoolCap, 2 * Int64(count) * final)
    }

    /// Runs one task of a type that goes on for long, ends its supervisor and launcher, and opens the database.
    init(
        _ bench: Workbench,
        type: String,
        spoolCap: Int64 = CrowdedState.spoolCap(forRunning: 1)
    ) async throws {
        self.bench = bench
        let server = try await bench.start()
        let id = try TaskID(try await bench.submit(type))
        _ = try await bench.processes(of: id.text)
        #expect(try await bench.waits(for: id.text, toBe: .running))
        await bench.crash(server)
        try await bench.expectNoHandlers()
        store = try Store.open(StoreSettings(path: bench.state + "/bulkhead.sqlite", spoolCap: spoolCap))
        pattern = try #require(try await store.runningAttempts(limit: 1).first)
        lost = [id]
    }

    /// Adds tasks that run as far as the store knows, each with holdings of its own.
    mutating func addLost(_ count: Int) async throws {
        let ids = try await submit(count, type: pattern.task.type, pool: pattern.task.pool)
        let store = self.store
        let pattern = self.pattern
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, id) in ids.enumerated() {
                group.addTask {
                    var start = AttemptStart(
                        id: id,
                        expectedAttempt: 0,
                        now: pattern.attempt.startedAt,
                        handler: pattern.attempt.handler,
                        enforcement: pattern.attempt.enforcement,
                        launcher: pattern.attempt.launcher
                    )
                    let name = String(repeating: "0", count: 16) + String(number, radix: 16)
                    start.tie = pattern.tie.launcher.map {
                        LauncherTie(name: String(name.suffix(16)), secret: $0.secret)
                    }
                    start.terms = Self.terms(pattern.tie.terms, number: number, of: id)
                    _ = try #require(try await store.startAttempt(start))
                    let process = try #require(pattern.attempt.process)
                    _ = try await store.recordProcess(id, attempt: 1, process: process)
                }
            }
            try await group.waitForAll()
        }
        lost += ids
    }

    /// Adds tasks that wait.
    mutating func addQueued(_ count: Int, type: String, pool: String = "default") async throws {
        queued += try await submit(count, type: try TaskType(type), pool: try PoolName(pool))
    }

    /// Has pools back off, as after failures in a row.
    func backOff(_ pools: [PoolName], failures: Int, until: Timestamp) async throws {
        for name in pools {
            var health = PoolHealth()
            health.failures = failures
            health.backoffs = 1
            health.backoffUntil = until
            _ = try await store.save(health, of: name)
        }
    }

    /// Closes the database, so that a supervisor can have it.
    func close() async throws { try await store.close() }

    private func submit(_ count: Int, type: TaskType, pool: PoolName) async throws -> [TaskID] {
        var ids: [TaskID] = []
        for start in stride(from: 0, to: count, by: 1000) {
            let now = pattern.task.submittedAt
            let requests = (start..<min(start + 1000, count)).map { _ in
                let bits = (UInt64.random(in: 0 ... .max), UInt64.random(in: 0 ... .max))
                let id = TaskID(milliseconds: now.milliseconds, random: bits)
                let submission = Submission(id: id, type: type, params: .object([:]))
                return SubmitRequest(submission: submission, pool: pool, priority: 0, now: now)
            }
            for outcome in try await store.submit(requests) { _ = try outcome.get() }
            ids += requests.map(\.submission.id)
        }
        return ids
    }

    /// The pattern's terms with a working folder, a user and a group of their own.
    private static func terms(_ terms: JSONValue?, number: Int, of id: TaskID) -> JSONValue? {
        guard var object = terms?.object, let scratch = object["scratch"]?.string else { return terms }
        object["scratch"] = .string(scratch + "-\(number)")
        object["group"] = .string("\(id.text)-1")
        if let user = object["dynamicUser"]?.integer {
            object["dynamicUser"] = .integer(user + 1 + Int64(number))
        }
        return .object(object)
    }
}
