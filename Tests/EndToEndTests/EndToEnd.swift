import BulkheadCore
import Foundation
import Testing

/// The parent of every suite that runs supervisors: one after another, so that none starves another.
@Suite("EndToEnd", .serialized)
enum EndToEnd {}

extension Workbench {
    /// Runs a supervisor on what is prepared in its folders, and stops it whatever the test finds.
    ///
    /// Every handler has been read when the test begins.
    static func serving(
        _ arguments: [String] = [],
        as user: SupervisorUser = .own,
        without withheld: Set<WithheldFeature> = [],
        prepare: (Workbench) throws -> Void = { _ in },
        _ body: (Workbench) async throws -> Void
    ) async throws {
        let bench = try Workbench(as: user, without: withheld)
        try prepare(bench)
        try await bench.serving(arguments, body)
    }

    /// Runs a supervisor on what lies there already.
    func serving(_ arguments: [String] = [], _ body: (Workbench) async throws -> Void) async throws {
        let server = try await start(arguments)
        do {
            try await allHandlersAreRead()
            try await body(self)
        } catch {
            await stop(server)
            throw error
        }
        let end = await stop(server)
        #expect(end.code == 0, "serve ended with \(end)")
    }

    /// A handler that was written a moment ago is taken up a moment later.
    private func allHandlersAreRead() async throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: plugins)
        for file in files {
            let type = String(file.prefix { $0 != "." })
            guard try await eventually({ try await isUsable(type) }) else {
                throw BulkheadError(.internal, "\(file) is not usable: \(try await bulkhead("plugins").out)")
            }
        }
    }

    /// What `plugins --json` says of a type.
    func plugin(_ type: String) async throws -> JSONValue? {
        try await answer("plugins")["plugins"]?.array?.first { $0["type"]?.string == type }
    }

    func isUsable(_ type: String) async throws -> Bool {
        try await plugin(type)?["usable"]?.bool == true
    }

    /// What `pools --json` says of a pool.
    func pool(_ name: String) async throws -> JSONValue? {
        try await answer("pools")["pools"]?.array?.first { $0["name"]?.string == name }
    }

    /// The document that a verb prints with `--json`.
    func answer(_ arguments: String...) async throws -> JSONValue {
        let result = try await bulkhead(arguments + ["--json"])
        try #require(result.code == 0, "\(arguments): \(result.err)")
        return try JSONParser.parse(result.stdout)
    }

    /// Submits a task and gives its id.
    func submit(_ type: String, params: String = "{}", _ more: String...) async throws -> String {
        let submitted = try await bulkhead(["submit", type, "--params", params] + more)
        try #require(submitted.code == 0, "submit said: \(submitted.err)")
        return submitted.out.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Waits for the end of a task and gives it as `show --json` does.
    func ended(_ id: String) async throws -> JSONValue {
        _ = try await bulkhead("wait", id)
        return try await task(id)
    }

    /// Runs a task to its end and gives it with its standard output.
    func output(of type: String, params: String = "{}") async throws -> (task: JSONValue, text: String) {
        let task = try await finished(type, params: params)
        let logs = try await bulkhead("logs", task.text("id"), "--stream", "stdout")
        return (task, logs.out)
    }

    /// A task's warnings without those that every task has on this host, as the handler `plain` shows them.
    func ownWarnings(of task: JSONValue) async throws -> [String] {
        let host = try await finished("plain").warnings
        #expect(task.warnings.hasPrefix(host))
        return task.warnings.dropFirst(host.count).split(separator: "\n").map(String.init)
    }

    /// Waits until a task has reached a status.
    func waits(for id: String, toBe status: TaskStatus) async throws -> Bool {
        try await eventually { try await task(id).text("status") == status.rawValue }
    }

    // MARK: Handlers

    /// Brings a handler of `Tests/Fixtures/handlers`, named for its behaviour, with a policy.
    func behaviour(_ name: String, policy text: String? = nil) throws {
        let folder = Self.checkout + "/Tests/Fixtures/handlers"
        let files = try FileManager.default.contentsOfDirectory(atPath: folder)
        let file = try #require(files.first { $0.hasPrefix(name + ".") }, "there is no handler \(name)")
        try FileManager.default.copyItem(atPath: folder + "/" + file, toPath: plugins + "/" + file)
        if let text { try policy(name, text) }
    }

    /// Writes a shell handler that can wait for gates, which the test opens: `gate NAME` waits for one.
    func gatedHandler(_ name: String, _ script: String, policy text: String = "") throws {
        let gates = folder + "/gates"
        if !FileManager.default.fileExists(atPath: gates) {
            try FileManager.default.createDirectory(
                atPath: gates,
                withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o755]
            )
        }
        try handler(name, "gate() { until [ -e '\(gates)'/$1 ]; do sleep 0.02; done; }\n" + script)
        try policy(name, "sandbox: {read: [\"\(gates)\"]}\n" + text)
    }

    /// Lets everybody go on who waits at a gate.
    func open(_ gate: String) throws { try write("", to: "gates/" + gate) }
}

extension JSONValue {
    /// A member's text; empty where there is none.
    func text(_ name: String) -> String { self[name]?.string ?? "" }

    /// Why the task did not complete.
    var reason: String { self["error"]?.text("reason") ?? "" }

    /// The error's message.
    var message: String { self["error"]?.text("message") ?? "" }

    /// The warnings, one a line.
    var warnings: String { (self["warnings"]?.array ?? []).compactMap(\.string).joined(separator: "\n") }

    /// The denied calls and how often.
    var denied: [String: Int64] {
        let calls = (self["deniedSyscalls"]?.array ?? []).map { ($0.text("name"), $0["count"]?.integer ?? 0) }
        return Dictionary(calls) { $0 + $1 }
    }

    /// A member that is a moment, such as `startedAt`, in milliseconds.
    func milliseconds(_ name: String) -> Int64? { try? Timestamp(text(name)).milliseconds }
}
