public import BulkheadCore

/// Tasks as the API shows them: what there is nothing to say about is absent, never null.
public enum TaskJSON {
    /// A task with its attempts and its place in the queue.
    public static func value(_ report: TaskReport) -> JSONValue {
        let task = report.task
        var object = identity(of: task)
        object["submittedAt"] = .string(task.submittedAt.description)
        object["notBefore"] = time(task.notBefore)
        object["expiresAt"] = time(task.expiresAt)
        object["startedAt"] = time(task.startedAt)
        object["completedAt"] = time(task.completedAt)
        object["progress"] = task.progress.map(value)
        object["result"] = task.result
        object["error"] = task.error.map(value)
        object["deniedSyscalls"] = list(task.deniedSyscalls.map(value))
        object["output"] = task.attempt > 0 ? value(task.output) : nil
        object["usage"] = task.usage.map(value)
        object["queuePosition"] = report.queuePosition.map { .integer($0) }
        object["waitingFor"] = report.waitingFor.map(JSONValue.string)
        object["warnings"] = list(task.warnings.shown.map(JSONValue.string))
        object["attempts"] = list(report.attempts.map(value))
        return .object(object)
    }

    /// A task as a list and a submit show it: without its attempts.
    public static func value(_ task: TaskRecord) -> JSONValue {
        value(TaskReport(task: task))
    }

    /// A page of a list as JSON text, newest first.
    /// - Parameters:
    ///   - page: The tasks and where the next page begins.
    ///   - limit: Bytes after which the page ends early, so that large params cannot make it endless; it
    ///     holds one task at least, and its cursor goes on where it ended.
    /// - Returns: `{"tasks": […], "cursor": "…"}` in UTF-8.
    public static func bytes(of page: TaskPage, atMost limit: Int) -> [UInt8] {
        var bytes = Array(#"{"tasks":["#.utf8)
        var next = page.next
        var last: Int64?
        for task in page.tasks {
            let element = value(task).bytes
            if let last, bytes.count + element.count > limit {
                next = last
                break
            }
            if last != nil { bytes.append(UInt8(ascii: ",")) }
            bytes.append(contentsOf: element)
            last = task.sequence
        }
        bytes.append(UInt8(ascii: "]"))
        if let next { bytes.append(contentsOf: #","cursor":"\#(next)""#.utf8) }
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    /// Reads the cursor that a page of a list gave.
    /// - Parameter text: The cursor as it was given.
    /// - Returns: The sequence number below which the next page begins.
    /// - Throws: ``BulkheadError`` with the code `malformed`.
    public static func sequence(ofCursor text: String) throws(BulkheadError) -> Int64 {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let sequence = Int64(text) else {
            throw BulkheadError(
                .malformed,
                "\"\(text.cut(toBytes: 64))\" is not a cursor",
                advice: "send back the cursor of the page before, unchanged"
            )
        }
        return sequence
    }

    /// One outcome of a batch: the HTTP status of its own, and the task or the problem.
    public static func value(_ outcome: Result<SubmitOutcome, BulkheadError>) -> JSONValue {
        switch outcome {
        case .success(.queued(let task)): .object(["status": .integer(201), "task": value(task)])
        case .success(.existing(let task)): .object(["status": .integer(200), "task": value(task)])
        case .failure(let error):
            .object(["status": .integer(Problem(error).status), "problem": Problem(error).json])
        }
    }

    private static func identity(of task: TaskRecord) -> JSONObject {
        var object: JSONObject = [
            "id": .string(task.id.text),
            "type": .string(task.type.name),
            "pool": .string(task.pool.name),
            "status": .string(task.status.rawValue),
            "run": .integer(task.run),
            "attempt": .integer(task.attempt),
            "interruptions": .integer(task.interruptions),
            "priority": .integer(task.priority),
        ]
        object["caller"] = task.caller.map(JSONValue.string)
        object["params"] = task.params
        object["metadata"] = task.metadata
        return object
    }

    static func value(_ progress: TaskProgress) -> JSONValue {
        var object = JSONObject()
        object["fraction"] = progress.fraction.map(JSONValue.decimal)
        object["message"] = progress.message.map(JSONValue.string)
        return .object(object)
    }

    private static func value(_ error: TaskError) -> JSONValue {
        var object: JSONObject = [
            "reason": .string(error.reason.rawValue), "message": .string(error.message),
        ]
        object["exitCode"] = error.exitCode.map { .integer($0) }
        object["signal"] = error.signal.map(JSONValue.string)
        object["hint"] = error.hint.map(JSONValue.string)
        object["retryable"] = error.retryable.map(JSONValue.bool)
        return .object(object)
    }

    private static func value(_ denied: DeniedSyscall) -> JSONValue {
        .object([
            "name": .string(denied.name), "count": .integer(denied.count), "action": .string(denied.action),
        ])
    }

    private static func value(_ output: OutputTotals) -> JSONValue {
        .object([
            "stdoutBytes": .integer(output.stdoutBytes),
            "stderrBytes": .integer(output.stderrBytes),
            "droppedBytes": .integer(output.droppedBytes),
        ])
    }

    private static func value(_ usage: TaskUsage) -> JSONValue {
        .object([
            "wallSeconds": .decimal(usage.wallSeconds),
            "cpuSeconds": .decimal(usage.cpuSeconds),
            "maxRSSBytes": .integer(usage.maxRSSBytes),
        ])
    }

    private static func value(_ attempt: AttemptRecord) -> JSONValue {
        var object: JSONObject = [
            "attempt": .integer(attempt.attempt),
            "run": .integer(attempt.run),
            "startedAt": .string(attempt.startedAt.description),
        ]
        object["completedAt"] = time(attempt.completedAt)
        object["outcome"] = attempt.outcome.map(JSONValue.string)
        object["error"] = attempt.error.map(value)
        object["handler"] = .string(attempt.handler)
        object["enforcement"] = list(attempt.enforcement.map(JSONValue.string))
        return .object(object)
    }

    static func time(_ moment: Timestamp?) -> JSONValue? {
        moment.map { .string($0.description) }
    }

    /// The elements, or nothing where there are none.
    static func list(_ elements: [JSONValue]) -> JSONValue? {
        elements.isEmpty ? nil : .array(elements)
    }
}
