import ArgumentParser
import BulkheadCore

/// `bulkhead outbox`: what a controller has not acknowledged.
struct OutboxCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "outbox",
        abstract: "List and acknowledge messages for a controller.",
        subcommands: [OutboxList.self, OutboxAcknowledge.self],
        defaultSubcommand: OutboxList.self
    )
}

/// `bulkhead outbox list`: messages in the order of what happened.
struct OutboxList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List messages that were not acknowledged, oldest first.",
        discussion: """
            With --follow it goes on with what comes, until it is ended; with --json each message is a document \
            on a line of its own then.
            """
    )

    @Option(help: ArgumentHelp("At most this many; without a limit with --follow.", valueName: "number"))
    var limit: Int?

    @Option(help: ArgumentHelp("Only those behind this sequence number.", valueName: "sequence"))
    var after: Int64 = 0

    @Flag(help: "Go on with messages as they come.")
    var follow = false

    @OptionGroup var options: ClientOptions

    /// Messages shown without --limit and --follow.
    private static let usual = 100
    /// How long one call waits for something new.
    private static let onePoll = Duration.seconds(25)

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit must be at least 1.") }
        if after < 0 { throw ValidationError("--after must be at least 0.") }
    }

    func run() async throws {
        let client = try options.client()
        follow ? try await follow(client) : try await list(client)
    }

    private func list(_ client: APIClient) async throws {
        var messages: [JSONValue] = []
        var next = after
        let limit = limit ?? Self.usual
        while messages.count < limit {
            let page = try await page(client, after: next, limit: limit - messages.count, waiting: .zero)
            guard !page.messages.isEmpty else { break }
            messages += page.messages
            next = page.next
        }
        if options.json {
            return Console.data.document(
                .object(["messages": .array(messages), "next": .integer(next)])
            )
        }
        guard !messages.isEmpty else { return Console.words.line("no messages") }
        var table = MessageTable()
        for line in table.lines(messages) { Console.data.line(line) }
        guard messages.count == limit else { return }
        Console.words.line("there may be more; --after \(next) shows what follows")
    }

    private func follow(_ client: APIClient) async throws {
        var left = limit ?? .max
        var next = after
        var table = MessageTable()
        while left > 0 {
            let page = try await page(client, after: next, limit: left, waiting: Self.onePoll)
            next = page.next
            left -= page.messages.count
            guard !page.messages.isEmpty else { continue }
            let lines = options.json ? page.messages.map(\.text) : table.lines(page.messages)
            for line in lines { Console.data.line(line) }
        }
    }

    private func page(
        _ client: APIClient,
        after: Int64,
        limit: Int,
        waiting: Duration
    ) async throws -> (messages: [JSONValue], next: Int64) {
        let query: APIClient.Query = [
            ("after", "\(after)"), ("limit", "\(min(limit, Limits.outboxPage))"),
            ("wait", waiting == .zero ? nil : Quantities.text(waiting)),
        ]
        let answer = try await client.get(["v1", "outbox"], query, waiting: waiting)
        return (answer.list("messages"), answer.number("next"))
    }
}

/// `bulkhead outbox ack`: says that messages have arrived.
struct OutboxAcknowledge: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ack",
        abstract: "Acknowledge messages, which are then not told again.",
        discussion: "In any order, and as often as you like. Acknowledging a final acknowledges nothing else."
    )

    @Argument(help: ArgumentHelp("The messageIds, as list --json shows them.", valueName: "id"))
    var ids: [String]

    @OptionGroup var options: ClientOptions

    func run() async throws {
        let client = try options.client()
        var acknowledged: [JSONValue] = []
        var unknown: [JSONValue] = []
        var rest = ids[...]
        while !rest.isEmpty {
            let some = rest.prefix(Limits.acknowledgedMessages)
            rest = rest.dropFirst(some.count)
            let body = JSONValue.object(["messageIds": .array(some.map { .string($0) })])
            let answer = try await client.post(["v1", "outbox", "ack"], body: body)
            acknowledged += answer.list("acknowledged")
            unknown += answer.list("unknown")
        }
        if options.json {
            Console.data.document(
                .object(["acknowledged": .array(acknowledged), "unknown": .array(unknown)])
            )
        } else {
            Console.words.line("acknowledged: \(acknowledged.count)")
        }
        guard unknown.isEmpty else {
            let names = unknown.prefix(3).compactMap(\.string).joined(separator: ", ")
            throw Failure(
                .notFound,
                "\(unknown.count) of \(ids.count) messages are not there: \(names)\(unknown.count > 3 ? ", …" : "")"
            )
        }
    }
}

/// Messages as a table, whose head is shown once.
struct MessageTable {
    private static let columns = [
        Table.Column(title: "SEQUENCE", isRight: true),
        Table.Column(title: "KIND"),
        Table.Column(title: "TASK"),
        Table.Column(title: "TYPE", rank: 3, least: 8),
        Table.Column(title: "RUN", isRight: true, rank: 2),
        Table.Column(title: "ATTEMPT", isRight: true, rank: 2),
        Table.Column(title: "AT", rank: 4),
        Table.Column(title: "WHAT", rank: 1, least: 12),
    ]
    private var hasHead = false

    /// The lines for standard output.
    mutating func lines(_ messages: [JSONValue]) -> [String] {
        var table = Table(Self.columns)
        for message in messages { table.add(Self.row(message)) }
        defer { hasHead = true }
        return Array(table.lines(for: .data).dropFirst(hasHead ? 1 : 0))
    }

    private static func row(_ message: JSONValue) -> [Table.Cell] {
        let status = message.text("status")
        return [
            Table.Cell("\(message.number("sequence"))"),
            Table.Cell(message.text("kind"), style: Style(status: status)),
            Table.Cell(message.text("taskId")),
            Table.Cell(message.text("type")),
            Table.Cell("\(message.number("run"))"),
            Table.Cell(message["attempt"] == nil ? "" : "\(message.number("attempt"))"),
            Table.Cell(message.text("at")),
            Table.Cell(what(message)),
        ]
    }

    private static func what(_ message: JSONValue) -> String {
        let place = "\(message.text("stream")) from byte \(message.number("offset"))"
        switch OutboxMessage.Kind(rawValue: message.text("kind")) {
        case .output: return "\(Moments.size(decodedBytes(message.text("data")))) of \(place)"
        case .gap: return "\(Moments.size(message.number("bytes"))) of \(place) are gone"
        case .final:
            guard let error = message["error"] else { return message.text("status") }
            return "\(message.text("status")) (\(error.text("reason"))): \(error.text("message").oneLine)"
        case .received, .started, nil: return ""
        }
    }

    /// Bytes that a base64 text stands for (RFC 4648, section 4).
    private static func decodedBytes(_ text: String) -> Int64 {
        Int64(text.utf8.count / 4 * 3 - text.utf8.suffix(2).count { $0 == UInt8(ascii: "=") })
    }
}
