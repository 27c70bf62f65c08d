import ArgumentParser
import BulkheadCore

/// `bulkhead remove`: forgets a task that has ended.
struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Remove a task that has ended, with all its output.",
        discussion: "Its id is then a new one: who submits it again executes again."
    )

    @Argument(help: TaskReference.help) var id: TaskReference

    @Flag(help: "Stop it first if it has not ended.")
    var cancel = false

    @Flag(help: "Also if a controller has not acknowledged all its messages.")
    var discard = false

    @OptionGroup var options: ClientOptions

    func run() async throws {
        let client = try options.client()
        // The answer has no body, so the whole object is read before it goes.
        let task = options.json ? try await client.get(["v1", "tasks", id.text]) : nil
        try await client.delete(
            ["v1", "tasks", id.text],
            [("cancel", cancel ? "true" : nil), ("discard", discard ? "true" : nil)],
            waiting: cancel ? .seconds(Limits.waitSeconds) : .zero
        )
        if let task { return Console.data.document(task) }
        Console.words.line("task \(id.text) is removed")
    }
}
