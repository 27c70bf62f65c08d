import BulkheadCore
import Foundation
import GRDB

/// What a torture needs of a workbench: its handlers, and what they and the database say afterwards.
extension Workbench {
    /// Where handlers leave that they ran.
    var effects: String { folder + "/effects" }
    private var files: String { folder + "/files" }

    /// Writes the handlers and policies of a torture.
    /// - Returns: The types.
    func prepareTorture() throws -> [TortureType] {
        for path in [effects, effects + "/locks", files] {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        }
        // Each attempt leaves a file of its own, since each may have a user of its own.
        try FileManager.default.setAttributes([.posixPermissions: 0o1777], ofItemAtPath: effects)
        try Data(TortureType.pattern).write(to: URL(filePath: files + "/pattern"))
        let types = TortureType.all(files: files)
        for type in types {
            try handler(type.name, Self.opening(effects) + type.script)
            let sandbox = "sandbox: {read: [\"\(files)\"], write: [\"\(effects)\"]}\n"
            try policy(type.name, sandbox + "pool: \(type.pool)\n" + type.recovery + type.policy)
        }
        let backoff = "{after: 3, within: 60s, delay: 5ms, maximum: \(Self.longestBackoff)ms, jitter: full}"
        try policy(
            "pools",
            """
            default: {concurrency: 4}
            talk: {concurrency: 3}
            slow: {concurrency: 3}
            endless: {concurrency: 2}
            frail: {concurrency: 2, backoff: \(backoff)}

            """
        )
        return types
    }

    /// The longest back-off of a pool, in milliseconds.
    static let longestBackoff = 80

    /// Each execution says that it begins, in a file of its own, and whether another one of its task still lives.
    ///
    /// Every process of it holds the lock.
    private static func opening(_ effects: String) -> String {
        """
        note='\(effects)/'$BULKHEAD_TASK_ID.$BULKHEAD_ATTEMPT.${BULKHEAD_SCRATCH##*/}
        exec 9<'\(effects)/locks/'$BULKHEAD_TASK_ID
        flock -n 9 || echo overlap >> "$note"
        echo begin >> "$note"

        """
    }

    /// What the handlers left.
    func tortureEffects() throws -> [History.Effect] {
        var found: [String: History.Effect] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: effects) where name != "locks" {
            let parts = name.split(separator: ".").map(String.init)
            let text = try String(contentsOfFile: effects + "/" + name, encoding: .utf8)
            let effect = History.Effect(id: parts[0], attempt: Int64(parts[1]) ?? 0, lines: [])
            found[parts[0] + "." + parts[1], default: effect].lines += text.split(separator: "\n").map(
                String.init
            )
        }
        return Array(found.values)
    }

    /// Reads what a closed database holds into a history, from a copy of its files.
    func readDatabase(into history: inout History) throws {
        let copy = folder + "/image"
        try? FileManager.default.removeItem(atPath: copy)
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: false)
        history.fileBytes = 0
        for name in ["bulkhead.sqlite", "bulkhead.sqlite-wal"] {
            let path = state + "/" + name
            guard FileManager.default.fileExists(atPath: path) else { continue }
            try FileManager.default.copyItem(atPath: path, toPath: copy + "/" + name)
            let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int64
            history.fileBytes += size ?? 0
        }
        let database = try DatabaseQueue(path: copy + "/bulkhead.sqlite")
        let read = try database.read { db in try StateImage(db) }
        try database.close()
        history.attempts = read.attempts
        history.streams = read.streams
        history.damage = read.damage
        (history.countedBytes, history.keptBytes) = (read.countedBytes, read.keptBytes)
    }
}

/// What a database holds that the API does not show.
private struct StateImage: Sendable {
    var attempts: [History.Attempt] = []
    var streams: [History.Stream] = []
    var damage: [String]
    var countedBytes: Int64
    var keptBytes: Int64

    init(_ db: Database) throws {
        damage = try String.fetchAll(db, sql: "PRAGMA integrity_check").filter { $0 != "ok" }
        damage += try Row.fetchAll(db, sql: "PRAGMA foreign_key_check").map(\.description)
        damage += try String.fetchAll(db, sql: Self.wrongTallies).map { "the tally of \($0) is wrong" }
        countedBytes = try Int64.fetchOne(db, sql: "SELECT spoolBytes FROM ledger") ?? -1
        keptBytes = try Int64.fetchOne(db, sql: "SELECT COALESCE(SUM(length), 0) FROM chunk") ?? -1
        for row in try Row.fetchAll(db, sql: Self.attemptRows) { attempts.append(Self.attempt(row)) }
        var pieces: [String: History.Stream] = [:]
        for row in try Row.fetchAll(db, sql: Self.pieceRows) {
            let name = (row["channel"] as Int64) == 0 ? "stdout" : "stderr"
            let id: String = row["id"]
            let attempt: Int64 = row["attempt"]
            let data: Data? = row["data"]
            let piece = History.Piece(
                offset: row["offset"],
                bytes: data.map(Array.init),
                length: row["length"]
            )
            let stream = History.Stream(id: id, attempt: attempt, name: name, pieces: [])
            pieces["\(id).\(attempt).\(name)", default: stream].pieces.append(piece)
        }
        streams = Array(pieces.values)
    }

    private static func attempt(_ row: Row) -> History.Attempt {
        let error: String? = row["error"]
        let pid: Int32? = row["launcherPID"]
        let start: Int64? = row["launcherStart"]
        let mark = pid.flatMap { pid in
            start.map { History.Mark(pid: pid, start: UInt64(bitPattern: $0)) }
        }
        return History.Attempt(
            id: row["id"],
            attempt: row["attempt"],
            run: row["run"],
            outcome: row["outcome"],
            reason: error.flatMap { try? JSONParser.parse(Array($0.utf8)) }?.text("reason"),
            launcher: mark,
            stdoutEnd: row["stdoutEnd"],
            stderrEnd: row["stderrEnd"]
        )
    }

    private static let attemptRows = """
        SELECT t.id, a.attempt, a.run, a.outcome, a.error, a.launcherPID, a.launcherStart, a.stdoutEnd,
            a.stderrEnd
        FROM attempt a JOIN task t ON t.key = a.task
        """
    private static let pieceRows = """
        SELECT t.id, c.attempt, c.channel, c.offset, c.length, c.data FROM chunk c JOIN task t ON t.key = c.task
        UNION ALL
        SELECT t.id, g.attempt, g.channel, g.offset, g.length, NULL FROM gap g JOIN task t ON t.key = g.task
        """
    private static let wrongTallies = """
        SELECT pool || ' ' || status FROM (
            SELECT pool, status, tasks FROM tally WHERE tasks <> 0
            EXCEPT SELECT pool, status, COUNT(*) FROM task GROUP BY pool, status
        )
        """
}
