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
    /// Pauses between looks at a task that has not started, of which no call tells the moment.
    private static let shortestPause = Duration.milliseconds(20)
    private static let longestPause = Duration.milliseconds(500)

    private var after: Int64?

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

    /// Reads one attempt to its end.
    mutating func followAttempt(_ attempt: Int, _ write: (OutputPiece) -> Void) async throws {
        var pause = Self.shortestPause
        while true {
            let began = ContinuousClock.now
            let page = try await page(attempt, waiting: Self.onePoll, write)
            if page.isEnd { return }
            guard page.pieces.isEmpty, ContinuousClock.now - began < Self.longestPause else {
                pause = Self.shortestPause
                continue
            }
            // An attempt whose launch failed is none any more, and its task may end without another.
            if try await task().isTerminal, try await self.page(attempt, waiting: .zero, write).pieces.isEmpty
            {
                return
            }
            try await rest(&pause)
        }
    }

    /// Reads the attempts from one on until the task is terminal.
    mutating func followTask(from first: Int, _ write: (OutputPiece) -> Void) async throws {
        var next = max(first, 1)
        var pause = Self.shortestPause
        while true {
            let task = try await task()
            if task.attempt >= next {
                try await followAttempt(next, write)
                next += 1
                pause = Self.shortestPause
            } else if task.isTerminal {
                return
            } else {
                try await rest(&pause)
            }
        }
    }

    private func task() async throws -> (attempt: Int, isTerminal: Bool) {
        let task = try await client.get(["v1", "tasks", id])
        let status = TaskStatus(rawValue: task.text("status"))
        return (Int(clamping: task.number("attempt")), status?.isTerminal ?? true)
    }

    private func rest(_ pause: inout Duration) async throws {
        try await Task.sleep(for: pause)
        pause = min(pause * 2, Self.longestPause)
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
        page.pieces.forEach(write)
        if let last = page.pieces.last { after = last.sequence }
        return page
    }
}
