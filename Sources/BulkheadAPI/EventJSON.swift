public import BulkheadCore

/// Events as the API shows them.
public enum EventJSON {
    /// The name of an event's kind, as `event:` tells it.
    public static func name(of event: FeedEvent) -> String {
        switch event.content {
        case .status: "status"
        case .progress: "progress"
        case .output: "output"
        }
    }

    /// What an event says, as `data:` tells it.
    public static func value(_ event: FeedEvent) -> JSONValue {
        switch event.content {
        case .status(let task):
            var object = TaskJSON.value(task).object ?? JSONObject()
            // Whoever wants those asks for the task.
            for name in ["params", "metadata", "result"] { object[name] = nil }
            return .object(object)
        case .progress(let progress, let attempt):
            var object: JSONObject = ["id": .string(event.task.text), "attempt": .integer(attempt)]
            object["progress"] = TaskJSON.value(progress)
            return .object(object)
        case .output(let piece):
            var object: JSONObject = ["id": .string(event.task.text)]
            for member in OutputJSON.value(piece).object?.members ?? [] { object[member.name] = member.value }
            return .object(object)
        }
    }
}
