import ArgumentParser
import BulkheadCore

/// `bulkhead prune`: takes tasks away that have ended, now.
struct Prune: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take tasks away that have ended long ago.",
        discussion: """
            Without --older-than, those go that the settings retention and retention-tasks do not keep; the supervisor \
            does the same by itself every hour. A task with a message that a controller has not acknowledged stays. \
            An id that has gone is a new one: who submits it again executes again.
            """
    )

    @Option(
        help: ArgumentHelp(
            "Those that ended longer ago than this, such as 90m; 0 is all.",
            valueName: "duration"
        )
    )
    var olderThan: DurationArgument?

    @Option(help: ArgumentHelp("Only tasks of this type.", valueName: "type"))
    var type: String?

    @Flag(help: "Only count them.")
    var dryRun = false

    @OptionGroup var options: ClientOptions

    func run() async throws {
        let client = try options.client()
        var removed: Int64 = 0
        var unacknowledged: Int64 = 0
        var cursor: String?
        repeat {
            let answer = try await client.post(["v1", "prune"], query(cursor), waiting: .seconds(10))
            removed += answer.number("removed")
            unacknowledged += answer.number("unacknowledged")
            cursor = answer["cursor"]?.string
        } while cursor != nil
        write(removed: removed, unacknowledged: unacknowledged)
    }

    private func query(_ cursor: String?) -> APIClient.Query {
        [
            ("olderThan", olderThan.map { Quantities.text($0.duration) }), ("type", type),
            ("dryRun", dryRun ? "true" : nil), ("cursor", cursor),
        ]
    }

    private func write(removed: Int64, unacknowledged: Int64) {
        if options.json {
            return Console.data.document(
                .object([
                    "removed": .integer(removed), "unacknowledged": .integer(unacknowledged),
                    "dryRun": .bool(dryRun),
                ])
            )
        }
        let what = removed == 1 ? "1 task" : "\(removed) tasks"
        Console.words.line(dryRun ? "\(what) would go" : "\(what) removed")
        if unacknowledged > 0 {
            Console.words.line("kept for messages that were not acknowledged: \(unacknowledged)")
        }
    }
}
