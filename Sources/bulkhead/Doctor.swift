import ArgumentParser
import BulkheadCore
import BulkheadEngine
import BulkheadHost
import BulkheadPolicy
import Foundation

/// `bulkhead doctor`: what this host can and cannot hold.
struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Say what this host can and cannot enforce; exit 1 if policies that require it do not launch.",
        discussion: """
            Needs no supervisor. It looks at the host as the user that runs it, so run it as the supervisor's; and \
            it runs a handler of its own under the built-in policy, to see that one launches.
            """
    )

    @Option(help: ArgumentHelp("The state folder. (default: as the supervisor's)", valueName: "dir"))
    var state: String?

    @Option(help: ArgumentHelp("The folder of handlers' working folders.", valueName: "dir"))
    var scratch: String?

    @OptionGroup var options: ClientOptions

    func run() async throws {
        var flags: [SettingKey: [String]] = [:]
        flags[.state] = state.map { [$0] }
        flags[.scratch] = scratch.map { [$0] }
        let sources = try SettingSources(flags: flags, isClient: true)
        let scratch = try sources.readIfWritten(.scratch, PathSetting.self)?.absolute
        let facts = HostFacts.look(
            launcher: try LauncherProgram.path(),
            state: try sources.read(.state, PathSetting.self).absolute,
            scratch: scratch
        )
        let diagnosis = Diagnosis(facts)
        let failure = await Self.trialFailure(
            scratch: scratch,
            users: try sources.read(.dynamicUIDs, UserRange.self).range
        )
        let supervisor = await answering()
        if options.json {
            Console.data.document(Self.document(diagnosis, failure: failure, supervisor: supervisor))
        } else {
            write(diagnosis, failure: failure, supervisor: supervisor)
        }
        if failure != nil || !diagnosis.refusals.isEmpty { throw Failure(.taskFailed) }
    }

    /// Launches a handler under the built-in policy, which requires everything.
    /// - Returns: Why it did not launch; nil where it did.
    private static func trialFailure(scratch: String?, users: ClosedRange<UInt32>) async -> String? {
        do {
            let handler = try DoctorsHandler()
            defer { handler.remove() }
            let subject = Trial.Subject(
                type: try TaskType(DoctorsHandler.name),
                pluginsFolder: handler.folder,
                policyText: nil,
                scratch: scratch,
                dynamicUsers: users
            )
            return try await Trial.run(subject) { trial in
                let problems = await trial.problems()
                guard problems.isEmpty else { return problems.joined(separator: "; ") }
                let task = try await trial.finish(.object(JSONObject())).task
                guard task.status != .completed else { return nil }
                let hint = task.error?.hint.map { "; \($0)" } ?? ""
                return (task.error?.message ?? "it ended as \(task.status.rawValue)") + hint
            }
        } catch {
            return Failure(error).message ?? "\(error)"
        }
    }

    /// A supervisor that answers, in words; nil where none does.
    private func answering() async -> String? {
        guard let status = try? await options.client().get(["v1", "status"]) else { return nil }
        let problems = status.list("problems").count
        let words = problems == 0 ? "" : ", and names \(problems) problems (bulkhead status)"
        let reserve = status["database"].map(Status.reserve) ?? ""
        return "\(status.text("version")), \(status.text("phase")), answers\(words)\(reserve)"
    }

    private func write(_ diagnosis: Diagnosis, failure: String?, supervisor: String?) {
        let findings = diagnosis.findings
        let width = (findings.map(\.name.displayWidth) + [10]).max() ?? 0
        func line(_ state: String, _ style: Style, _ name: String, _ text: String) {
            let margin = String(repeating: " ", count: max(0, width - name.displayWidth))
            let gap = String(repeating: " ", count: max(0, 7 - state.count))
            Console.data.line(
                "\(Console.data.styled(state, style))\(gap)  \(name)\(margin)  \(Console.data.shown(text))"
            )
        }
        for finding in findings {
            let (word, style): (String, Style) =
                switch finding.state {
                case .present: ("yes", .green)
                case .partly: ("partly", .yellow)
                case .missing: ("no", .red)
                }
            line(word, style, finding.name, finding.text + (finding.advice.map { "; \($0)" } ?? ""))
        }
        if let failure {
            line("no", .red, "a launch", "a handler under the built-in policy did not run: \(failure)")
        } else {
            line("yes", .green, "a launch", "a handler under the built-in policy ran")
        }
        line(supervisor == nil ? "-" : "yes", .green, "supervisor", supervisor ?? "none answers")
        Self.verdicts(diagnosis, failure: failure).forEach(Console.data.line)
    }

    /// What it comes to: first for the other kinds of user, last for who asks.
    private static func verdicts(_ diagnosis: Diagnosis, failure: String?) -> [String] {
        func verdict(_ who: String, _ refusals: [String]) -> String {
            let will = refusals.isEmpty ? "will" : "will not"
            let why = refusals.isEmpty ? "" : ": " + refusals.joined(separator: "; ")
            return "policies with \"enforcement: required\" \(will) launch here\(who)\(why)"
        }
        let other =
            geteuid() == 0
            ? verdict(" as an ordinary user", diagnosis.refusalsAsUser)
            : verdict(" as root with all capabilities", diagnosis.refusalsAsRoot)
        let here = diagnosis.refusals + (diagnosis.refusals.isEmpty ? [failure].compactMap(\.self) : [])
        return [other, verdict("", here)]
    }

    private static func document(_ diagnosis: Diagnosis, failure: String?, supervisor: String?) -> JSONValue {
        let findings = diagnosis.findings.map { finding in
            var object: JSONObject = [
                "name": .string(finding.name), "state": .string(finding.state.rawValue),
                "text": .string(finding.text),
            ]
            object["advice"] = finding.advice.map { .string($0) }
            return JSONValue.object(object)
        }
        let words = { (texts: [String]) in JSONValue.array(texts.map { .string($0) }) }
        var object: JSONObject = [
            "findings": .array(findings),
            "launches": .bool(failure == nil && diagnosis.refusals.isEmpty),
            "refusals": words(diagnosis.refusals), "refusalsAsRoot": words(diagnosis.refusalsAsRoot),
            "refusalsAsUser": words(diagnosis.refusalsAsUser),
        ]
        object["launchFailure"] = failure.map { .string($0) }
        object["supervisor"] = supervisor.map { .string($0) }
        return .object(object)
    }
}

/// A handler that does nothing, in a folder of its own.
private struct DoctorsHandler {
    static let name = "nothing"
    let folder: String

    init() throws {
        folder =
            NSTemporaryDirectory().trimmingSuffix("/") + "/bulkhead-doctor-" + UUID().uuidString.lowercased()
        let files = FileManager.default
        try files.createDirectory(
            atPath: folder,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o755]
        )
        let path = folder + "/" + Self.name
        try Data("#!/bin/sh\nexit 0\n".utf8).write(to: URL(fileURLWithPath: path))
        try files.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }
}

extension String {
    /// The text without a suffix, where it has that.
    fileprivate func trimmingSuffix(_ suffix: String) -> String {
        hasSuffix(suffix) && count > suffix.count ? String(dropLast(suffix.count)) : self
    }
}
