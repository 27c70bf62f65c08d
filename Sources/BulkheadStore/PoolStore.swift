public import BulkheadCore
import GRDB

extension Store {
    /// The health of every pool of which something is known.
    public func poolHealth() async throws(BulkheadError) -> [PoolName: PoolRecord] {
        try await read { db in
            let pairs = try db.rows("SELECT name, \(Pools.columns) FROM pool") { columns in
                guard let name = try? PoolName(try columns.text()) else {
                    throw DatabaseError.damaged("the table pool")
                }
                return (name, try Pools.record(&columns))
            }
            return Dictionary(pairs) { first, _ in first }
        }
    }

    /// Keeps a pool's health, such as after its deadline was clamped or taken from the mirror.
    /// - Returns: What is stored now, with the next revision where it is another health than before.
    public func save(
        _ health: PoolHealth,
        of pool: PoolName
    ) async throws(BulkheadError) -> PoolRecord {
        try await writer.commit { db in
            try Pools.replace(db, try Pools.fetch(db, pool), with: health, of: pool)
        }
    }
}

/// The rows of pools.
enum Pools {
    static let columns = "failures, backoffs, backoffUntil, revision"

    static func record(_ columns: inout Columns) throws -> PoolRecord {
        var health = PoolHealth()
        health.failures = try columns.count()
        health.backoffs = try columns.count()
        health.backoffUntil = try columns.optionalMoment()
        return PoolRecord(health: health, revision: try columns.integer())
    }

    /// A pool's health; one without a row is healthy, at revision 0.
    static func fetch(_ db: Database, _ pool: PoolName) throws -> PoolRecord {
        try db.first("SELECT \(columns) FROM pool WHERE name = ?", [pool.name]) { try record(&$0) }
            ?? PoolRecord(health: PoolHealth(), revision: 0)
    }

    /// Counts an attempt's end for its pool.
    static func apply(
        _ db: Database,
        _ verdict: PoolVerdict,
        to pool: PoolName
    ) throws -> PoolRecord {
        let before = try fetch(db, pool)
        var health = before.health
        switch verdict.effect {
        case .success: health.succeed()
        case .failure:
            health.fail(after: verdict.ran, rule: verdict.rule, now: verdict.now, random: verdict.random)
        case .none: break
        }
        return try replace(db, before, with: health, of: pool)
    }

    /// Writes a pool's row where its health is another one now.
    static func replace(
        _ db: Database,
        _ before: PoolRecord,
        with health: PoolHealth,
        of pool: PoolName
    ) throws -> PoolRecord {
        guard before.health != health else { return before }
        let revision = before.revision + 1
        try db.run(
            """
            INSERT INTO pool (name, failures, backoffs, backoffUntil, revision) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (name) DO UPDATE SET failures = excluded.failures, backoffs = excluded.backoffs,
                backoffUntil = excluded.backoffUntil, revision = excluded.revision
            """,
            [pool.name, health.failures, health.backoffs, health.backoffUntil?.milliseconds, revision]
        )
        return PoolRecord(health: health, revision: revision)
    }
}
