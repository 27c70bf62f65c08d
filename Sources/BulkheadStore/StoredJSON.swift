import BulkheadCore
import GRDB

/// The JSON texts in which the tables hold what has parts.
enum StoredJSON {
    /// Levels above those that a caller's own value may nest, for what is put around it.
    private static let levelsAround = 2

    static func value(_ text: String) throws(BulkheadError) -> JSONValue {
        do {
            return try JSONParser.parse(Array(text.utf8), depthLimit: Limits.jsonDepth + levelsAround)
        } catch {
            throw BulkheadError(
                .storage,
                "the database holds a text that should be JSON and is not",
                cause: error.description
            )
        }
    }

    static func value(_ error: TaskError) -> JSONValue {
        var object: JSONObject = [
            "reason": .string(error.reason.rawValue), "message": .string(error.message),
        ]
        object["exitCode"] = error.exitCode.map { .integer($0) }
        object["signal"] = error.signal.map { .string($0) }
        object["hint"] = error.hint.map { .string($0) }
        object["retryable"] = error.retryable.map { .bool($0) }
        return .object(object)
    }

    static func error(_ value: JSONValue) throws(BulkheadError) -> TaskError {
        guard let reason = value["reason"]?.string.flatMap(ErrorReason.init(rawValue:)),
            let message = value["message"]?.string
        else { throw damaged("an error") }
        return TaskError(
            reason,
            message,
            exitCode: value["exitCode"]?.integer.map { Int($0) },
            signal: value["signal"]?.string,
            hint: value["hint"]?.string,
            retryable: value["retryable"]?.bool
        )
    }

    static func value(_ denied: [DeniedSyscall]) -> JSONValue {
        .array(
            denied.map {
                .object([
                    "name": .string($0.name), "count": .integer($0.count), "action": .string($0.action),
                ])
            }
        )
    }

    static func deniedSyscalls(_ value: JSONValue) throws(BulkheadError) -> [DeniedSyscall] {
        var denied: [DeniedSyscall] = []
        for entry in value.array ?? [] {
            guard let name = entry["name"]?.string, let count = entry["count"]?.integer,
                let action = entry["action"]?.string
            else { throw damaged("a denied system call") }
            denied.append(DeniedSyscall(name: name, count: count, action: action))
        }
        return denied
    }

    static func value(_ usage: TaskUsage) -> JSONValue {
        .object([
            "wallSeconds": .decimal(usage.wallSeconds), "cpuSeconds": .decimal(usage.cpuSeconds),
            "maxRSSBytes": .integer(usage.maxRSSBytes),
        ])
    }

    static func usage(_ value: JSONValue) throws(BulkheadError) -> TaskUsage {
        guard let wall = value["wallSeconds"]?.double, let cpu = value["cpuSeconds"]?.double,
            let memory = value["maxRSSBytes"]?.integer
        else { throw damaged("an account of what was used") }
        return TaskUsage(wallSeconds: wall, cpuSeconds: cpu, maxRSSBytes: memory)
    }

    static func value(_ warnings: Warnings) -> JSONValue {
        .object([
            "kept": .array(warnings.kept.map { .string($0) }), "omitted": .integer(warnings.omitted),
        ])
    }

    static func warnings(_ value: JSONValue) throws(BulkheadError) -> Warnings {
        guard let kept = value["kept"]?.array, let omitted = value["omitted"]?.integer else {
            throw damaged("warnings")
        }
        return Warnings(kept: kept.compactMap(\.string), omitted: omitted)
    }

    static func value(_ totals: OutputTotals) -> JSONValue {
        .object([
            "stdoutBytes": .integer(totals.stdoutBytes), "stderrBytes": .integer(totals.stderrBytes),
            "droppedBytes": .integer(totals.droppedBytes),
        ])
    }

    private static func damaged(_ what: String) -> BulkheadError {
        BulkheadError(.storage, "the database holds \(what) that cannot be read")
    }
}
