import BulkheadCore
import GRDB

/// A stretch of one stream: a chunk's place, or a gap.
struct Extent: Sendable, Equatable {
    /// Which stream of which attempt.
    struct Stream: Sendable, Hashable {
        var task: Int64
        var attempt: Int
        var channel: OutputChannel
    }

    /// Its number in the order of arrival.
    var arrival: Int64
    var stream: Stream
    var offset: Int64
    var length: Int64
    /// When its newest byte came.
    var at = Timestamp(milliseconds: 0)
    /// The offsets that hold all of it that a controller has not acknowledged; nil where there is nothing such.
    var owed: Range<Int64>?

    var end: Int64 { offset + length }

    /// Both as one, which arrived when the newer did; nil where they do not touch.
    func joined(with other: Extent) -> Extent? {
        guard stream == other.stream, end == other.offset || other.end == offset else { return nil }
        return Extent(
            arrival: max(arrival, other.arrival),
            stream: stream,
            offset: min(offset, other.offset),
            length: length + other.length,
            at: max(at, other.at),
            owed: Self.hull(owed, other.owed)
        )
    }

    /// What is still owed once a stretch of it is acknowledged.
    ///
    /// One stretch is kept, so what is acknowledged in the middle of it is owed with the rest.
    func owed(after acknowledged: Range<Int64>) -> Range<Int64>? {
        guard let owed, owed.overlaps(acknowledged) else { return self.owed }
        let reachesFront = acknowledged.lowerBound <= owed.lowerBound
        let reachesEnd = acknowledged.upperBound >= owed.upperBound
        switch (reachesFront, reachesEnd) {
        case (true, true): return nil
        case (true, false): return acknowledged.upperBound..<owed.upperBound
        case (false, true): return owed.lowerBound..<acknowledged.lowerBound
        case (false, false): return owed
        }
    }

    private static func hull(_ one: Range<Int64>?, _ other: Range<Int64>?) -> Range<Int64>? {
        guard let one, let other else { return one ?? other }
        return min(one.lowerBound, other.lowerBound)..<max(one.upperBound, other.upperBound)
    }
}

extension Extent {
    private static let place = "arrival, task, attempt, channel, offset, length, at"
    /// The columns of a chunk that make its extent.
    static let ofChunk = """
        \(place), CASE owed WHEN 1 THEN offset END, CASE owed WHEN 1 THEN offset + length END
        """
    /// The columns of a gap that make its extent.
    static let ofGap = "\(place), owedOffset, owedEnd"

    init(_ columns: inout Columns) throws {
        arrival = try columns.integer()
        stream = Stream(
            task: try columns.integer(),
            attempt: try columns.count(),
            channel: try columns.channel()
        )
        offset = try columns.integer()
        length = try columns.integer()
        at = try columns.moment()
        let ends = try (columns.optionalInteger(), columns.optionalInteger())
        guard let first = ends.0, let end = ends.1 else { return }
        guard offset <= first, first < end, end <= self.end else {
            throw DatabaseError.damaged("the table gap")
        }
        owed = first..<end
    }
}

extension MessageName.Place {
    /// The stretch of the task with this key.
    func extent(ofTask key: Int64) -> Extent {
        Extent(
            arrival: arrival,
            stream: Extent.Stream(task: key, attempt: attempt, channel: channel),
            offset: offset,
            length: end - offset
        )
    }
}
