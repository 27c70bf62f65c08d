import ArgumentParser
import BulkheadAPI
import BulkheadCore

/// `bulkhead logs`: what a handler wrote, in order of arrival.
struct Logs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print what a task's handler wrote.",
        discussion: """
            The handler's standard output goes to standard output, its standard error to standard error, in \
            order of arrival. What is no longer kept is told as one line on standard error.
            """
    )

    @Argument(help: TaskReference.help) var id: TaskReference

    @Flag(help: "Go on until the task has ended, through its later attempts too.")
    var follow = false

    @Option(help: ArgumentHelp("Only this stream, stdout or stderr.", valueName: "stream"))
    var stream: StreamArgument?

    @Option(help: ArgumentHelp("Of this attempt; the latest where none is named.", valueName: "number"))
    var attempt: Int?

    @OptionGroup var options: ClientOptions

    func validate() throws {
        if let attempt, attempt < 1 { throw ValidationError("Attempts are counted from 1.") }
    }

    func run() async throws {
        let client = try options.client()
        let task = try await client.get(["v1", "tasks", id.text])
        let latest = Int(clamping: task.number("attempt"))
        var follower = OutputFollower(client: client, id: task.text("id"), stream: stream?.channel)
        if options.json {
            var document = ChunkDocument()
            let isEnd = try await read(&follower, latest: latest) { document.add($0) }
            return document.finish(isEnd: isEnd)
        }
        let sink = OutputSink()
        _ = try await read(&follower, latest: latest) { sink.write($0) }
        sink.finish()
    }

    private func read(
        _ follower: inout OutputFollower,
        latest: Int,
        _ write: (OutputPiece) -> Void
    ) async throws -> Bool {
        guard follow else {
            return try await follower.readAttempt(attempt, write)
        }
        if let attempt {
            try await follower.followAttempt(attempt, write)
        } else {
            try await follower.followTask(from: latest, write)
        }
        return true
    }
}

/// A stream on the command line.
struct StreamArgument: ExpressibleByArgument {
    let channel: OutputChannel

    static let allValueStrings = OutputChannel.allCases.map(\.rawValue)

    init?(argument: String) {
        guard let channel = OutputChannel(rawValue: argument) else { return nil }
        self.channel = channel
    }
}

/// The one document of `logs --json`, written chunk by chunk, since output may be larger than memory.
private struct ChunkDocument {
    private var isEmpty = true

    mutating func add(_ piece: OutputPiece) {
        let page = OutputJSON.value(OutputPage(attempt: piece.attempt, pieces: [piece], isEnd: false))
        for chunk in page.list("chunks") {
            Console.data.write(((isEmpty ? "{\"chunks\": [\n  " : ",\n  ") + chunk.text).utf8)
        }
        isEmpty = false
    }

    func finish(isEnd: Bool) {
        Console.data.line((isEmpty ? "{\"chunks\": [" : "\n") + "], \"end\": \(isEnd)}")
    }
}
