/// A message's name, made of what it tells of alone, so that telling it again gives the same name.
///
/// The database's own id and the task's key are part of it: an id that has gone and is submitted again is another
/// task, and its messages are other messages. Output is named by its place: the number under which it arrived,
/// the attempt, the stream and the offsets; a gap that has grown is another message.
public struct MessageName: Sendable, Equatable {
    /// Which stretch of output it tells of.
    public struct Place: Sendable, Equatable {
        /// The number under which its newest byte arrived.
        public var arrival: Int64
        /// The attempt that it belongs to.
        public var attempt: Int
        /// The stream.
        public var channel: OutputChannel
        /// Where it begins in its stream, in bytes.
        public var offset: Int64
        /// Where it ends in its stream, in bytes.
        public var end: Int64

        /// Makes a place from its parts.
        public init(arrival: Int64, attempt: Int, channel: OutputChannel, offset: Int64, end: Int64) {
            self.arrival = arrival
            self.attempt = attempt
            self.channel = channel
            self.offset = offset
            self.end = end
        }
    }

    /// The task.
    public var task: TaskID
    /// The database's own id.
    public var storeID: String
    /// The task's key.
    public var key: Int64
    /// The run.
    public var run: Int
    /// What it tells.
    public var kind: OutboxMessage.Kind
    /// nil for all but `output` and `gap`.
    public var place: Place?

    /// Makes a name from its parts.
    public init(
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
    public init?(_ text: String) {
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
        guard self.text.utf8.elementsEqual(text.utf8) else { return nil }
    }

    /// The name as it is told.
    public var text: String {
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
}
