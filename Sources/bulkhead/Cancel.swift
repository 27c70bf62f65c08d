import ArgumentParser
import BulkheadCore

/// `bulkhead cancel`: stops a task, or takes it out of its queue.
struct Cancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Cancel a task: queued at once, running by SIGTERM and, after the grace, SIGKILL."
    )

    @Argument(help: TaskReference.help) var id: TaskReference

    @OptionGroup var options: ClientOptions

    func run() async throws {
        let task = try await options.client().post(["v1", "tasks", id.text, "cancel"])
        if options.json { return Console.data.document(task) }
        let isOver = TaskStatus(rawValue: task.text("status"))?.isTerminal ?? false
        Console.words.line(
            Console.words.shown(
                isOver
                    ? "task \(task.text("id")) is \(task.text("status"))"
                    : "task \(task.text("id")) is being stopped; \"bulkhead wait\" tells its end"
            )
        )
    }
}
