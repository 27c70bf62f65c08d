public import BulkheadCore
import FoundationEssentials

/// Messages as the API shows them, and what acknowledges them.
public enum OutboxJSON {
    /// A page of messages: `{"messages": […], "next"}`.
    public static func value(_ page: OutboxPage) -> JSONValue {
        .object(["messages": .array(page.messages.map(value)), "next": .integer(page.next)])
    }

    /// One message; what there is nothing to say about is absent.
    public static func value(_ message: OutboxMessage) -> JSONValue {
        var object: JSONObject = [
            "messageId": .string(message.messageID),
            "sequence": .integer(message.sequence),
            "kind": .string(message.kind.rawValue),
            "taskId": .string(message.task.text),
            "type": .string(message.type.name),
            "run": .integer(message.run),
        ]
        object["attempt"] = message.attempt > 0 ? .integer(message.attempt) : nil
        object["at"] = .string(message.at.description)
        switch message.content {
        case .received, .started: break
        case .output(let channel, let offset, let bytes):
            object["stream"] = .string(channel.rawValue)
            object["offset"] = .integer(offset)
            object["data"] = .string(Data(bytes).base64EncodedString())
        case .gap(let channel, let offset, let bytes):
            object["stream"] = .string(channel.rawValue)
            object["offset"] = .integer(offset)
            object["bytes"] = .integer(bytes)
        case .final(let body):
            for member in body.members { object[member.name] = member.value }
        }
        return .object(object)
    }

    /// What acknowledging came to: `{"acknowledged", "unknown"}`.
    public static func value(_ outcome: AcknowledgeOutcome) -> JSONValue {
        .object([
            "acknowledged": .array(outcome.acknowledged.map(JSONValue.string)),
            "unknown": .array(outcome.unknown.map(JSONValue.string)),
        ])
    }

    /// Reads what acknowledges messages, strictly.
    /// - Parameter bytes: The JSON text of `{"messageIds": […]}`.
    /// - Returns: The names; whether there are such messages is not looked into.
    /// - Throws: ``BulkheadError`` with the code `malformed` or `tooLarge`.
    public static func messageIDs(_ bytes: [UInt8]) throws(BulkheadError) -> [String] {
        let value: JSONValue
        do { value = try JSONParser.parse(bytes) } catch {
            throw BulkheadError(
                .malformed,
                "this is not JSON that Bulkhead takes",
                cause: error.description,
                advice: advice
            )
        }
        let names = value.object?.names ?? []
        guard let elements = value["messageIds"]?.array, names == ["messageIds"] else {
            let stranger = names.first { $0 != "messageIds" }
            throw BulkheadError(
                .malformed,
                stranger.map { "an acknowledgement has no member \"\($0.cut(toBytes: 64))\"" }
                    ?? "\"messageIds\" is not there, or is not an array",
                advice: advice
            )
        }
        guard elements.count <= Limits.acknowledgedMessages else {
            throw BulkheadError(
                .tooLarge,
                "\(elements.count) messages are acknowledged, the limit is \(Limits.acknowledgedMessages)",
                advice: "acknowledge them in several calls"
            )
        }
        let ids = elements.compactMap(\.string)
        guard ids.count == elements.count else {
            throw BulkheadError(.malformed, "a messageId is a text", advice: advice)
        }
        return ids
    }

    private static let advice = "send {\"messageIds\": [\"…\"]} with the messageIds as they were told"
}
