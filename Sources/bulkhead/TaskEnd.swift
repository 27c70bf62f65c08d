import BulkheadCore

/// The end of a task, as `wait` and `submit --wait` tell it.
enum TaskEnd {
    /// How long one call waits, so that a connection that has died is noticed.
    static let onePoll = Duration.seconds(30)

    /// Waits until the task is terminal.
    /// - Returns: The task.
    static func await(_ id: String, _ client: APIClient) async throws -> JSONValue {
        while true {
            if let task = try await poll(id, client, atMost: onePoll) { return task }
        }
    }

    /// Waits until the task is terminal or the time has passed.
    /// - Returns: The task; nil where the time ran out.
    static func await(_ id: String, _ client: APIClient, atMost time: Duration) async throws -> JSONValue? {
        let end = ContinuousClock.now + time
        while true {
            let left = max(ContinuousClock.now.duration(to: end), .zero)
            if let task = try await poll(id, client, atMost: min(left, onePoll)) { return task }
            if ContinuousClock.now >= end { return nil }
        }
    }

    private static func poll(_ id: String, _ client: APIClient, atMost: Duration) async throws -> JSONValue? {
        let query = [(name: "timeout", value: Optional("\(atMost.wholeMilliseconds)ms"))]
        return try await client.awaited(["v1", "tasks", id, "wait"], query, waiting: atMost)
    }

    /// Prints result or task, says why it did not complete, and ends with 1 unless it did.
    static func report(_ task: JSONValue, wholeTask: Bool, printingResult: Bool) throws {
        let isCompleted = task.text("status") == TaskStatus.completed.rawValue
        if wholeTask {
            Console.data.document(task)
        } else if printingResult, let result = task["result"] ?? (isCompleted ? .null : nil) {
            Console.data.value(result)
        }
        guard isCompleted else { throw Failure(.taskFailed, words(for: task)) }
    }

    /// Why a task did not complete, in words for standard error.
    private static func words(for task: JSONValue) -> String {
        var words = "task \(task.text("id")) \(verb(task.text("status")))"
        guard let error = task["error"] else { return words }
        let reason = error.text("reason")
        words += (reason == task.text("status") ? "" : " (\(reason))") + ": \(error.text("message").oneLine)"
        if let hint = error["hint"]?.string { words += "\nhint: \(hint.oneLine)" }
        return words
    }

    private static func verb(_ status: String) -> String {
        switch TaskStatus(rawValue: status) {
        case .cancelled, .interrupted: "was \(status)"
        default: status
        }
    }
}

extension String {
    /// The text with its lines put behind one another.
    var oneLine: String { split(whereSeparator: \.isNewline).joined(separator: " ") }
}
