import ArgumentParser
import BulkheadCore
import BulkheadEngine
import BulkheadPolicy
import Foundation

/// `bulkhead policy learn`: the smallest policy that some runs of a handler need.
struct PolicyLearn: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "learn",
        abstract: "Run a handler under audit, and print the smallest policy that gives what it used.",
        discussion: """
            Needs no supervisor, and changes no file: the policy goes to standard output. It stays within the policy \
            that the type has; what that denies stays denied, and is told. Under audit the sandbox's filter protects \
            from nothing: give it a handler and params that you trust, good and bad ones, since only what runs is seen.
            """
    )

    @Argument(help: ArgumentHelp("The task type, or a handler's file.", valueName: "type"))
    var type: String

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Params to run it on; may be repeated. (default: {})", valueName: "json|@file|-")
    )
    var params: [String] = []

    @Option(help: ArgumentHelp("How often it runs on each of them, 1 to 100.", valueName: "number"))
    var runs = 3

    @OptionGroup var options: TrialOptions

    func validate() throws {
        guard (1...100).contains(runs) else { throw ValidationError("--runs is a number from 1 to 100.") }
        guard params.count(where: { $0 == "-" }) <= 1 else {
            throw ValidationError("Standard input can be the params once.")
        }
    }

    func run() async throws {
        let inputs = try params.map { try JSONArgument.read($0, of: "--params", limit: Limits.paramsBytes) }
        let subject = try options.subject(type)
        let policy = try Self.parent(subject)
        let learning = Learning(
            subject: subject,
            policy: policy,
            inputs: inputs.isEmpty ? [.object(JSONObject())] : inputs,
            runs: runs
        )
        let lesson = try await learning.learn()
        if options.json {
            Console.data.document(lesson.document)
        } else {
            Console.data.write((lesson.header + lesson.policy.text).utf8)
        }
        for word in lesson.words { Console.words.line("bulkhead: " + Console.words.shown(word)) }
    }

    private static func parent(_ subject: TrialSubject) throws -> Policy {
        let policy: Policy
        switch subject.policy {
        case .success(let read): policy = read
        case .failure(let problem): throw Failure(.taskFailed, problem.description)
        }
        guard policy.sandbox.preset != .unconfined else {
            throw Failure(
                .wrongUsage,
                "\(subject.policyFile): a policy is learned within a preset that confines, and unconfined gives everything\n"
                    + "write preset: default or network into it first"
            )
        }
        guard policy.sandbox.profile == nil else {
            throw Failure(
                .wrongUsage,
                "\(subject.policyFile): a policy is learned within a preset, and an OCI profile stands in its place\n"
                    + "write preset: default instead of seccomp-profile to learn one"
            )
        }
        return policy
    }
}

/// Runs under audit, and what they teach.
private struct Learning: Sendable {
    let subject: TrialSubject
    let policy: Policy
    let inputs: [JSONValue]
    let runs: Int

    /// The handler did not run at all.
    private struct NotStarted: Error {
        var reason: String
    }

    func learn() async throws -> Lesson {
        var traced = policy
        traced.sandbox = LearnedPolicy.tracing(policy.sandbox)
        let seen: [TrialRun]
        do {
            seen = try await run(under: traced, times: runs)
        } catch let error as NotStarted {
            throw Failure(.taskFailed, error.reason)
        }
        let calls = Set(seen.flatMap(\.task.deniedSyscalls).map(\.name))
        let learned = LearnedPolicy(seen: calls, within: policy.sandbox)
        var lesson = Lesson(
            subject: subject,
            learned: learned,
            policy: policy,
            runs: seen.map(\.task.status),
            fails: seen.compactMap(\.task.error)
        )
        for sandbox in learned.candidates {
            lesson.policy.sandbox = sandbox
            do {
                let proof = try await run(under: lesson.policy, times: 1)
                lesson.holds = agrees(proof, with: seen, learned)
            } catch is NotStarted {
                lesson.holds = false
            }
            if lesson.holds { break }
        }
        return lesson
    }

    /// Whether the runs under a learned policy end as those under audit did, and are denied nothing but what the parent
    /// denies.
    private func agrees(_ proof: [TrialRun], with seen: [TrialRun], _ learned: LearnedPolicy) -> Bool {
        let refused = Set(learned.refused.map(\.call)).union(AuditRule.held)
        let denied = Set(proof.flatMap(\.task.deniedSyscalls).map(\.name))
        guard denied.isSubset(of: refused) else { return false }
        // Each input's runs stand together; its last one is compared.
        let before = stride(from: runs - 1, to: seen.count, by: runs).map { seen[$0].task.status }
        return zip(proof, before).allSatisfy { $0.task.status == $1 }
    }

    private func run(under policy: Policy, times: Int) async throws -> [TrialRun] {
        var once = policy
        once.retry.limit = 0
        let inputs = inputs.flatMap { [JSONValue](repeating: $0, count: times) }
        return try await Trial.run(try subject.trial(once)) { trial in
            let problems = await trial.problems()
            guard problems.isEmpty else { throw NotStarted(reason: problems.joined(separator: "\n")) }
            var done: [TrialRun] = []
            for input in inputs {
                let run = try await trial.finish(input)
                if run.observation == nil, let error = run.task.error {
                    throw NotStarted(reason: "the handler was not started: \(error.message)")
                }
                done.append(run)
            }
            return done
        }
    }
}

/// What was learned, for people and for programs.
private struct Lesson: Sendable {
    let subject: TrialSubject
    let learned: LearnedPolicy
    var policy: Policy
    let runs: [TaskStatus]
    let fails: [TaskError]
    /// Whether the handler does under it what it did under audit.
    var holds = false

    /// Comments before the policy.
    var header: String {
        let failed = runs.count { $0 != .completed }
        let lines =
            [
                "Learned from \(runs.count) runs, \(failed) of which failed: what compute gives, and what they used beyond it.",
                "Nothing is applied: read it, and put it into \(subject.policyFile) yourself.",
            ]
            + learned.refused.map { "Seen, and still denied: \($0.call), \(Self.reason($0.way))." }
        return lines.map { "# \($0)\n" }.joined()
    }

    private static func reason(_ way: DenialAdvice.Way) -> String {
        switch way {
        case .allow, .allowWhole: "which the type's policy does not give; sandbox.syscalls.allow would"
        case .denied: "which the type's policy denies itself"
        case .profile: "which the type's profile does not give"
        case .network: "since sockets that leave the task come with the network alone"
        case .otherSocket: "since the preset gives other sockets than this one"
        case .administrative: "which administers the host"
        case .reachesOthers: "which reaches into other processes"
        }
    }

    /// What to say on standard error.
    var words: [String] {
        var words: [String] = []
        if runs.allSatisfy({ $0 == .completed }) {
            words.append(
                "every run completed; run it on bad input too, so that what it does when it fails is seen"
            )
        }
        for message in Set(fails.map(\.message)).sorted() { words.append("a run failed: \(message)") }
        if !learned.refused.isEmpty {
            words.append("seen, and still denied: \(learned.refused.map(\.call).joined(separator: ", "))")
        }
        if !holds {
            words.append(
                "under this policy the handler did not end as it did under audit: what is still denied is missed"
            )
        }
        return words
    }

    var document: JSONValue {
        [
            "type": .string(subject.type.name),
            "policy": .string(policy.text),
            "runs": .integer(runs.count),
            "completed": .integer(runs.count { $0 == .completed }),
            "used": .array(learned.used.sorted().map { .string($0) }),
            "refused": .array(
                learned.refused.map { ["call": .string($0.call), "reason": .string(Self.reason($0.way))] }
            ),
            "holds": .bool(holds),
            "words": .array(words.map { .string($0) }),
        ]
    }
}
