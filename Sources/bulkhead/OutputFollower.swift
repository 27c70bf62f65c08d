import BulkheadAPI
import BulkheadCore

/// Reads a task's output page by page, by long polls, through all its attempts where that is asked for.
struct OutputFollower {
    let client: APIClient
    let id: String
    /// One stream alone; nil is both.
    let stream: OutputChannel?

    /// How long one call waits for something new.
    private static let onePoll = Duration.seconds(25)

    private var after: Int64?
    private var places = OutputPlaces()

    init(client: APIClient, id: String, stream: OutputChannel? = nil) {
        self.client = client
        self.id = id
        self.stream = stream
    }

    /// Reads what there is of one attempt, without waiting for more.
    /// - Parameters:
    ///   - attempt: Its number; nil is the latest.
    ///   - write: Takes each piece.
    /// - Returns: Whether the attempt is over and all of it was read.
    /// - Throws: ``Failure`` where the supervisor cannot be asked.
    mutating func readAttempt(_ attempt: Int?, _ write: (OutputPiece) -> Void) async throws -> Bool {
        var attempt = attempt
        while true {
            let page = try await page(attempt, waiting: .zero, write)
            if page.isEnd { return true }
            if page.pieces.isEmpty { return false }
            attempt = page.attempt
        }
    }

    /// Reads one attempt to its end, from its beginning on where it has still to begin.
    /// - Throws: ``Failure`` where the supervisor cannot be asked, or the task has ended without such an attempt.
    mutating func followAttempt(_ attempt: Int, _ write: (OutputPiece) -> Void) async throws {
        while try await !page(attempt, waiting: Self.onePoll, write).isEnd {}
    }

    /// Reads the attempts from one on until the task is terminal.
    mutating func followTask(from first: Int, _ write: (OutputPiece) -> Void) async throws {
        var next = max(first, 1)
        while true {
            do {
                try await followAttempt(next, write)
                next += 1
            } catch let failure as Failure where failure.status == .notFound {
                let task = try await client.get(["v1", "tasks", id])
                if Int(clamping: task.number("attempt")) > next {
                    // It is so long ago that nothing is kept of it.
                    next += 1
                } else if TaskStatus(rawValue: task.text("status"))?.isTerminal ?? true {
                    return
                }
            }
        }
    }

    private mutating func page(
        _ attempt: Int?,
        waiting: Duration,
        _ write: (OutputPiece) -> Void
    ) async throws -> OutputPage {
        let query: APIClient.Query = [
            ("stream", stream?.rawValue),
            ("attempt", attempt.map { "\($0)" }),
            ("after", after.map { "\($0)" }),
            ("wait", waiting == .zero ? nil : Quantities.text(waiting)),
        ]
        let answer = try await client.get(["v1", "tasks", id, "output"], query, waiting: waiting)
        let page = try OutputJSON.page(answer)
        for piece in page.pieces { if let rest = places.unread(piece) { write(rest) } }
        if let last = page.pieces.last { after = last.sequence }
        return page
    }
}
