import ArgumentParser
import BulkheadCore
import BulkheadPolicy
import Foundation

/// `bulkhead policy show`: what holds for a type, every default filled in.
struct PolicyShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the policy that holds for a type, and what it says of system calls.",
        discussion: """
            Prints the policy with every default filled in, then, as comments, what happens to each system call and \
            which line or preset says so. With --json it is one object that has each call by itself.
            """
    )

    @Argument(help: ArgumentHelp("The task type.", valueName: "type"))
    var type: String

    @Option(help: ArgumentHelp("Say what happens to this system call, and why.", valueName: "name"))
    var syscall: String?

    @OptionGroup var options: PolicyOptions

    func run() async throws {
        let type = try TaskType(type)
        let folder = try options.folder()
        let (policy, lines) = try Self.policy(of: type, in: folder)
        let rules = try SystemCallRules(policy.sandbox)
        let reasons = SyscallReasons(policy.sandbox, lines: lines)
        if let syscall {
            let call = try SyscallAnswer.call(named: syscall)
            let answer = SyscallAnswer(call, rules, policy.sandbox, reasons)
            return write(answer, type, lines?.file, rules.warnings)
        }
        let answers = SyscallTable.current.all.map { SyscallAnswer($0, rules, policy.sandbox, reasons) }
        if options.json {
            var document = try Self.document(type, policy, lines?.file)
            document["architecture"] = .string(Architecture.current.rawValue)
            document["syscalls"] = .array(answers.map { .object($0.json) })
            document["warnings"] = .array(rules.warnings.map { .string($0) })
            return Console.data.document(.object(document))
        }
        if lines == nil {
            Console.words.line("there is no \(folder)/\(type).yaml: the built-in default policy holds")
        }
        let text = policy.text + SyscallOverview(answers, rules.warnings).text
        Console.data.write(Console.data.isTerminal ? Self.visible(text).utf8 : text.utf8)
    }

    private func write(_ answer: SyscallAnswer, _ type: TaskType, _ file: String?, _ warnings: [String]) {
        guard options.json else {
            answer.write()
            for warning in warnings { Console.data.line("  note: \(warning)") }
            return
        }
        var object: JSONObject = ["type": .string(type.name)]
        object["file"] = file.map(JSONValue.string)
        for member in answer.json.members { object[member.name] = member.value }
        if !warnings.isEmpty { object["warnings"] = .array(warnings.map(JSONValue.string)) }
        Console.data.document(.object(object))
    }

    /// The policy and where its lines are; nil for the built-in default.
    private static func policy(of type: TaskType, in folder: String) throws -> (Policy, lines: PolicyLines?) {
        let path = "\(folder)/\(type).yaml"
        let mistaken = "\(folder)/\(type).yml"
        if FileManager.default.fileExists(atPath: mistaken) {
            throw Failure(
                .taskFailed,
                "\(mistaken): a policy's file ends in .yaml; as it is, the type is refused"
            )
        }
        guard FileManager.default.fileExists(atPath: path) else { return (Policy(), nil) }
        do {
            let bytes = try PolicyFolder.read(path)
            return (try PolicyFolder.policy(bytes, at: path), try PolicyLines(bytes, file: path))
        } catch let error as PolicyDiagnostics {
            throw Failure(.taskFailed, error.description)
        }
    }

    private static func document(
        _ type: TaskType,
        _ policy: Policy,
        _ file: String?
    ) throws -> JSONObject {
        var object: JSONObject = ["type": .string(type.name)]
        object["file"] = file.map(JSONValue.string)
        let node = try YAMLSource.read(Array(policy.text.utf8), file: file ?? "default")
        object["policy"] = node.map { json($0, key: "") } ?? .null
        return object
    }

    /// Keys whose values are numbers; all others are text, as the policy's reader takes them.
    private static let numbers: Set<String> = [
        "priority", "recovery.limit", "retry.limit", "limits.processes", "limits.open-files",
    ]

    private static func json(_ node: YAMLNode, key: String) -> JSONValue {
        switch node.content {
        case .empty: return .null
        case .scalar(let text):
            guard numbers.contains(key), let number = Int64(text) else { return .string(text) }
            return .integer(number)
        case .sequence(let elements): return .array(elements.map { json($0, key: key) })
        case .mapping(let members):
            var object = JSONObject()
            for member in members {
                object[member.key] = json(
                    member.value,
                    key: key.isEmpty ? member.key : "\(key).\(member.key)"
                )
            }
            return .object(object)
        }
    }

    private static func visible(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false)
            .map { VisibleText.ofLine(String($0)) }.joined(separator: "\n")
    }
}
