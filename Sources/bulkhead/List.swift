import ArgumentParser
import BulkheadCore

/// `bulkhead list`: tasks, newest first.
struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List tasks, newest first.")

    @Option(help: ArgumentHelp("Only of this status.", valueName: "status"))
    var status: TaskStatusArgument?

    @Option(help: ArgumentHelp("Only of this type.", valueName: "type"))
    var type: String?

    @Option(help: ArgumentHelp("Only of this pool.", valueName: "pool"))
    var pool: String?

    @Option(help: ArgumentHelp("Only of this caller.", valueName: "name"))
    var caller: String?

    @Option(help: ArgumentHelp("At most this many.", valueName: "number"))
    var limit = 100

    @OptionGroup var options: ClientOptions

    /// Tasks asked for at once: each may carry params of a mebibyte.
    private static let onePage = 100

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit must be at least 1.") }
    }

    func run() async throws {
        let (tasks, cursor) = try await tasks(options.client())
        if options.json {
            var document: JSONObject = ["tasks": .array(tasks)]
            document["cursor"] = cursor
            return Console.data.document(.object(document))
        }
        guard !tasks.isEmpty else { return Console.words.line("no tasks") }
        for line in TaskTable.lines(tasks, now: .now) { Console.data.line(line) }
        if cursor != nil { Console.words.line("there are more; --limit shows more than \(limit)") }
    }

    private func tasks(_ client: APIClient) async throws -> ([JSONValue], cursor: JSONValue?) {
        var tasks: [JSONValue] = []
        var cursor: JSONValue?
        repeat {
            let query: APIClient.Query = [
                ("status", status?.status.rawValue), ("type", type), ("pool", pool), ("caller", caller),
                ("limit", "\(min(limit - tasks.count, Self.onePage))"),
                ("cursor", cursor.map { $0.string ?? $0.text }),
            ]
            let page = try await client.get(["v1", "tasks"], query)
            tasks += page.list("tasks")
            cursor = page["cursor"]
        } while cursor != nil && tasks.count < limit
        return (tasks, cursor)
    }
}

/// A status on the command line.
struct TaskStatusArgument: ExpressibleByArgument {
    let status: TaskStatus

    static let allValueStrings = TaskStatus.allCases.map(\.rawValue)

    init?(argument: String) {
        guard let status = TaskStatus(rawValue: argument) else { return nil }
        self.status = status
    }
}

/// Tasks as a table.
enum TaskTable {
    private static let columns = [
        Table.Column(title: "ID"),
        Table.Column(title: "TYPE", least: 8),
        Table.Column(title: "STATUS"),
        Table.Column(title: "AGE", isRight: true, rank: 1),
        Table.Column(title: "TOOK", isRight: true, rank: 2),
        Table.Column(title: "POOL", rank: 3),
        Table.Column(title: "RUN", isRight: true, rank: 4),
        Table.Column(title: "ATTEMPT", isRight: true, rank: 4),
        Table.Column(title: "CALLER", rank: 5),
        Table.Column(title: "NOTE", rank: 6, least: 12),
    ]

    /// The table's lines for standard output.
    static func lines(_ tasks: [JSONValue], now: Timestamp) -> [String] {
        var table = Table(columns)
        for task in tasks { table.add(row(task, now: now)) }
        return table.lines(for: .data)
    }

    private static func row(_ task: JSONValue, now: Timestamp) -> [Table.Cell] {
        [
            Table.Cell(task.text("id")),
            Table.Cell(task.text("type")),
            Table.Cell(task.text("status"), style: Style(status: task.text("status"))),
            Table.Cell(Moments.age(task.text("submittedAt"), now: now)),
            Table.Cell(Moments.took(task, now: now)),
            Table.Cell(task.text("pool")),
            Table.Cell("\(task.number("run"))"),
            Table.Cell("\(task.number("attempt"))"),
            Table.Cell(task.text("caller")),
            Table.Cell(note(task)),
        ]
    }

    private static func note(_ task: JSONValue) -> String {
        if let error = task["error"] { return "\(error.text("reason")): \(error.text("message").oneLine)" }
        guard let progress = task["progress"], task.text("status") == TaskStatus.running.rawValue else {
            return ""
        }
        return Moments.progress(progress)
    }
}

extension Style {
    /// How a task's status is set off.
    init?(status: String) {
        switch TaskStatus(rawValue: status) {
        case .completed: self = .green
        case .failed: self = .red
        case .running: self = .blue
        case .interrupted: self = .magenta
        case .cancelled: self = .yellow
        case .queued, nil: return nil
        }
    }
}
