import BulkheadCore
import Foundation
import GRDB

/// Reads a row's columns from left to right; what no version has written is an error, never a trap.
struct Columns {
    private let row: Row
    private var next = 0

    init(_ row: Row) { self.row = row }

    mutating func optionalInteger() throws -> Int64? {
        switch take() {
        case .null: nil
        case .int64(let value): value
        default: throw wrong()
        }
    }

    mutating func integer() throws -> Int64 {
        guard let value = try optionalInteger() else { throw wrong() }
        return value
    }

    mutating func count() throws -> Int { Int(try integer()) }

    mutating func flag() throws -> Bool { try integer() != 0 }

    mutating func optionalText() throws -> String? {
        switch take() {
        case .null: nil
        case .string(let value): value
        default: throw wrong()
        }
    }

    mutating func text() throws -> String {
        guard let value = try optionalText() else { throw wrong() }
        return value
    }

    mutating func optionalDecimal() throws -> Double? {
        switch take() {
        case .null: nil
        case .double(let value): value
        case .int64(let value): Double(value)
        default: throw wrong()
        }
    }

    mutating func optionalBytes() throws -> [UInt8]? {
        switch take() {
        case .null: nil
        case .blob(let value): Array(value)
        default: throw wrong()
        }
    }

    mutating func optionalMoment() throws -> Timestamp? {
        try optionalInteger().map(Timestamp.init(milliseconds:))
    }

    mutating func moment() throws -> Timestamp { Timestamp(milliseconds: try integer()) }

    mutating func channel() throws -> OutputChannel {
        guard let channel = OutputChannel(column: try integer()) else { throw wrong() }
        return channel
    }

    mutating func mark() throws -> ProcessMark? {
        let pid = try optionalInteger()
        let start = try optionalInteger()
        let boot = try optionalText()
        guard let pid, let start, let boot else { return nil }
        return ProcessMark(
            pid: Int32(truncatingIfNeeded: pid),
            startTime: UInt64(bitPattern: start),
            bootID: boot
        )
    }

    private mutating func take() -> DatabaseValue.Storage {
        defer { next += 1 }
        let value: DatabaseValue = row[next]
        return value.storage
    }

    private func wrong() -> DatabaseError { .damaged("column \(next) of a row") }
}

extension OutputChannel {
    /// The number under which the tables hold it.
    var column: Int64 { self == .stdout ? 0 : 1 }

    init?(column: Int64) {
        switch column {
        case 0: self = .stdout
        case 1: self = .stderr
        default: return nil
        }
    }
}

extension Database {
    /// Runs a cached statement.
    func run(_ sql: String, _ arguments: StatementArguments = []) throws {
        try cachedStatement(sql: sql).execute(arguments: arguments)
    }

    /// Runs a cached statement that changes one row, or none where the row is no longer what it was.
    func changes(_ sql: String, _ arguments: StatementArguments) throws -> Bool {
        try run(sql, arguments)
        return changesCount > 0
    }

    /// The rows of a cached statement, which runs to its end.
    func rows<Value>(
        _ sql: String,
        _ arguments: StatementArguments = [],
        _ map: (inout Columns) throws -> Value
    ) throws -> [Value] {
        let cursor = try Row.fetchCursor(try cachedStatement(sql: sql), arguments: arguments)
        var values: [Value] = []
        while let row = try cursor.next() {
            var columns = Columns(row)
            values.append(try map(&columns))
        }
        return values
    }

    /// The first row of a cached statement, which runs to its end.
    func first<Value>(
        _ sql: String,
        _ arguments: StatementArguments = [],
        _ map: (inout Columns) throws -> Value
    ) throws -> Value? {
        try rows(sql, arguments, map).first
    }
}
