import BulkheadCore

/// Pools as a table.
enum PoolTable {
    private static let columns = [
        Table.Column(title: "POOL", least: 8),
        Table.Column(title: "RUNNING", isRight: true),
        Table.Column(title: "OF", isRight: true),
        Table.Column(title: "QUEUED", isRight: true),
        Table.Column(title: "LIMIT", isRight: true, rank: 2),
        Table.Column(title: "FAILURES", isRight: true, rank: 1),
        Table.Column(title: "STATE", least: 12),
    ]

    /// The table's lines for standard output.
    static func lines(_ pools: [JSONValue], now: Timestamp) -> [String] {
        var table = Table(columns)
        for pool in pools { table.add(row(pool, now: now)) }
        return table.lines(for: .data)
    }

    private static func row(_ pool: JSONValue, now: Timestamp) -> [Table.Cell] {
        [
            Table.Cell(pool.text("name")),
            Table.Cell("\(pool.number("running"))"),
            Table.Cell("\(pool.number("concurrency"))"),
            Table.Cell("\(pool.number("queued"))"),
            Table.Cell(pool["queueLimit"]?.integer.map { "\($0)" } ?? "-"),
            Table.Cell("\(pool.number("failures"))"),
            state(pool, now: now),
        ]
    }

    private static func state(_ pool: JSONValue, now: Timestamp) -> Table.Cell {
        guard let until = pool["backoffUntil"]?.string, let end = try? Timestamp(until) else {
            return Table.Cell("open", style: .green)
        }
        return end > now
            ? Table.Cell("backs off for \(Moments.brief(end - now))", style: .yellow)
            : Table.Cell("waits for a probe", style: .yellow)
    }
}
