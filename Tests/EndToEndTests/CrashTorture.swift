import BulkheadCore
import Foundation
import Synchronization
import Testing

/// Rounds of load, each ended by kill -9, and the check of everything that was promised meanwhile.
struct CrashTorture {
    private let bench: Workbench
    private var random: SeededRandom
    private let accepted = Accepted()
    private var crashes: Int64 = 0
    /// The terminal tasks as they were just before the last crash.
    private var settled: [String: JSONValue] = [:]

    /// What supervisors have acknowledged, by id.
    private final class Accepted: Sendable {
        private let types = Mutex<[String: String]>([:])

        func note(_ id: String, _ type: String) { types.withLock { $0[id] = type } }
        var all: [String: String] { types.withLock(\.self) }
    }

    /// The types that clients draw from, each as often as it is to come.
    private static let types = [
        "quick", "quick", "quick", "quick", "talk", "talk", "slow", "flaky", "bad", "bad",
    ]
    private static let lines = 200

    init(seed: UInt64) throws {
        random = SeededRandom(seed: seed)
        bench = try Workbench()
        // Each attempt leaves a file of its own, since each may have a user of its own.
        try FileManager.default.createDirectory(
            atPath: bench.folder + "/effects",
            withIntermediateDirectories: false
        )
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o1777],
            ofItemAtPath: bench.folder + "/effects"
        )
        let effect = "echo begin >> '\(bench.folder)/effects/'$BULKHEAD_TASK_ID.$BULKHEAD_ATTEMPT\n"
        let write = "sandbox: {write: [\"\(bench.folder)/effects\"]}\n"
        let rehydrate = "recovery: {mode: rehydrate, limit: 1000}\n"
        try bench.handler("quick", effect)
        try bench.policy("quick", write + rehydrate)
        let count = Self.lines
        try bench.handler(
            "talk",
            effect
                + "i=0; while [ $i -lt \(count) ]; do echo \"line $i\"; i=$((i+1)); done\nsleep 0.05\necho end"
        )
        try bench.policy("talk", write + rehydrate + "pool: talk\n")
        try bench.handler("slow", effect + "sleep 0.2")
        try bench.policy("slow", write + "pool: slow\n")
        try bench.handler("flaky", effect + "exit 75")
        try bench.policy("flaky", write + rehydrate + "retry: {limit: 2, delay: 5ms}\n")
        try bench.handler("bad", effect + "exit 65")
        try bench.policy("bad", write + rehydrate)
        try bench.policy(
            "pools",
            "default: {concurrency: 4}\ntalk: {concurrency: 3}\nslow: {concurrency: 2}\n"
        )
    }

    /// Starts, takes submits of several clients for a random time, and crashes.
    mutating func round() async throws {
        let server = try await bench.start()
        let time = Duration.milliseconds(Int.random(in: 300...1200, using: &random))
        let seeds = (0..<4).map { _ in random.next() }
        try await withThrowingTaskGroup(of: Void.self) { [bench, accepted] group in
            for seed in seeds {
                group.addTask { await Self.submitUntilRefused(bench, SeededRandom(seed: seed), accepted) }
            }
            do {
                try await check(still: settled)
                try await Task.sleep(for: time)
                settled = try await terminal()
            } catch {
                await bench.crash(server)
                throw error
            }
            await bench.crash(server)
            try await group.waitForAll()
        }
        crashes += 1
        try await bench.expectNoHandlers()
    }

    /// One client: submits one task after another until there is no supervisor.
    private static func submitUntilRefused(
        _ bench: Workbench,
        _ random: SeededRandom,
        _ accepted: Accepted
    ) async {
        var random = random
        while true {
            let type = types.randomElement(using: &random) ?? "quick"
            let id = UUID().uuidString.lowercased()
            let task: JSONValue = ["type": .string(type), "id": .string(id)]
            guard let answer = try? await bench.api("POST", "/v1/tasks", task) else { return }
            guard answer.status == 201 else {
                Issue.record("a submit got \(answer.status): \(answer.text)")
                return
            }
            accepted.note(id, type)
            try? await Task.sleep(for: .milliseconds(Int.random(in: 0...15, using: &random)))
        }
    }

    /// The terminal tasks, as they are.
    private func terminal() async throws -> [String: JSONValue] {
        let tasks = try await bench.allTasks().filter { !["queued", "running"].contains($0.text("status")) }
        return Dictionary(uniqueKeysWithValues: tasks.map { ($0.text("id"), $0) })
    }

    /// What was terminal is as it was, and did not run again.
    private func check(still before: [String: JSONValue]) async throws {
        let now = try await terminal()
        for (id, task) in before { #expect(now[id] == task, "the terminal task \(id) changed") }
    }

    /// Lets everything end, then checks each task.
    func finish() async throws {
        let server = try await bench.start()
        do {
            try await check(still: settled)
            #expect(try await bench.waitsUntilIdle(within: .seconds(120)))
            let tasks = try await bench.allTasks()
            let byID = Dictionary(grouping: tasks) { $0.text("id") }
            #expect(byID.values.allSatisfy { $0.count == 1 }, "a task is there twice")
            let promised = accepted.all
            print("\(crashes) crashes, \(promised.count) tasks acknowledged, \(tasks.count) there")
            for id in promised.keys where byID[id] == nil {
                Issue.record("the acknowledged task \(id) is lost")
            }
            let lost = tasks.filter { $0["interruptions"]?.integer ?? 0 > 0 }
            print("\(lost.count) tasks were hit by a crash")
            // Less would be no load, and a crash that hits nothing no test.
            #expect(Int64(promised.count) >= 20 * crashes && Int64(lost.count) >= crashes / 2)
            for task in tasks { checkCounters(task) }
            for task in lost.prefix(200) { try await checkAttempts(of: task) }
            let talkers = tasks.filter { $0.text("type") == "talk" }
            for task in talkers.prefix(200) { try await checkOutput(of: task) }
            try checkEffects(byID)
            #expect(bench.handlerProcesses.isEmpty)
        } catch {
            await bench.crash(server)
            throw error
        }
        let end = await bench.stop(server)
        #expect(end.code == 0, "serve ended with \(end)")
        #expect(bench.scratchFolders.isEmpty)
    }

    private func checkCounters(_ task: JSONValue) {
        let losses = task["interruptions"]?.integer ?? -1
        let attempts = task["attempt"]?.integer ?? -1
        let status = task.text("status")
        #expect(task["run"] == 1, "\(task.text)")
        switch task.text("type") {
        case "quick", "talk": #expect(status == "completed" && attempts == losses + 1, "\(task.text)")
        case "bad":
            #expect(status == "failed" && task.reason == "exit" && attempts == losses + 1, "\(task.text)")
        case "flaky":
            #expect(status == "failed" && task.reason == "exit" && attempts == losses + 3, "\(task.text)")
        case "slow":
            let isLost = status == "interrupted" && task.reason == "supervisor-lost" && losses == 1
            #expect(attempts == 1 && (isLost || (status == "completed" && losses == 0)), "\(task.text)")
        default: Issue.record("what is this? \(task.text)")
        }
        #expect((0...crashes * 2).contains(losses))
    }

    private func checkAttempts(of task: JSONValue) async throws {
        let shown = try await bench.api("GET", "/v1/tasks/" + task.text("id")).json
        let attempts = shown["attempts"]?.array ?? []
        #expect(attempts.count == min(Int(task["attempt"]?.integer ?? 0), Limits.attemptsShown))
        let lost = attempts.count { ["rehydrated", "interrupted"].contains($0.text("outcome")) }
        #expect(
            Int64(lost) == task["interruptions"]?.integer || attempts.count == Limits.attemptsShown,
            "\(shown.text)"
        )
        #expect(attempts.allSatisfy { $0["completedAt"] != nil && $0["run"] == 1 })
    }

    /// Each attempt's output is contiguous from its beginning, and the last one's is whole.
    private func checkOutput(of task: JSONValue) async throws {
        let whole = (0..<Self.lines).map { "line \($0)\n" }.joined() + "end\n"
        let last = task["attempt"]?.integer ?? 0
        guard last > 0 else { return }
        for attempt in 1...last {
            let path = "/v1/tasks/\(task.text("id"))/output?stream=stdout&attempt=\(attempt)"
            let chunks = try await bench.api("GET", path).json["chunks"]?.array ?? []
            var text: [UInt8] = []
            for chunk in chunks {
                #expect(chunk["offset"]?.integer == Int64(text.count), "a hole in \(task.text("id"))")
                #expect(chunk["gap"] == nil, "nothing had to be dropped")
                text += Data(base64Encoded: chunk.text("data")) ?? Data()
            }
            #expect(whole.utf8.starts(with: text), "attempt \(attempt) of \(task.text("id"))")
            if attempt == last { #expect(text.count == whole.utf8.count) }
        }
    }

    /// Each attempt ran at most once, and none that nobody counted.
    private func checkEffects(_ tasks: [String: [JSONValue]]) throws {
        let folder = bench.folder + "/effects"
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(names.count >= accepted.all.count, "not every task has left its effect")
        for name in names {
            let parts = name.split(separator: ".")
            let text = try String(contentsOfFile: folder + "/" + name, encoding: .utf8)
            #expect(text == "begin\n", "attempt \(name) ran more than once")
            let task = tasks[String(parts[0])]?.first
            let counted = task?["attempt"]?.integer ?? 0
            #expect(Int64(parts[1]).map { $0 <= counted } == true, "attempt \(name) is not counted")
        }
    }
}
