import BulkheadCore

/// A message's name, made of what it tells of alone, so that telling it again gives the same name.
///
/// The database's own id and the task's key are part of it: an id that has gone and is submitted again is another
/// task, and its messages are other messages. Output is named by its place: the number under which it arrived,
/// the attempt, the stream and the offsets; a gap that has grown is another message.
struct MessageName: Sendable, Equatable {
    /// Which stretch of output it tells of.
    struct Place: Sendable, Equatable {
        var arrival: Int64
        var attempt: Int
        var channel: OutputChannel
        var offset: Int64
        var end: Int64
    }

    var task: TaskID
    /// The database's own id.
    var storeID: String
    /// The task's key.
    var key: Int64
    var run: Int
    var kind: OutboxMessage.Kind
    /// nil for all but `output` and `gap`.
    var place: Place?

    init(
        task: TaskID,
        storeID: String,
        key: Int64,
        run: Int,
        kind: OutboxMessage.Kind,
        place: Place? = nil
    ) {
        self.task = task
        self.storeID = storeID
        self.key = key
        self.run = run
        self.kind = kind
        self.place = place
    }

    /// Reads a name; nil for everything that ``text`` never gives.
    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 5 || parts.count == 9, let task = try? TaskID(parts[0]),
            let key = Int64(parts[2]), let run = Int(parts[3]),
            let kind = OutboxMessage.Kind(rawValue: parts[4]),
            (kind == .output || kind == .gap) == (parts.count == 9)
        else { return nil }
        self.init(task: task, storeID: parts[1], key: key, run: run, kind: kind)
        if parts.count == 9 {
            guard let place = Place(parts[5...]) else { return nil }
            self.place = place
        }
        // One name has one spelling, so that nobody takes two spellings for two messages.
        guard self.text == text else { return nil }
    }

    /// The name as it is told.
    var text: String {
        let beginning = "\(task).\(storeID).\(key).\(run).\(kind.rawValue)"
        guard let place else { return beginning }
        let stream = "\(place.attempt).\(place.channel.rawValue)"
        return "\(beginning).\(place.arrival).\(stream).\(place.offset)-\(place.end)"
    }
}

extension MessageName.Place {
    fileprivate init?(_ parts: ArraySlice<String>) {
        let parts = Array(parts)
        let ends = parts[3].split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) }
        guard let arrival = Int64(parts[0]), let attempt = Int(parts[1]),
            let channel = OutputChannel(rawValue: parts[2]), ends.count == 2, let offset = ends[0],
            let end = ends[1], 0 <= offset, offset < end
        else { return nil }
        self.init(arrival: arrival, attempt: attempt, channel: channel, offset: offset, end: end)
    }

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
