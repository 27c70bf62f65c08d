import BulkheadCore
import Foundation
import GRDB
import Testing

@testable import BulkheadStore

/// A folder of its own for one test, and the calls that most tests begin with.
struct StoreWorkbench {
    let folder: URL
    let now = Timestamp(milliseconds: 1_800_000_000_000)

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "bulkhead-store-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    var path: String { folder.appending(path: "bulkhead.sqlite").path }

    /// Copies database and log to the place of another workbench, as a crash at this moment would leave them.
    ///
    /// They are read to their end: Foundation's own copy waits for ever for the rest of a file that a checkpoint
    /// has made shorter meanwhile.
    func copyFiles(to other: StoreWorkbench) throws {
        for suffix in ["", "-wal"] where FileManager.default.fileExists(atPath: path + suffix) {
            let content = try Data(contentsOf: URL(filePath: path + suffix))
            try content.write(to: URL(filePath: other.path + suffix))
        }
    }

    /// Runs a test's body with a store, then closes it and takes its folder away.
    static func run(
        spoolCap: Int64 = 64 << 20,
        outboxOn: Bool = false,
        _ change: (inout StoreSettings) -> Void = { _ in },
        _ body: (StoreWorkbench, Store) async throws -> Void
    ) async throws {
        let bench = try StoreWorkbench()
        defer { bench.remove() }
        var settings = StoreSettings(path: bench.path, spoolCap: spoolCap, outboxOn: outboxOn)
        if spoolCap < 1 << 20 {
            // So small a cap is all for output.
            settings.reservation = 0
            settings.terminalReserve = 0
        }
        settings.holdsReserve = false
        change(&settings)
        let store = try Store.open(settings)
        try await body(bench, store)
        if store.writer.end == nil { try await audit(store) }
        try await store.close()
    }

    /// Sees that the file is sound, and that every count that is kept is the count of what is there.
    static func audit(_ store: Store) async throws {
        let pairs: [(String, String)] = [
            ("SELECT spoolBytes FROM ledger", "SELECT COALESCE(SUM(length), 0) FROM chunk"),
            ("SELECT spoolBytes FROM ledger", "SELECT COALESCE(SUM(length(data)), 0) FROM chunk"),
            ("SELECT chunks FROM ledger", "SELECT COUNT(*) FROM chunk"),
            (
                "SELECT finalBytes FROM ledger",
                "SELECT COALESCE(SUM(bytes), 0) FROM outbox WHERE acknowledgedAt IS NULL"
            ),
            (
                "SELECT reservedBytes FROM ledger",
                """
                SELECT COALESCE(SUM(a.reservedBytes), 0) FROM task t
                JOIN attempt a ON a.task = t.key AND a.attempt = t.attempt WHERE t.status = 'running'
                """
            ),
            ("SELECT reservedBytes FROM ledger", "SELECT COALESCE(SUM(reservedBytes), 0) FROM attempt"),
            (
                "SELECT pendingMessages FROM ledger",
                """
                SELECT (SELECT COUNT(*) FROM task WHERE receivedAcknowledged = 0)
                    + (SELECT COUNT(*) FROM task WHERE startedAcknowledged = 0)
                    + (SELECT COUNT(*) FROM chunk WHERE owed = 1)
                    + (SELECT COUNT(*) FROM gap WHERE owedEnd IS NOT NULL)
                    + (SELECT COUNT(*) FROM outbox WHERE acknowledgedAt IS NULL)
                """
            ),
            (
                "SELECT COUNT(*) FROM tally WHERE tasks <> 0",
                "SELECT COUNT(*) FROM (SELECT 1 FROM task GROUP BY pool, status)"
            ),
            (
                "SELECT 0",
                """
                SELECT COUNT(*) FROM tally y WHERE tasks <>
                    (SELECT COUNT(*) FROM task t WHERE t.pool = y.pool AND t.status = y.status)
                """
            ),
            (
                "SELECT 0",
                """
                SELECT COUNT(*) FROM task t WHERE retainedBytes <>
                    (SELECT COALESCE(SUM(length), 0) FROM chunk c WHERE c.task = t.key)
                    OR stdoutBytes + stderrBytes <> retainedBytes + droppedBytes
                """
            ),
        ]
        try await store.read { (db: Database) throws in
            #expect(try String.fetchAll(db, sql: "PRAGMA integrity_check") == ["ok"])
            #expect(try Row.fetchAll(db, sql: "PRAGMA foreign_key_check").isEmpty)
            for (kept, counted) in pairs {
                #expect(try Int64.fetchOne(db, sql: kept) == Int64.fetchOne(db, sql: counted), "\(counted)")
            }
        }
    }

    func remove() { try? FileManager.default.removeItem(at: folder) }

    /// The id with a number in it.
    func id(_ number: Int) throws -> TaskID {
        let digits = String(number)
        return try TaskID(
            "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count) + digits
        )
    }

    func request(
        _ number: Int,
        type: String = "checksum",
        params: String = "{}",
        pool: String = "default",
        priority: Int = 0,
        queueLimit: Int? = nil,
        now: Timestamp? = nil,
        _ change: (inout Submission) -> Void = { _ in }
    ) throws -> SubmitRequest {
        var submission = Submission(
            id: try id(number),
            type: try TaskType(type),
            params: try JSONParser.parse(params)
        )
        change(&submission)
        return SubmitRequest(
            submission: submission,
            pool: try PoolName(pool),
            priority: priority,
            queueLimit: queueLimit,
            now: now ?? self.now
        )
    }

    /// Submits one task that nothing stands against.
    @discardableResult
    func submit(_ store: Store, _ request: SubmitRequest) async throws -> SubmitOutcome {
        try await store.submit([request])[0].get()
    }

    func start(_ number: Int, attempt: Int = 0, launcher: ProcessMark? = nil) throws -> AttemptStart {
        AttemptStart(
            id: try id(number),
            expectedAttempt: attempt,
            now: now + .seconds(1),
            handler: String(repeating: "a", count: 64),
            enforcement: ["filter", "landlock 7"],
            launcher: launcher
        )
    }

    /// Submits a task and begins its first attempt.
    func run(_ store: Store, _ number: Int) async throws {
        try await submit(store, try request(number))
        _ = try await store.startAttempt(try start(number))
    }

    func finish(_ number: Int, attempt: Int = 1, _ event: TaskEvent) throws -> AttemptFinish {
        AttemptFinish(
            id: try id(number),
            attempt: attempt,
            event: event,
            outcome: event == .complete ? "completed" : "failed",
            now: now + .seconds(2)
        )
    }

    func chunk(
        _ number: Int,
        attempt: Int = 1,
        _ channel: OutputChannel = .stdout,
        at offset: Int64,
        _ text: String,
        limit: Int64 = 8 << 20
    ) throws -> OutputChunk {
        OutputChunk(
            id: try id(number),
            attempt: attempt,
            channel: channel,
            offset: offset,
            bytes: Array(text.utf8),
            taskLimit: limit,
            at: now + .seconds(1)
        )
    }
}

extension OutputPiece {
    /// The piece in a form that an expectation can spell: `stdout@3 abc`, or `stdout@3 gap 7`.
    var spelled: String {
        switch content {
        case .bytes(let bytes): "\(channel)@\(offset) \(String(decoding: bytes, as: UTF8.self))"
        case .gap(let bytes): "\(channel)@\(offset) gap \(bytes)"
        }
    }
}

extension Store {
    /// Every message that nobody has acknowledged.
    func allMessages() async throws -> [OutboxMessage] { try await messages(limit: .max).messages }

    /// The finals among them.
    func finals() async throws -> [OutboxMessage] { try await allMessages().filter { $0.kind == .final } }
}

extension OutboxMessage {
    /// The message in a form that an expectation can spell: `1.1 output stdout@3 abc`, run and attempt first.
    var spelled: String {
        let what =
            switch content {
            case .received, .started: ""
            case .output(let channel, let offset, let bytes):
                " \(channel)@\(offset) \(String(decoding: bytes, as: UTF8.self))"
            case .gap(let channel, let offset, let bytes): " \(channel)@\(offset) \(bytes)"
            case .final(let body): " " + (body["status"]?.string ?? "")
            }
        return "\(run).\(attempt) \(kind.rawValue)\(what)"
    }

    /// What a final says.
    var body: JSONObject {
        if case .final(let body) = content { body } else { JSONObject() }
    }
}
