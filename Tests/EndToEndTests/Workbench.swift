import BulkheadCore
import Foundation
import Synchronization
import Testing

/// A supervisor of a test's own: folders in a temporary place, the built programs, and a user's way to them.
final class Workbench: Sendable {
    /// The folder of everything; readable by the users that handlers run as.
    let folder: String

    var plugins: String { folder + "/plugins" }
    var policies: String { folder + "/policies" }
    var state: String { folder + "/state" }
    var socket: String { state + "/bulkhead.sock" }

    /// The folder of the built programs: that of the test bundle, or the one that `BULKHEAD_PROGRAMS` names.
    static let programs =
        ProcessInfo.processInfo.environment["BULKHEAD_PROGRAMS"] ?? Bundle.main.bundleURL.path

    /// The checkout, for the handlers and policies that come with Bulkhead.
    static let checkout = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// Under whom its supervisor runs.
    private let user: SupervisorUser
    /// What its supervisor's host withholds.
    private let withheld: Set<WithheldFeature>
    /// The supervisors that were started here.
    let supervisors = Mutex<[ProcessTable.Entry]>([])

    init(as user: SupervisorUser = .own, without withheld: Set<WithheldFeature> = []) throws {
        self.user = user
        self.withheld = withheld
        let name = "bulkhead-test-" + UUID().uuidString.prefix(8).lowercased()
        folder = FileManager.default.temporaryDirectory.path + "/" + name
        for path in [folder, folder + "/plugins", folder + "/policies", folder + "/scratch"] {
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o755]
            )
        }
        if user == .ordinary { try giveFolders(to: SupervisorUser.nobody) }
    }

    /// Gives the supervisor's user what it writes to; handlers and policies may be root's.
    private func giveFolders(to owner: UInt32) throws {
        let number = NSNumber(value: owner)
        try FileManager.default.createDirectory(
            atPath: state,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700]
        )
        for path in [state, folder + "/scratch"] {
            try FileManager.default.setAttributes(
                [.ownerAccountID: number, .groupOwnerAccountID: number],
                ofItemAtPath: path
            )
        }
    }

    deinit {
        endLeftLaunchers()
        try? FileManager.default.removeItem(atPath: folder)
    }

    // MARK: Files

    /// Writes a handler whose text is a shell script, unless it has a first line of its own.
    func handler(_ name: String, _ text: String, mode: Int = 0o755) throws {
        let script = text.hasPrefix("#!") ? text : "#!/bin/sh\n" + text
        try write(script, to: "plugins/" + name, mode: mode)
    }

    /// Writes `policies/<name>`, with `.yaml` where the name has no extension.
    func policy(_ name: String, _ text: String) throws {
        try write(text, to: "policies/" + (name.contains(".") ? name : name + ".yaml"), mode: 0o644)
    }

    /// Puts a file in its place whole, as an editor does.
    func write(_ text: String, to path: String, mode: Int = 0o644) throws {
        let target = folder + "/" + path
        let draft = folder + "/.draft-" + UUID().uuidString
        try Data(text.utf8).write(to: URL(filePath: draft))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: draft)
        guard unsafe rename(draft, target) == 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
    }

    /// Brings a handler of the product, with its policy.
    func productHandler(_ type: String) throws {
        let handlers = try FileManager.default.contentsOfDirectory(atPath: Self.checkout + "/plugins")
        for file in handlers where file.hasPrefix(type + ".") {
            try copy("plugins/" + file)
        }
        try copy("policies/\(type).yaml")
    }

    /// Brings a file of the checkout to the same place here, with a mode that a handler's file may have.
    func copy(_ path: String) throws {
        let content = try Data(contentsOf: URL(filePath: Self.checkout + "/" + path))
        try write(
            String(decoding: content, as: UTF8.self),
            to: path,
            mode: path.hasSuffix(".yaml") ? 0o644 : 0o755
        )
    }

    // MARK: Programs

    private var environment: [String: String] {
        ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": folder, "LANG": "C.UTF-8"]
    }

    /// Starts `bulkhead serve` and waits until it is ready.
    func start(
        _ arguments: [String] = [],
        environment added: [String: String] = [:]
    ) async throws -> ChildProcess {
        let server = try launchServer(arguments, environment: added)
        guard await server.says("ready") else {
            throw BulkheadError(.internal, "serve ended before it was ready: \(server.errorsSoFar)")
        }
        return server
    }

    /// Starts `bulkhead serve` without waiting for anything; SIGTERM stops what runs, unless the test says otherwise.
    func launchServer(
        _ arguments: [String] = [],
        environment added: [String: String] = [:],
        programs: String = Workbench.programs
    ) throws -> ChildProcess {
        let isSet = arguments.contains("--on-stop") || added["BULKHEAD_ON_STOP"] != nil
        let onStop = isSet ? [] : ["--on-stop", "stop"]
        let (inner, innerWords) = WithheldFeature.command(
            programs + "/bulkhead",
            [
                "serve", "--plugins", plugins, "--policies", policies, "--state", state, "--scratch",
                folder + "/scratch",
            ] + onStop + arguments,
            without: withheld
        )
        let (program, words) = user.command(inner, innerWords)
        let server = try ChildProcess(
            program,
            words,
            environment: environment.merging(added) { $1 },
            folder: folder
        )
        if let entry = ProcessTable.entry(of: server.pid) { supervisors.withLock { $0.append(entry) } }
        return server
    }

    /// Runs a verb of `bulkhead` against this workbench's supervisor and waits for its end.
    func bulkhead(_ arguments: String..., stdin: String = "") async throws -> ChildProcess.Result {
        try await bulkhead(arguments, stdin: stdin)
    }

    /// Runs a verb of `bulkhead` against this workbench's supervisor and waits for its end.
    func bulkhead(_ arguments: [String], stdin: String = "") async throws -> ChildProcess.Result {
        try await run(arguments + ["--socket", socket], stdin: stdin).result()
    }

    /// Starts `bulkhead` with exactly these arguments.
    func run(
        _ arguments: [String],
        stdin: String = "",
        environment added: [String: String] = [:]
    ) throws -> ChildProcess {
        try ChildProcess(
            Self.programs + "/bulkhead",
            arguments,
            stdin: Array(stdin.utf8),
            environment: environment.merging(added) { $1 },
            folder: folder
        )
    }

    /// Submits a task, waits for its end and gives it as `show --json` does.
    func finished(_ type: String, params: String = "{}", id: String? = nil) async throws -> JSONValue {
        let submitted = try await bulkhead(
            ["submit", type, "--params", params] + (id.map { ["--id", $0] } ?? [])
        )
        try #require(submitted.code == 0, "submit said: \(submitted.err)")
        let id = submitted.out.trimmingCharacters(in: .whitespacesAndNewlines)
        _ = try await bulkhead("wait", id)
        return try await task(id)
    }

    /// A task as `show --json` gives it.
    func task(_ id: String) async throws -> JSONValue {
        let shown = try await bulkhead("show", id, "--json")
        try #require(shown.code == 0, "show said: \(shown.err)")
        return try JSONParser.parse(shown.stdout)
    }

    /// Stops a supervisor as a user does and waits for its end.
    @discardableResult
    func stop(_ server: ChildProcess) async -> ChildProcess.Result {
        server.send(SIGTERM)
        return await server.result()
    }

    /// Looks again and again until something holds; for what only the file system or /proc can tell.
    func eventually(
        within limit: Duration = .seconds(20),
        _ condition: () async throws -> Bool
    ) async throws -> Bool {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline {
            if try await condition() { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return try await condition()
    }
}
