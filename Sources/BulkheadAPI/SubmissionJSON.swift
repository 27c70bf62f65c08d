public import BulkheadCore

/// Reads what a submit sends, strictly: what is not known is refused by name.
public enum SubmissionJSON {
    /// Reads one task.
    /// - Parameters:
    ///   - bytes: The JSON text.
    ///   - newID: Makes an id where the caller sent none.
    /// - Returns: The submission.
    /// - Throws: ``BulkheadError`` with the code `malformed` or `tooLarge`.
    public static func submission(
        _ bytes: [UInt8],
        newID: () -> TaskID
    ) throws(BulkheadError) -> Submission {
        let members = SubmissionMembers(try object(bytes))
        try members.checkNames()
        try checkSizes(bytes)
        let id = try members.id() ?? newID()
        var submission = Submission(id: id, type: try members.type())
        if let params = members.object["params"] { submission.params = params }
        submission.metadata = members.object["metadata"]
        submission.priority = try members.priority()
        submission.caller = try members.caller()
        submission.notBefore = try members.time("notBefore")
        submission.expiresAt = try members.time("expiresAt")
        if let notBefore = submission.notBefore, let expiresAt = submission.expiresAt, expiresAt < notBefore {
            throw BulkheadError(.malformed, "expiresAt is before notBefore, so the task could never start")
        }
        return submission
    }

    /// Reads a batch, each of its tasks on its own.
    /// - Parameters:
    ///   - bytes: The JSON text of `{"tasks": […]}`.
    ///   - newID: Makes an id for each task that brings none.
    /// - Returns: For each task, in order, the submission or what is wrong with it.
    /// - Throws: ``BulkheadError`` with the code `malformed` or `tooLarge` where the batch itself is wrong.
    public static func batch(
        _ bytes: [UInt8],
        newID: () -> TaskID
    ) throws(BulkheadError) -> [Result<Submission, BulkheadError>] {
        let elements = try elements(ofBatch: bytes)
        guard elements.count <= Limits.batchTasks else {
            throw BulkheadError(
                .tooLarge,
                "the batch has \(elements.count) tasks, the limit is \(Limits.batchTasks)",
                advice: "send it in several batches"
            )
        }
        return elements.map { range in
            Result { () throws(BulkheadError) in
                guard range.count <= Limits.bodyBytes else {
                    throw tooLarge("the task", range.count, Limits.bodyBytes)
                }
                return try submission(Array(bytes[range]), newID: newID)
            }
        }
    }

    private static func elements(ofBatch bytes: [UInt8]) throws(BulkheadError) -> [Range<Int>] {
        guard let members = JSONOutline.members(of: bytes) else {
            _ = try object(bytes)
            throw BulkheadError(.malformed, "the batch is not JSON")
        }
        if let stranger = members.first(where: { $0.name != "tasks" }) {
            throw unknown(stranger.name, in: "a batch", known: ["tasks"])
        }
        guard let tasks = members.first, members.count == 1 else {
            throw BulkheadError(
                .malformed,
                members.isEmpty ? "the batch has no tasks" : "the member \"tasks\" is there twice",
                advice: "send {\"tasks\": […]}"
            )
        }
        guard let elements = JSONOutline.elements(of: bytes, in: tasks.value) else {
            throw BulkheadError(.malformed, "\"tasks\" is not an array", advice: "send {\"tasks\": […]}")
        }
        return elements
    }

    private static func object(_ bytes: [UInt8]) throws(BulkheadError) -> JSONObject {
        guard !bytes.isEmpty else {
            throw BulkheadError(
                .malformed,
                "the body is empty",
                advice: "send a JSON object, such as {\"type\": \"checksum\", \"params\": {}}"
            )
        }
        let value: JSONValue
        do { value = try JSONParser.parse(bytes) } catch {
            throw BulkheadError(.malformed, "this is not JSON that Bulkhead takes", cause: error.description)
        }
        guard let object = value.object else {
            throw BulkheadError(.malformed, "a JSON object should be here, not \(value.kind)")
        }
        return object
    }

    /// Params and metadata are bounded as they were sent, white space and escapes included.
    private static func checkSizes(_ bytes: [UInt8]) throws(BulkheadError) {
        guard bytes.count > Limits.metadataBytes else { return }
        for member in JSONOutline.members(of: bytes) ?? [] {
            switch member.name {
            case "params" where member.value.count > Limits.paramsBytes:
                throw tooLarge("params", member.value.count, Limits.paramsBytes)
            case "metadata" where member.value.count > Limits.metadataBytes:
                throw tooLarge("metadata", member.value.count, Limits.metadataBytes)
            default: break
            }
        }
    }

    static func tooLarge(_ what: String, _ bytes: Int, _ limit: Int) -> BulkheadError {
        BulkheadError(
            .tooLarge,
            "\(what) has \(bytes) bytes, the limit is \(Quantities.text(bytes: Int64(limit)))",
            advice: what == "params" ? "put large input into a file and send its path" : nil
        )
    }

    static func unknown(_ name: String, in place: String, known: [String]) -> BulkheadError {
        BulkheadError(
            .malformed,
            "\"\(name.cut(toBytes: 64))\" is no member of \(place)",
            advice: NearestWord.advice(for: name, among: known)
        )
    }
}

/// The members of one task, each read as its own type.
private struct SubmissionMembers {
    static let names = [
        "id", "type", "params", "metadata", "priority", "caller", "notBefore", "expiresAt",
    ]
    let object: JSONObject

    init(_ object: JSONObject) { self.object = object }

    func checkNames() throws(BulkheadError) {
        for name in object.names where !Self.names.contains(name) {
            throw SubmissionJSON.unknown(name, in: "a task", known: Self.names)
        }
    }

    func id() throws(BulkheadError) -> TaskID? {
        guard let text = try text("id") else { return nil }
        return try TaskID(text)
    }

    func type() throws(BulkheadError) -> TaskType {
        guard let text = try text("type") else {
            throw BulkheadError(.malformed, "\"type\" is missing", advice: "say which handler should run")
        }
        return try TaskType(text)
    }

    func priority() throws(BulkheadError) -> Int? {
        guard let value = object["priority"] else { return nil }
        let bounds = Limits.priority
        guard let number = value.integer, let priority = Int(exactly: number), bounds.contains(priority)
        else {
            throw wrong(
                "priority",
                value,
                "a whole number from \(bounds.lowerBound) to \(bounds.upperBound)"
            )
        }
        return priority
    }

    func caller() throws(BulkheadError) -> String? {
        guard let caller = try text("caller") else { return nil }
        guard caller.utf8.count <= Limits.callerBytes else {
            throw SubmissionJSON.tooLarge("caller", caller.utf8.count, Limits.callerBytes)
        }
        guard !caller.isEmpty, caller.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
        else {
            throw BulkheadError(
                .malformed,
                caller.isEmpty ? "\"caller\" is empty" : "\"caller\" has a control character in it",
                advice: "leave it out or give a name"
            )
        }
        return caller
    }

    func time(_ name: String) throws(BulkheadError) -> Timestamp? {
        guard let text = try text(name) else { return nil }
        do { return try Timestamp(text) } catch {
            throw BulkheadError(.malformed, "\"\(name)\": \(error.message)", advice: error.advice)
        }
    }

    private func text(_ name: String) throws(BulkheadError) -> String? {
        guard let value = object[name] else { return nil }
        guard let text = value.string else { throw wrong(name, value, "a text") }
        return text
    }

    private func wrong(_ name: String, _ value: JSONValue, _ right: String) -> BulkheadError {
        let advice = value == .null ? "leave it out instead of sending null" : nil
        return BulkheadError(.malformed, "\"\(name)\" is \(value.kind), not \(right)", advice: advice)
    }
}

extension JSONValue {
    /// What kind of value this is, in plain words; a number is shown where it is short.
    fileprivate var kind: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let number):
            number.literal.utf8.count <= 24 ? "the number \(number.literal)" : "a number"
        case .string: "a text"
        case .array: "an array"
        case .object: "an object"
        }
    }
}
