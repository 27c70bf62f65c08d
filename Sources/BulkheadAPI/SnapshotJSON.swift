public import BulkheadCore

/// A snapshot as the API shows it.
public enum SnapshotJSON {
    /// A page of a snapshot; `cursor` is absent on the last one.
    public static func value(_ report: SnapshotReport) -> JSONValue {
        let page = report.page
        var object: JSONObject = [
            "phase": .string(report.phase.rawValue),
            "outbox": .string(report.outboxIsOn ? "on" : "off"),
            "sequence": .integer(page.sequence),
            "running": .array(page.running.map(value)),
            "queued": .array(page.queued.map { .string($0.text) }),
            "finals": .array(page.finals.map(value)),
            "pendingMessages": .integer(page.pendingMessages),
            "spool": .object([
                "bytes": .integer(page.spoolBytes), "cap": .integer(report.spoolCap),
                "finalBytes": .integer(page.finalBytes),
            ]),
        ]
        object["historyLost"] = report.historyLost.map(StatusJSON.value)
        object["cursor"] = page.next.isEnd ? nil : .string(cursor(page.next))
        return .object(object)
    }

    /// Reads the cursor that a page gave.
    /// - Parameter text: The cursor as it was given.
    /// - Returns: Where the next page begins.
    /// - Throws: ``BulkheadError`` with the code `malformed`.
    public static func place(ofCursor text: String) throws(BulkheadError) -> SpoolSnapshot.Place {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { part in
            part.isEmpty ? Int64?.none : Int64(part) ?? -1
        }
        guard parts.count == 3, !parts.contains(where: { $0.map { $0 < 0 } ?? false }) else {
            throw BulkheadError(
                .malformed,
                "\"\(text.cut(toBytes: 64))\" is not a cursor",
                advice: "send back the cursor of the page before, unchanged"
            )
        }
        return SpoolSnapshot.Place(running: parts[0], queued: parts[1], finals: parts[2])
    }

    private static func cursor(_ place: SpoolSnapshot.Place) -> String {
        [place.running, place.queued, place.finals].map { $0.map(String.init) ?? "" }.joined(separator: ".")
    }

    private static func value(_ running: SpoolSnapshot.Running) -> JSONValue {
        .object([
            "taskId": .string(running.task.text),
            "type": .string(running.type.name),
            "run": .integer(running.run),
            "attempt": .integer(running.attempt),
            "startedAt": .string(running.startedAt.description),
            "output": .array(running.output.map(value)),
        ])
    }

    private static func value(_ final: SpoolSnapshot.Final) -> JSONValue {
        var object: JSONObject = [
            "messageId": .string(final.messageID),
            "sequence": .integer(final.sequence),
            "taskId": .string(final.task.text),
            "type": .string(final.type.name),
            "run": .integer(final.run),
        ]
        object["attempt"] = final.attempt > 0 ? .integer(final.attempt) : nil
        object["output"] = .array(final.output.map(value))
        return .object(object)
    }

    private static func value(_ range: SpoolSnapshot.OutputRange) -> JSONValue {
        var object: JSONObject = [
            "attempt": .integer(range.attempt),
            "stream": .string(range.channel.rawValue),
            "first": .integer(range.first),
            "end": .integer(range.end),
            "missingBytes": .integer(range.missingBytes),
        ]
        object["gaps"] = TaskJSON.list(
            range.gaps.map { .object(["offset": .integer($0.offset), "bytes": .integer($0.bytes)]) }
        )
        return .object(object)
    }
}
