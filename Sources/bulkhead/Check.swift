import ArgumentParser
import BulkheadCore
import BulkheadEngine
import BulkheadHost
import BulkheadPolicy
import Foundation

/// `bulkhead check`: tries a handler out for its author.
struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a handler and say whether it keeps the protocol, under its policy; exit 1 if not.",
        discussion: """
            Needs no supervisor: the handler runs under one of its own, with its launcher, filter, file rules and \
            limits, twice: to its own end, and until it is told to stop. Params that keep it busy for a second or \
            more show most.
            """
    )

    @Argument(
        help: ArgumentHelp("The handler's file, or its type in the plugins folder.", valueName: "plugin")
    )
    var plugin: String

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Its params. (default: {})", valueName: "json|@file|-")
    )
    var params: String?

    @OptionGroup var options: TrialOptions

    func run() async throws {
        let params = try params.map {
            try JSONArgument.read($0, of: "--params", limit: Limits.paramsBytes)
        }
        let subject = try options.subject(plugin)
        var lines: [HandlerCheck.Line] = []
        switch subject.policy {
        case .failure(let problem): lines = [HandlerCheck.Line("policy file", .wrong, problem.description)]
        case .success(let policy):
            lines = [HandlerCheck.Line("policy file", .ok, subject.policyWords)]
            lines += try await tried(subject, policy, params ?? .object(JSONObject()))
        }
        let isGood = !lines.contains { $0.verdict == .wrong }
        if options.json {
            Console.data.document(Self.document(subject, lines, isGood: isGood))
        } else {
            write(lines)
            let words = isGood ? "keeps the protocol" : "does not keep the protocol"
            Console.words.line("\(subject.type) \(words), as far as this run shows")
        }
        if !isGood { throw Failure(.taskFailed) }
    }

    private func tried(
        _ subject: TrialSubject,
        _ policy: Policy,
        _ params: JSONValue
    ) async throws -> [HandlerCheck.Line] {
        var once = policy
        // One run shows what there is to see; a pause before the next would only be waited for.
        once.retry.limit = 0
        let dynamicUsers = subject.dynamicUsers
        return try await Trial.run(try subject.trial(once)) { trial in
            let problems = await trial.problems()
            guard problems.isEmpty else { return problems.map { HandlerCheck.Line("file", .wrong, $0) } }
            let digest = await trial.report()?.digest ?? ""
            let file = HandlerCheck.Line(
                "file",
                .ok,
                "owner and mode of it and of every folder above are safe; sha256 \(digest)"
            )
            let before = TemporaryFiles.now()
            let first = try await trial.finish(params)
            let files = TemporaryFiles.now().subtracting(before, handlers: dynamicUsers)
            var stopped: TrialRun?
            if let seen = first.observation {
                stopped = try await trial.stop(params, after: Self.pause(seen.elapsed))
            }
            let check = HandlerCheck(
                policy: policy,
                policyFile: subject.policyFile,
                first: first,
                stopped: stopped,
                files: files
            )
            return [file] + check.lines
        }
    }

    /// In the midst of its work, as far as the first run tells, and not for ever.
    private static func pause(_ elapsed: Duration) -> Duration {
        min(max(elapsed / 4, .milliseconds(20)), .seconds(2))
    }

    private func write(_ lines: [HandlerCheck.Line]) {
        let width = lines.map(\.name.displayWidth).max() ?? 0
        for line in lines {
            let style: Style =
                switch line.verdict {
                case .ok: .green
                case .note: .yellow
                case .wrong: .red
                }
            let verdict = Console.data.styled(line.verdict.rawValue, style)
            let space = String(repeating: " ", count: 5 - line.verdict.rawValue.count)
            let name = line.name + String(repeating: " ", count: width - line.name.displayWidth)
            Console.data.line("\(verdict)\(space)  \(name)  \(Console.data.shown(line.text.oneLine))")
            guard let advice = line.advice, line.verdict != .ok else { continue }
            let margin = String(repeating: " ", count: width + 9)
            Console.data.line(margin + Console.data.shown(advice.oneLine))
        }
    }

    private static func document(
        _ subject: TrialSubject,
        _ lines: [HandlerCheck.Line],
        isGood: Bool
    ) -> JSONValue {
        let all = lines.map { line in
            var object: JSONObject = [
                "name": .string(line.name), "verdict": .string(line.verdict.rawValue),
                "text": .string(line.text),
            ]
            object["advice"] = line.advice.map { .string($0) }
            return JSONValue.object(object)
        }
        return .object(["type": .string(subject.type.name), "ok": .bool(isGood), "checks": .array(all)])
    }
}

/// What lies in the folders where programs put temporary files.
private struct TemporaryFiles {
    private var owners: [String: UInt32]

    private static let folders = ["/tmp", "/var/tmp", "/dev/shm"]

    static func now() -> TemporaryFiles {
        var owners: [String: UInt32] = [:]
        for folder in folders {
            for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
                let path = folder + "/" + name
                let attributes = try? FileManager.default.attributesOfItem(atPath: path)
                owners[path] = (attributes?[.ownerAccountID] as? NSNumber)?.uint32Value
            }
        }
        return TemporaryFiles(owners: owners)
    }

    /// What is new since an earlier look and may be a handler's.
    func subtracting(
        _ before: TemporaryFiles,
        handlers: ClosedRange<UInt32>
    ) -> [HandlerCheck.StrayFile] {
        owners.filter { before.owners[$0.key] == nil }.sorted { $0.key < $1.key }.compactMap { path, owner in
            if handlers.contains(owner) { return HandlerCheck.StrayFile(path: path, isCertain: true) }
            guard owner == geteuid(), geteuid() != 0 else { return nil }
            return HandlerCheck.StrayFile(path: path, isCertain: false)
        }
    }
}
