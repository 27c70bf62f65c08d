import GRDB

/// The rows of several statements in the order of their first column, which none of them has twice.
///
/// Each statement gives its rows in that order by itself, and is read no further than one row ahead.
struct MergedRows<Value> {
    private struct Source {
        var rows: RowCursor
        var read: (_ number: Int64, inout Columns) throws -> Value
        var head: (number: Int64, value: Value)?

        mutating func advance() throws {
            head = nil
            guard let row = try rows.next() else { return }
            var columns = Columns(row)
            let number = try columns.integer()
            head = (number, try read(number, &columns))
        }
    }

    private var sources: [Source] = []

    /// Adds the rows of a cached statement.
    mutating func add(
        _ sql: String,
        _ arguments: StatementArguments,
        _ db: Database,
        _ read: @escaping (_ number: Int64, inout Columns) throws -> Value
    ) throws {
        let rows = try Row.fetchCursor(try db.cachedStatement(sql: sql), arguments: arguments)
        var source = Source(rows: rows, read: read)
        try source.advance()
        sources.append(source)
    }

    /// The next row of all; nil at the end.
    mutating func next() throws -> Value? {
        var first: (index: Int, number: Int64, value: Value)?
        for (index, source) in sources.enumerated() {
            guard let head = source.head, head.number < first?.number ?? .max else { continue }
            first = (index, head.number, head.value)
        }
        guard let first else { return nil }
        try sources[first.index].advance()
        return first.value
    }
}
