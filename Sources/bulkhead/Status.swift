import ArgumentParser
import BulkheadCore

/// `bulkhead status`: the supervisor as it stands.
struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show the supervisor as it stands.")

    @OptionGroup var options: ClientOptions

    func run() async throws {
        let status = try await options.client().get(["v1", "status"])
        options.json ? Console.data.document(status) : write(status, now: .now)
    }

    private func write(_ status: JSONValue, now: Timestamp) {
        let phase = status.text("phase")
        let style: Style = phase == SupervisorReport.Phase.ready.rawValue ? .green : .yellow
        Console.data.line(
            "bulkhead \(Console.data.shown(status.text("version")))  \(Console.data.styled(phase, style))"
        )
        var fields = Fields()
        fields.add(
            "process",
            "\(status.number("pid")), since \(Moments.full(status.text("startedAt"), now: now))"
        )
        fields.add("state", status["stateFolder"]?.string)
        fields.add("plugins", status["pluginsFolder"]?.string)
        fields.add("policies", status["policiesFolder"]?.string)
        fields.add("tasks", tasks(status))
        fields.add("spool", spool(status))
        fields.add("outbox", outbox(status))
        fields.add("database", database(status))
        fields.add("uses", process(status))
        fields.add("recovery", recovery(status))
        fields.add("history", lostHistory(status))
        fields.add("problems", lines: status.list("problems").map { ($0.string ?? $0.text).oneLine })
        fields.write(to: .data)
        guard !status.list("pools").isEmpty else { return }
        Console.data.line("")
        for line in PoolTable.lines(status.list("pools"), now: now) { Console.data.line(line) }
    }

    private func tasks(_ status: JSONValue) -> String {
        guard let counts = status["counts"] else { return "" }
        let parts = TaskStatus.allCases.compactMap { status -> String? in
            let count = counts.number(status.rawValue)
            return count > 0 ? "\(count) \(status.rawValue)" : nil
        }
        return parts.isEmpty ? "none" : parts.joined(separator: ", ")
    }

    private func spool(_ status: JSONValue) -> String {
        guard let spool = status["spool"] else { return "" }
        let dropped = spool.number("droppedBytes")
        return "\(Moments.size(spool.number("bytes"))) of \(Moments.size(spool.number("cap")))"
            + (dropped > 0 ? ", \(Moments.size(dropped)) gave way so far" : "")
    }

    private func outbox(_ status: JSONValue) -> String {
        guard let outbox = status["outbox"], outbox.number("pendingMessages") > 0 else { return "" }
        let age = Moments.seconds(outbox["oldestPendingSeconds"]?.double ?? 0)
        return "\(outbox.number("pendingMessages")) messages not acknowledged, the oldest \(age) old,"
            + " \(Moments.size(outbox.number("finalBytes"))) of finals"
    }

    private func database(_ status: JSONValue) -> String {
        guard let database = status["database"] else { return "" }
        let sizes =
            "\(Moments.size(database.number("bytes"))) and a log of \(Moments.size(database.number("logBytes")))"
            + Self.reserve(database)
        guard let mean = database["meanCommitSeconds"]?.double else { return sizes }
        return sizes + ", a commit takes \(Int64((mean * 1_000_000).rounded())) µs"
    }

    /// Room that is held on the disk, in words.
    static func reserve(_ database: JSONValue) -> String {
        guard let reserve = database["reserve"], reserve.number("wantedBytes") > 0 else { return "" }
        let (held, wanted) = (reserve.number("heldBytes"), reserve.number("wantedBytes"))
        return ", \(Moments.size(held))" + (held < wanted ? " of \(Moments.size(wanted))" : "")
            + " held on the disk for results"
    }

    private func process(_ status: JSONValue) -> String {
        guard let process = status["process"] else { return "" }
        return "\(Moments.size(process.number("residentBytes"))) of memory, \(process.number("descriptors"))"
            + " descriptors, \(process.number("threads")) threads"
    }

    private func lostHistory(_ status: JSONValue) -> String {
        guard let lost = status["historyLost"] else { return "" }
        return
            "lost at \(lost.text("at")): the database was damaged (\(lost.text("reason").oneLine)) and is now"
            + " \(lost.text("file")) in the state folder"
    }

    private func recovery(_ status: JSONValue) -> String {
        guard let recovery = status["recovery"], recovery.number("found") > 0 else { return "" }
        let outcomes = ["adopted", "recorded", "waiting", "rehydrated", "interrupted", "poisoned"]
        let parts = outcomes.compactMap { name -> String? in
            let count = recovery.number(name)
            return count > 0 ? "\(count) \(name)" : nil
        }
        return "\(recovery.number("found")) were running at the start: " + parts.joined(separator: ", ")
    }
}
