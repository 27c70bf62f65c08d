import ArgumentParser
import BulkheadCore

/// `bulkhead wait`: the end of a task, and its result.
struct Wait: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Wait for a task's end and print its result; exit 1 unless it completed.",
        discussion: "Exits with 124 when --timeout has passed first; the task goes on."
    )

    @Argument(help: TaskReference.help) var id: TaskReference

    @Option(help: ArgumentHelp("The longest to wait, such as 30s or 5m.", valueName: "duration"))
    var timeout: DurationArgument?

    @OptionGroup var options: ClientOptions

    func run() async throws {
        let client = try options.client()
        guard let timeout = timeout?.duration else {
            let task = try await TaskEnd.await(id.text, client)
            return try TaskEnd.report(task, wholeTask: options.json, printingResult: true)
        }
        guard let task = try await TaskEnd.await(id.text, client, atMost: timeout) else {
            throw Failure(.timedOut, "the task has not ended within \(Quantities.text(timeout))")
        }
        try TaskEnd.report(task, wholeTask: options.json, printingResult: true)
    }
}
