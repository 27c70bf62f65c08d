import ArgumentParser
import BulkheadCore
import Foundation

/// `bulkhead submit`: hands a task in, and stays with it where that is asked for.
struct Submit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Submit a task; print its id, its result (--wait) or its output (--follow).",
        discussion: """
            With an --id of your own a submit can be repeated safely: what is queued, running or completed \
            is left as it is, and what failed, was interrupted or cancelled is queued again.
            """
    )

    @Argument(help: ArgumentHelp("The task type: a handler's name.", valueName: "type"))
    var type: String

    @Option(help: ArgumentHelp("The task's id, a UUID; one is made where there is none.", valueName: "uuid"))
    var id: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "JSON, @FILE for a file's JSON, or - for standard input.",
            valueName: "json|@file|-"
        )
    )
    var params: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("JSON that comes back with the task; as --params.", valueName: "json|@file|-")
    )
    var metadata: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Higher goes first; the policy's, where there is none.", valueName: "number")
    )
    var priority: Int?

    @Option(help: ArgumentHelp("On whose behalf.", valueName: "name"))
    var caller: String?

    @Option(
        help: ArgumentHelp(
            "Do not start it before this has passed, such as 30s or 5m.",
            valueName: "duration"
        )
    )
    var delay: DurationArgument?

    @Flag(help: "Wait for the end and print the result as JSON; exit 1 unless the task completed.")
    var wait = false

    @Flag(help: "Print the handler's output as it comes; exit 1 unless the task completed.")
    var follow = false

    @OptionGroup var options: ClientOptions

    func validate() throws {
        guard params != "-" || metadata != "-" else {
            throw ValidationError("Standard input can be the params or the metadata, not both.")
        }
    }

    func run() async throws {
        let body = try submission()
        let client = try options.client()
        let task = try await client.post(["v1", "tasks"], body: body)
        guard wait || follow else {
            return options.json ? Console.data.document(task) : Console.data.line(task.text("id"))
        }
        if follow { try await Self.follow(task, client, wholeTask: options.json) }
        let ended = try await TaskEnd.await(task.text("id"), client)
        try TaskEnd.report(ended, wholeTask: options.json, printingResult: wait)
    }

    /// With `--json` standard output is one document, so that a handler's output goes beside it.
    private static func follow(_ task: JSONValue, _ client: APIClient, wholeTask: Bool) async throws {
        let sink = OutputSink(stdout: wholeTask ? .words : .data)
        let isQueued = task.text("status") == TaskStatus.queued.rawValue
        var follower = OutputFollower(client: client, id: task.text("id"))
        try await follower.followTask(from: Int(clamping: task.number("attempt")) + (isQueued ? 1 : 0)) {
            sink.write($0)
        }
        sink.finish()
    }

    private func submission() throws -> JSONValue {
        var body: JSONObject = ["type": .string(try TaskType(type).name)]
        if let id { body["id"] = .string(try TaskID(id).text) }
        if let params {
            body["params"] = try JSONArgument.read(params, of: "--params", limit: Limits.paramsBytes)
        }
        if let metadata {
            body["metadata"] = try JSONArgument.read(metadata, of: "--metadata", limit: Limits.metadataBytes)
        }
        if let priority { body["priority"] = .integer(priority) }
        if let caller { body["caller"] = .string(caller) }
        if let delay {
            let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
            body["notBefore"] = .string((now + delay.duration).description)
        }
        return .object(body)
    }
}

/// JSON given as an argument, in a file, or on standard input.
enum JSONArgument {
    /// Reads it, never more than a bound.
    /// - Parameters:
    ///   - argument: JSON, `@FILE` or `-`.
    ///   - name: The flag, for messages.
    ///   - limit: Bytes that it may have.
    /// - Returns: The value.
    /// - Throws: ``Failure`` where it cannot be read, is too large or is not JSON.
    static func read(_ argument: String, of name: String, limit: Int) throws -> JSONValue {
        let (bytes, place) = try bytes(argument, of: name, limit: limit)
        guard bytes.count <= limit else {
            throw Failure(
                .wrongUsage,
                "\(name): \(place) has more than \(Quantities.text(bytes: Int64(limit))), which is the most"
            )
        }
        do {
            return try JSONParser.parse(bytes)
        } catch {
            throw Failure(.wrongUsage, "\(name): \(place) is not JSON: \(error)")
        }
    }

    private static func bytes(
        _ argument: String,
        of name: String,
        limit: Int
    ) throws -> (bytes: [UInt8], place: String) {
        guard argument == "-" || argument.hasPrefix("@") else {
            return (Array(argument.utf8), "the argument")
        }
        let path = argument == "-" ? nil : String(argument.dropFirst())
        do {
            let file =
                try path.map { try FileHandle(forReadingFrom: URL(fileURLWithPath: $0)) } ?? .standardInput
            let bytes = try file.read(upToCount: limit + 1) ?? Data()
            return (Array(bytes), path ?? "standard input")
        } catch {
            let cause = Cause.words(of: error)
            throw Failure(.wrongUsage, "\(name): \(path ?? "standard input") cannot be read: \(cause)")
        }
    }
}
