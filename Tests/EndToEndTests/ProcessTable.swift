import BulkheadCore
import Foundation
import Testing

/// What /proc says of the processes of this machine.
enum ProcessTable {
    /// One process, as its `stat` file describes it.
    struct Entry: Sendable, Equatable {
        var pid: pid_t
        var name: String
        var state: Character
        var parent: pid_t
        var startTime: UInt64

        var isZombie: Bool { state == "Z" || state == "X" }
    }

    static func all() -> [Entry] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [])
            .compactMap { pid_t($0) }
            .compactMap { entry(of: $0) }
    }

    static func entry(of pid: pid_t) -> Entry? {
        guard let text = text("/proc/\(pid)/stat"), let open = text.firstIndex(of: "("),
            let end = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, let parent = pid_t(fields[1]), let start = UInt64(fields[19]) else {
            return nil
        }
        return Entry(
            pid: pid,
            name: String(text[text.index(after: open)..<end]),
            state: fields[0].first ?? "?",
            parent: parent,
            startTime: start
        )
    }

    static func children(of parent: pid_t) -> [Entry] { all().filter { $0.parent == parent } }

    /// Whether this very process still runs, rather than another that has its number by now.
    static func isAlive(_ process: Entry) -> Bool {
        guard let now = entry(of: process.pid) else { return false }
        return now.startTime == process.startTime && !now.isZombie
    }

    /// The processes that were given a text in their environment.
    static func withEnvironment(_ text: String) -> [Entry] {
        all().filter { Self.text("/proc/\($0.pid)/environ")?.contains(text) == true }
    }

    /// A value of `/proc/PID/status`, such as the kilobytes of `VmRSS`.
    static func status(_ name: String, of pid: pid_t) -> Int? {
        let line = text("/proc/\(pid)/status")?.split(separator: "\n").first { $0.hasPrefix(name + ":") }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
    }

    static func descriptors(of pid: pid_t) -> Int {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")) ?? []).count
    }

    static func text(_ path: String) -> String? {
        // The size of these files is 0, so that they are read to their end instead.
        guard let file = FileHandle(forReadingAtPath: path) else { return nil }
        defer { try? file.close() }
        guard let data = try? file.readToEnd() else { return nil }
        return String(decoding: data, as: UTF8.self)
    }
}

extension Workbench {
    /// What lives of attempts of this workbench: each of their processes has its scratch folder in its environment.
    var handlerProcesses: [ProcessTable.Entry] {
        ProcessTable.withEnvironment("BULKHEAD_SCRATCH=\(folder)/scratch/")
    }

    /// Waits for the handler's own process of a task and its parent, the launcher.
    func processes(
        of id: String
    ) async throws -> (handler: ProcessTable.Entry, launcher: ProcessTable.Entry) {
        var found: (ProcessTable.Entry, ProcessTable.Entry)?
        let isThere = try await eventually {
            for process in ProcessTable.withEnvironment("BULKHEAD_TASK_ID=\(id)\0") {
                guard let parent = ProcessTable.entry(of: process.parent),
                    parent.name.hasPrefix("bulkhead-launch")
                else { continue }
                found = (process, parent)
            }
            return found != nil
        }
        try #require(isThere, "no process of \(id) lives")
        return try #require(found)
    }

    /// Expects that nothing of any attempt is left, soon.
    func expectNoHandlers(within limit: Duration = .seconds(15), _ comment: Comment? = nil) async throws {
        let isClean = try await eventually(within: limit) { handlerProcesses.isEmpty }
        #expect(isClean, comment ?? "these live on: \(handlerProcesses)")
    }

    /// Ends a supervisor without a word, and its launchers with it, so that what ran is really gone.
    func crash(_ server: ChildProcess, _ signal: Int32 = SIGKILL) async {
        server.send(signal)
        _ = await server.result()
        for launcher in launchers { kill(launcher, SIGKILL) }
    }

    /// The working folders that are there.
    var scratchFolders: [String] {
        let files = FileManager.default
        let roots = (try? files.contentsOfDirectory(atPath: folder + "/scratch")) ?? []
        return roots.flatMap { root in
            (try? files.contentsOfDirectory(atPath: "\(folder)/scratch/\(root)/tasks")) ?? []
        }
    }

    /// A handler that was written a moment ago is taken up a moment later.
    func waitsForHandler(_ type: String) async throws {
        let isThere = try await eventually { try await isUsable(type) }
        try #require(isThere, "\(type) is not usable")
    }

    // MARK: Many tasks

    /// Submits a batch through the API and gives the tasks' ids.
    func submitBatch(_ tasks: [JSONValue]) async throws -> [String] {
        var ids: [String] = []
        for start in stride(from: 0, to: tasks.count, by: 1000) {
            let part = Array(tasks[start..<min(start + 1000, tasks.count)])
            let answer = try await api("POST", "/v1/tasks/batch", .object(["tasks": .array(part)]))
            let outcomes = try #require(answer.json["outcomes"]?.array, "the batch got \(answer.text)")
            ids += outcomes.compactMap { $0["task"]?["id"]?.string }
        }
        #expect(ids.count == tasks.count)
        return ids
    }

    /// Every task there is, as lists show them, newest first.
    func allTasks() async throws -> [JSONValue] {
        var tasks: [JSONValue] = []
        var cursor: String?
        repeat {
            let next = cursor.map { "&cursor=\($0)" } ?? ""
            let answer = try await api("GET", "/v1/tasks?limit=1000" + next)
            tasks += try #require(answer.json["tasks"]?.array, "the list is \(answer.text)")
            cursor = answer.json["cursor"]?.string
        } while cursor != nil
        return tasks
    }

    /// How many tasks have this status.
    func count(_ status: TaskStatus) async throws -> Int64 {
        try await api("GET", "/v1/status").json["counts"]?[status.rawValue]?.integer ?? 0
    }

    /// Waits until nothing is queued or running.
    func waitsUntilIdle(within limit: Duration) async throws -> Bool {
        try await eventually(within: limit) {
            let counts = try await api("GET", "/v1/status").json["counts"]
            return counts?["queued"]?.integer == 0 && counts?["running"]?.integer == 0
        }
    }
}

/// A program that a test needs and a machine may lack.
enum Tool {
    static func isThere(_ name: String) -> Bool {
        ["/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"].contains { unsafe access($0 + name, X_OK) == 0 }
    }

    /// Runs a program of the system and gives what it wrote.
    static func run(_ arguments: String..., folder: String = "/") async throws -> ChildProcess.Result {
        try await ChildProcess(
            "/usr/bin/env",
            arguments,
            environment: ["PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"],
            folder: folder
        ).result()
    }
}
