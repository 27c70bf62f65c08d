import BulkheadCore
import Foundation
import SeededRandom

/// A controller of a torture: it reads the outbox and acknowledges some of what it reads, as long as it is heard.
struct TortureController {
    private let bench: Workbench
    private let log: TortureLog
    private var random: SeededRandom

    private static let page = 200

    init(_ bench: Workbench, _ log: TortureLog, seed: UInt64) {
        self.bench = bench
        self.log = log
        random = SeededRandom(seed: seed)
    }

    /// Reads and acknowledges until there is no supervisor, or the task is cancelled.
    mutating func run() async {
        while !Task.isCancelled {
            guard let messages = await read() else { return }
            let some = messages.filter { _ in Int.random(in: 0..<3, using: &random) > 0 }
            guard await acknowledge(some) else { return }
            try? await Task.sleep(for: .milliseconds(Int.random(in: 10...80, using: &random)))
        }
    }

    /// Reads and acknowledges all that there is.
    func drain() async {
        while let messages = await read(), !messages.isEmpty {
            guard await acknowledge(messages) else { return }
        }
    }

    /// One page from the beginning, as names; what is final is noted.
    private func read() async -> [String]? {
        guard let answer = try? await bench.api("GET", "/v1/outbox?limit=\(Self.page)") else { return nil }
        log.inspect(answer, of: "GET /v1/outbox")
        guard let messages = answer.json["messages"]?.array else { return nil }
        for message in messages where message.text("kind") == "final" {
            log.told(
                History.Final(
                    messageID: message.text("messageId"),
                    id: message.text("taskId"),
                    run: message["run"]?.integer ?? 0,
                    status: message.text("status")
                )
            )
        }
        return messages.map { $0.text("messageId") }
    }

    private func acknowledge(_ names: [String]) async -> Bool {
        let body: JSONValue = ["messageIds": .array(names.map { .string($0) })]
        guard let answer = try? await bench.api("POST", "/v1/outbox/ack", body) else { return false }
        log.inspect(answer, of: "POST /v1/outbox/ack")
        if answer.status == 200 { log.acknowledged(names) }
        return true
    }
}
