import ArgumentParser
import BulkheadCore

/// `bulkhead show`: all that is known of a task.
struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show all that is known of a task.")

    @Argument(help: TaskReference.help) var id: TaskReference

    @OptionGroup var options: ClientOptions

    func run() async throws {
        let task = try await options.client().get(["v1", "tasks", id.text])
        options.json ? Console.data.document(task) : TaskSheet(task, now: .now).write(to: .data)
    }
}

/// A task for people.
struct TaskSheet {
    private let task: JSONValue
    private let now: Timestamp

    init(_ task: JSONValue, now: Timestamp) {
        self.task = task
        self.now = now
    }

    func write(to console: Console) {
        let status = console.styled(task.text("status"), Style(status: task.text("status")) ?? .bold)
        let id = console.styled(console.shown(task.text("id")), .bold)
        console.line("\(id)  \(console.shown(task.text("type")))  \(status)")
        fields.write(to: console)
        attempts(console)
    }

    private var fields: Fields {
        var fields = Fields()
        addPlace(to: &fields)
        addMoments(to: &fields)
        if let progress = task["progress"] { fields.add("progress", Moments.progress(progress)) }
        fields.add("params", lines: value("params"))
        fields.add("metadata", lines: value("metadata"))
        fields.add("result", lines: value("result"))
        addError(to: &fields)
        addAccount(to: &fields)
        fields.add("warnings", lines: task.list("warnings").map { ($0.string ?? $0.text).oneLine })
        return fields
    }

    private func addPlace(to fields: inout Fields) {
        let losses = task.number("interruptions")
        fields.add("pool", "\(task.text("pool")), priority \(task.number("priority"))")
        fields.add("caller", task["caller"]?.string)
        fields.add(
            "run",
            "\(task.number("run")), attempt \(task.number("attempt"))"
                + (losses > 0 ? ", lost to a crash \(losses)×" : "")
        )
        fields.add("waiting for", task["waitingFor"]?.string)
        fields.add("in the queue", task["queuePosition"]?.integer.map { "\($0) before it" })
    }

    private func addMoments(to fields: inout Fields) {
        for (name, key) in [
            ("submitted", "submittedAt"), ("not before", "notBefore"), ("expires", "expiresAt"),
            ("started", "startedAt"), ("ended", "completedAt"),
        ] {
            fields.add(name, task[key]?.string.map { Moments.full($0, now: now) })
        }
    }

    private func addError(to fields: inout Fields) {
        guard let error = task["error"] else { return }
        var facts: [String] = []
        let message = error.text("message")
        if let code = error["exitCode"]?.integer, !message.contains("\(code)") {
            facts.append("exit code \(code)")
        }
        if let signal = error["signal"]?.string, !message.contains(signal) { facts.append(signal) }
        if let retryable = error["retryable"]?.bool {
            facts.append(retryable ? "retryable" : "not retryable")
        }
        let end = facts.isEmpty ? "" : " (\(facts.joined(separator: ", ")))"
        fields.add("error", "\(error.text("reason")): \(message.oneLine)\(end)")
        fields.add("hint", error["hint"]?.string?.oneLine)
    }

    private func addAccount(to fields: inout Fields) {
        fields.add(
            "denied",
            lines: task.list("deniedSyscalls").map {
                "\($0.text("name")) \($0.number("count"))× (\($0.text("action")))"
            }
        )
        if let output = task["output"] {
            let dropped = output.number("droppedBytes")
            fields.add(
                "output",
                "stdout \(Moments.size(output.number("stdoutBytes"))), "
                    + "stderr \(Moments.size(output.number("stderrBytes")))"
                    + (dropped > 0 ? ", no longer kept \(Moments.size(dropped))" : "")
            )
        }
        fields.add("held by", task.list("attempts").last.map(enforcement))
        guard let usage = task["usage"] else { return }
        fields.add(
            "usage",
            "\(Moments.seconds(usage["wallSeconds"]?.double ?? 0)) elapsed, "
                + "\(Moments.seconds(usage["cpuSeconds"]?.double ?? 0)) of processor, "
                + "\(Moments.size(usage.number("maxRSSBytes"))) of memory at most"
        )
    }

    /// A value on one line where it is short, else over several.
    private func value(_ name: String) -> [String] {
        guard let value = task[name] else { return [] }
        let line = value.text
        return line.displayWidth <= 64 ? [line] : value.prettyText.split(separator: "\n").map(String.init)
    }

    private func attempts(_ console: Console) {
        let attempts = task.list("attempts")
        guard !attempts.isEmpty else { return }
        var table = Table([
            Table.Column(title: "ATTEMPT", isRight: true),
            Table.Column(title: "RUN", isRight: true, rank: 2),
            Table.Column(title: "STARTED"),
            Table.Column(title: "TOOK", isRight: true),
            Table.Column(title: "OUTCOME"),
            Table.Column(title: "HANDLER", rank: 1),
            Table.Column(title: "ERROR", least: 12),
        ])
        for attempt in attempts { table.add(row(attempt)) }
        console.line("")
        for line in table.lines(for: console, indentation: 2) { console.line(line) }
    }

    private func row(_ attempt: JSONValue) -> [Table.Cell] {
        let start = try? Timestamp(attempt.text("startedAt"))
        let end = try? Timestamp(attempt.text("completedAt"))
        let outcome = attempt["outcome"]?.string ?? "running"
        let reason = attempt["error"].map { " (\($0.text("reason")))" } ?? ""
        return [
            Table.Cell("\(attempt.number("attempt"))"),
            Table.Cell("\(attempt.number("run"))"),
            Table.Cell(clock(attempt.text("startedAt"))),
            Table.Cell(start.map { Moments.brief((end ?? now) - $0) } ?? ""),
            Table.Cell(outcome + reason, style: Style(status: outcome)),
            Table.Cell(String(attempt.text("handler").prefix(12))),
            Table.Cell(attempt["error"]?["message"]?.string?.oneLine ?? ""),
        ]
    }

    private func enforcement(_ attempt: JSONValue) -> String {
        guard let enforcement = attempt["enforcement"] else { return "" }
        return enforcement.array?.map { $0.string ?? $0.text }.joined(separator: ", ")
            ?? enforcement.string ?? enforcement.text
    }

    /// The time of day of a moment, which the task's own times give a date.
    private func clock(_ text: String) -> String {
        String(text.split(separator: "T").last?.prefix(8) ?? "")
    }
}
