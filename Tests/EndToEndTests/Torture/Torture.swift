import BulkheadCore
import Foundation
import Testing
import SeededRandom

/// Rounds of load on the real programs, each ended by force, and the facts of them.
///
/// Every choice comes from the seed. The instants at which things happen are the machine's, so the same seed gives
/// the same story at other instants.
struct Torture {
    let bench: Workbench
    let log: TortureLog
    let types: [TortureType]
    var random: SeededRandom
    private let bystanders: [ChildProcess]

    init(seed: UInt64) throws {
        random = SeededRandom(seed: seed)
        bench = try Workbench()
        types = try bench.prepareTorture()
        log = TortureLog(types: types)
        let folder = bench.folder
        bystanders = try (0..<2).map { _ in
            try ChildProcess("/bin/sleep", ["86400"], environment: [:], folder: folder)
        }
    }

    static let clients = 4
    /// Violations are the supervisor's to the end: it leaves what runs when it is told to end.
    static let arguments = ["--on-stop", "leave", "--outbox", "on"]

    // MARK: A round

    /// Starts a supervisor, loads it for a random time while things go wrong, and ends it.
    mutating func round() async throws {
        let server = try await bench.start(Self.arguments)
        let time = Duration.milliseconds(Int.random(in: 200...1200, using: &random))
        let seeds = (0..<Self.clients).map { _ in random.next() }
        var faults = TortureFaults(bench, log, seed: random.next())
        try await look(isFirst: true)
        await withTaskGroup(of: Void.self) { [bench, log, types] group in
            for seed in seeds {
                var client = TortureClient(bench, log, types, seed: seed)
                group.addTask { await client.run() }
            }
            var controller = TortureController(bench, log, seed: seeds[0])
            group.addTask { await controller.run() }
            let probe = TortureProbe(bench, log, server)
            group.addTask { await probe.run() }
            await faults.trouble(server, during: time)
            await faults.end(server)
            group.cancelAll()
        }
        await faults.killRecoveries(Self.arguments)
    }

    /// Notes every task and the pools, as the supervisor shows them.
    private func look(isFirst: Bool) async throws {
        log.sighted(try await bench.allTasks())
        let now = Int64(Date().timeIntervalSince1970 * 1000)
        let pools = try await bench.api("GET", "/v1/pools").json["pools"]?.array ?? []
        for pool in pools where pool.text("name") == "frail" {
            let sighting = History.PoolSighting(
                name: "frail",
                failures: pool["failures"]?.integer ?? 0,
                backoffAhead: pool.milliseconds("backoffUntil").map { $0 - now }
            )
            log.note { $0.poolSightings.append(sighting) }
        }
    }

    // MARK: The end

    /// Lets everything end, gathers the facts and checks them.
    /// - Returns: What must not be.
    mutating func finish() async throws -> [Violation] {
        let server = try await bench.start(Self.arguments)
        do {
            try await settle(server)
        } catch {
            await bench.crash(server)
            throw error
        }
        let end = await bench.stop(server)
        if end.code != 0 { log.note { $0.faults.append("serve ended with \(end.words)") } }
        try await gather()
        return HistoryCheck.violations(in: log.history)
    }

    private func settle(_ server: ChildProcess) async throws {
        try await look(isFirst: true)
        count(server)
        for task in try await bench.allTasks() where task.text("type") == "endless" {
            guard !HistoryCheck.isTerminal(task.text("status")) else { continue }
            let id = task.text("id")
            let answer = try await bench.api("POST", "/v1/tasks/\(id)/cancel")
            log.note { history in
                let run = answer.json["run"]?.integer
                history.cancels.append(History.Call(id: id, status: answer.status, run: run))
            }
        }
        if try await !bench.waitsUntilIdle(within: .seconds(120)) {
            log.note { $0.faults.append("tasks do not end") }
        }
        // Trees end before their outcome is told, so nothing is waited for here.
        for process in bench.handlerProcesses {
            log.note { $0.survivors.append("\(process) lives on, and nothing runs") }
        }
        await TortureController(bench, log, seed: 0).drain()
        try await look(isFirst: false)
        count(server)
        let tasks = try await bench.allTasks()
        try await readOutput(of: tasks)
        log.note { history in
            history.tasks = Dictionary(tasks.map { ($0.text("id"), $0) }) { $1 }
            if history.tasks.count != tasks.count { history.faults.append("a task is there twice") }
        }
    }

    private func count(_ server: ChildProcess) {
        let children = ProcessTable.children(of: server.pid)
        let census = History.Census(
            descriptors: ProcessTable.descriptors(of: server.pid),
            threads: ProcessTable.status("Threads", of: server.pid) ?? 0,
            zombies: children.count(where: \.isZombie),
            launchers: children.count
        )
        log.note { $0.censuses.append(census) }
    }

    /// A task's output through the API is what the database holds.
    private func readOutput(of tasks: [JSONValue]) async throws {
        let talkers = tasks.filter { ["lines", "binary", "flood"].contains($0.text("type")) }
        for task in talkers.prefix(20) {
            let path = "/v1/tasks/\(task.text("id"))/output?stream=stdout"
            let chunks = try await bench.api("GET", path).json["chunks"]?.array ?? []
            let pieces = chunks.map { chunk in
                let bytes = Data(base64Encoded: chunk.text("data")).map(Array.init)
                let isGap = chunk["gap"] != nil
                return History.Piece(
                    offset: chunk["offset"]?.integer ?? -1,
                    bytes: isGap ? nil : bytes,
                    length: chunk["gap"]?.integer ?? Int64(bytes?.count ?? 0)
                )
            }
            guard !pieces.isEmpty, let attempt = chunks.first?["attempt"]?.integer else { continue }
            let stream = History.Stream(
                id: task.text("id"),
                attempt: attempt,
                name: "stdout",
                pieces: pieces
            )
            log.note { $0.shownStreams.append(stream) }
        }
    }

    private func gather() async throws {
        _ = try await bench.eventually(within: .seconds(10)) { bench.launchers.isEmpty }
        let left =
            bench.launchers.map { "the launcher \($0) lives on" }
            + bench.scratchFolders.map { "\($0) is left" }
        for bystander in bystanders {
            let entry = ProcessTable.entry(of: bystander.pid)
            if entry == nil || entry?.state == "T" || entry?.isZombie == true {
                log.note { $0.hitBystanders.append("a process of somebody else was hit: \(bystander.pid)") }
            }
            bystander.send(SIGKILL)
            _ = await bystander.result()
        }
        let effects = try bench.tortureEffects()
        var history = log.history
        try bench.readDatabase(into: &history)
        history.effects = effects
        history.survivors += left
        history.longestBackoff = Int64(Workbench.longestBackoff)
        history.spoolCap = 64 << 20
        let whole = history
        log.note { $0 = whole }
    }
}
