import ArgumentParser
import BulkheadCore
import BulkheadPolicy
import Foundation

/// `bulkhead policy show`: what holds for a type, every default filled in.
struct PolicyShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the policy that holds for a type, or what it says of one system call."
    )

    @Argument(help: ArgumentHelp("The task type.", valueName: "type"))
    var type: String

    @Option(help: ArgumentHelp("Say what happens to this system call, and why.", valueName: "name"))
    var syscall: String?

    @OptionGroup var options: PolicyOptions

    func run() async throws {
        let type = try TaskType(type)
        let folder = try options.folder()
        let (policy, file) = try Self.policy(of: type, in: folder)
        if let syscall {
            let answer = try SyscallAnswer(syscall, policy.sandbox)
            return options.json ? Console.data.document(answer.json(type, file)) : answer.write()
        }
        if options.json {
            return Console.data.document(try Self.document(type, policy, file))
        }
        if file == nil {
            Console.words.line("there is no \(folder)/\(type).yaml: the built-in default policy holds")
        }
        Console.data.write(Console.data.isTerminal ? Self.visible(policy.text).utf8 : policy.text.utf8)
    }

    /// The policy and its file; nil for the built-in default.
    private static func policy(of type: TaskType, in folder: String) throws -> (Policy, file: String?) {
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
            return (try PolicyReader.read(PolicyFolder.read(path), file: path), path)
        } catch let error as PolicyDiagnostics {
            throw Failure(.taskFailed, error.description)
        }
    }

    private static func document(_ type: TaskType, _ policy: Policy, _ file: String?) throws -> JSONValue {
        var object: JSONObject = ["type": .string(type.name)]
        object["file"] = file.map(JSONValue.string)
        let node = try YAMLSource.read(Array(policy.text.utf8), file: file ?? "default")
        object["policy"] = node.map { json($0, key: "") } ?? .null
        return .object(object)
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
