import ArgumentParser
import BulkheadCore

/// The command: `serve` is the supervisor, every other verb a client of it or offline.
@main
struct Bulkhead: AsyncParsableCommand {
    /// The product's version.
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "bulkhead",
        abstract: "Run tasks by handlers in a sandbox, and keep what they said.",
        discussion: """
            Exit codes: 0 done; 1 the task failed, was interrupted or cancelled, or a checked policy is wrong; \
            124 wait ran out of its time; 2 wrong usage or settings; 3 not found; 4 refused; 69 no supervisor, \
            or no right to its socket; 70 our own fault.
            """,
        version: version,
        groupedSubcommands: [
            CommandGroup(
                name: "Supervisor:",
                subcommands: [Serve.self, Status.self, Doctor.self, Prune.self]
            ),
            CommandGroup(
                name: "Tasks:",
                subcommands: [
                    Submit.self, List.self, Show.self, Logs.self, Wait.self, Cancel.self, Remove.self,
                ]
            ),
            CommandGroup(
                name: "Handlers and policies:",
                subcommands: [Plugins.self, Pools.self, PolicyCommand.self, Check.self]
            ),
            CommandGroup(name: "Controllers:", subcommands: [OutboxCommand.self]),
        ]
    )

    static func main() async {
        StandardDescriptors.fill()
        do {
            var command = try parseAsRoot()
            if var verb = command as? any AsyncParsableCommand {
                try await verb.run()
            } else {
                try command.run()
            }
        } catch {
            end(with: error)
        }
    }

    /// Says what went wrong and ends; help that was asked for is no error, and goes to standard output.
    private static func end(with error: any Error) -> Never {
        if isOfTheParser(error) {
            let message = fullMessage(for: error)
            guard exitCode(for: error).isSuccess else {
                Console.words.line(message)
                ExitStatus.wrongUsage.end()
            }
            Console.data.line(message)
            ExitStatus.done.end()
        }
        let failure = Failure(error)
        if let message = failure.message {
            for line in message.split(separator: "\n") {
                Console.words.line("bulkhead: " + Console.words.shown(String(line)))
            }
        }
        failure.status.end()
    }

    private static func isOfTheParser(_ error: any Error) -> Bool {
        guard !(error is Failure), !(error is BulkheadError) else { return false }
        let code = exitCode(for: error)
        return code.isSuccess || code == .validationFailure
    }
}
