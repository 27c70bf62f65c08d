import BulkheadCore
import GRDB

/// A task as its row holds it, its JSON still text, so that the writer's thread parses none of it.
struct TaskRow: Sendable {
    var key: Int64
    var record: TaskRecord
    var waitingFor: String?
    var params: String
    private var metadata: String?
    private var result: String?
    private var error: String?
    private var deniedSyscalls: String?
    private var usage: String?
    private var warnings: String?

    /// Reads rows by a condition on `t`, the table of tasks.
    static func selection(_ condition: String) -> String { select + condition }

    private static let select = """
        SELECT \(taskColumns), i.params, i.metadata, t.result, \(lastColumns)
        FROM task t JOIN input i ON i.task = t.key\u{20}
        """

    /// Reads a number and then rows without what makes them large: params, metadata and result.
    static func glance(_ number: String, _ rest: String) -> String {
        "SELECT \(number), \(taskColumns), 'null', NULL, NULL, \(lastColumns) \(rest)"
    }

    private static let taskColumns = """
        t.key, t.sequence, t.id, t.type, t.pool, t.status, t.run, t.attempt, t.interruptions,
            t.lossesInRow, t.retries, t.priority, t.caller, t.submittedAt, t.notBefore, t.expiresAt,
            t.startedAt, t.completedAt, t.progressFraction, t.progressMessage, t.stdoutBytes,
            t.stderrBytes, t.droppedBytes, t.cancelRequested, t.waitUntil, t.waitingFor
        """
    private static let lastColumns = "t.error, t.deniedSyscalls, t.usage, t.warnings"

    private static let byID = selection("WHERE t.id = ?")
    private static let byKey = selection("WHERE t.key = ?")

    static func fetch(_ db: Database, id: TaskID) throws -> TaskRow? {
        try db.first(byID, [id.text]) { try TaskRow(&$0) }
    }

    /// Reads a row that is known to be there.
    static func fetch(_ db: Database, key: Int64) throws -> TaskRow {
        guard let row = try db.first(byKey, [key], { try TaskRow(&$0) }) else {
            throw DatabaseError.damaged("the table task")
        }
        return row
    }

    init(_ columns: inout Columns) throws {
        key = try columns.integer()
        let sequence = try columns.integer()
        let names = try (columns.text(), columns.text(), columns.text(), columns.text())
        guard let id = try? TaskID(names.0), let type = try? TaskType(names.1),
            let pool = try? PoolName(names.2), let status = TaskStatus(rawValue: names.3)
        else { throw DatabaseError.damaged("the table task") }
        record = TaskRecord(
            sequence: sequence,
            id: id,
            type: type,
            pool: pool,
            priority: 0,
            params: .null,
            submittedAt: Timestamp(milliseconds: 0)
        )
        record.status = status
        try Self.readCounters(&columns, into: &record)
        try Self.readMoments(&columns, into: &record)
        record.cancelRequested = try columns.flag()
        record.waitUntil = try columns.optionalMoment()
        waitingFor = try columns.optionalText()
        params = try columns.text()
        metadata = try columns.optionalText()
        result = try columns.optionalText()
        error = try columns.optionalText()
        deniedSyscalls = try columns.optionalText()
        usage = try columns.optionalText()
        warnings = try columns.optionalText()
    }

    private static func readCounters(_ columns: inout Columns, into record: inout TaskRecord) throws {
        record.run = try columns.count()
        record.attempt = try columns.count()
        record.interruptions = try columns.count()
        record.lossesInRow = try columns.count()
        record.retries = try columns.count()
        record.priority = try columns.count()
        record.caller = try columns.optionalText()
    }

    private static func readMoments(_ columns: inout Columns, into record: inout TaskRecord) throws {
        record.submittedAt = try columns.moment()
        record.notBefore = try columns.optionalMoment()
        record.expiresAt = try columns.optionalMoment()
        record.startedAt = try columns.optionalMoment()
        record.completedAt = try columns.optionalMoment()
        let fraction = try columns.optionalDecimal()
        let message = try columns.optionalText()
        if fraction != nil || message != nil {
            record.progress = TaskProgress(fraction: fraction, message: message)
        }
        record.output.stdoutBytes = try columns.integer()
        record.output.stderrBytes = try columns.integer()
        record.output.droppedBytes = try columns.integer()
    }

    /// The task with its JSON parsed.
    /// - Throws: ``BulkheadError`` with the code `storage` where a text is not what was written.
    func parsed() throws(BulkheadError) -> TaskRecord {
        var record = self.record
        record.params = try StoredJSON.value(params)
        if let metadata { record.metadata = try StoredJSON.value(metadata) }
        if let result { record.result = try StoredJSON.value(result) }
        if let error { record.error = try StoredJSON.error(try StoredJSON.value(error)) }
        record.deniedSyscalls = try parsedDenied()
        if let usage { record.usage = try StoredJSON.usage(try StoredJSON.value(usage)) }
        record.warnings = try parsedWarnings()
        return record
    }

    func parsedDenied() throws(BulkheadError) -> [DeniedSyscall] {
        guard let deniedSyscalls else { return [] }
        return try StoredJSON.deniedSyscalls(try StoredJSON.value(deniedSyscalls))
    }

    func parsedWarnings() throws(BulkheadError) -> Warnings {
        guard let warnings else { return Warnings() }
        return try StoredJSON.warnings(try StoredJSON.value(warnings))
    }

    /// What the final message of the run says, put together from the texts as they are stored.
    var finalBody: String {
        let output = StoredJSON.value(record.output).text
        let members: [(name: String, text: String?)] = [
            ("status", JSONValue.string(record.status.rawValue).text), ("result", result), ("error", error),
            ("deniedSyscalls", deniedSyscalls), ("output", output), ("usage", usage),
        ]
        let texts = members.compactMap { name, text in text.map { "\"\(name)\":\($0)" } }
        return "{" + texts.joined(separator: ",") + "}"
    }

    /// Bytes of the texts that make a task large.
    var textBytes: Int {
        params.utf8.count + (metadata?.utf8.count ?? 0) + (result?.utf8.count ?? 0)
    }
}
