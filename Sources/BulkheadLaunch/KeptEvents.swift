/// What an event line turned out to be, as the supervisor understood it.
public enum EventMeaning: UInt8, Sendable, Equatable, CaseIterable {
    /// A report of progress.
    case progress = 1
    /// The handler's result.
    case result = 2
    /// The handler's error.
    case error = 3
    /// Nothing that the protocol knows.
    case stray = 4
}

/// What event lines were understood to mean, gathered for one message.
///
/// Lines whose meaning is not told yet count as not understood, so that nothing but memory hangs on the message.
public struct MeaningBatch: Sendable, Equatable {
    private var meanings: [EventMeaning] = []
    private var bytes = 0

    /// Makes an empty batch.
    public init() {}

    /// Adds the next line.
    ///
    /// - Parameters:
    ///   - meaning: What it means.
    ///   - bytes: Its size, as it was delivered.
    /// - Returns: What is to be told now; nil: nothing yet.
    public mutating func add(_ meaning: EventMeaning, bytes: Int) -> [EventMeaning]? {
        meanings.append(meaning)
        self.bytes += bytes
        guard meanings.count >= LaunchLimits.eventAckLines || self.bytes >= LaunchLimits.eventAckBytes else {
            return nil
        }
        defer { self = MeaningBatch() }
        return meanings
    }
}

/// The event lines that a launcher keeps so that they outlive its supervisor, bounded.
///
/// Only the supervisor can read JSON: a line waits until it has said what the line means. After that the last line
/// of each meaning is kept, and of those without meaning the first few. Without a supervisor the oldest go beyond
/// the bound, those that look like neither result nor error first, and are counted.
public struct KeptEvents: Sendable, Equatable {
    /// Lines that were given up while no supervisor was there.
    public private(set) var dropped: UInt64 = 0

    private let bound: Int
    private var pending: [EventLines.Line] = []
    private var first = 0
    private var pendingBytes = 0
    private var decided: [EventMeaning: EventLines.Line] = [:]
    private var stray: [EventLines.Line] = []
    private var strayBeyond: UInt64 = 0

    /// Makes an empty keep.
    ///
    /// - Parameter bound: Bytes of the lines that wait, about.
    public init(bound: Int = LaunchLimits.pendingEventBytes) {
        self.bound = bound
    }

    /// Whether lines may be read while a supervisor is there, which says what they mean sooner or later.
    public var hasRoom: Bool { pendingBytes < bound }

    /// Takes a line.
    ///
    /// - Parameters:
    ///   - line: The line.
    ///   - attended: Whether a supervisor is there, to whom it is sent.
    public mutating func take(_ line: EventLines.Line, attended: Bool) {
        if !attended, Self.looks(line, like: "progress") {
            removePending { Self.looks($0, like: "progress") }
        }
        pending.append(line)
        pendingBytes += Self.size(line)
        guard !attended else { return }
        while pendingBytes > bound, first < pending.count - 1 { dropOne() }
    }

    /// The supervisor has said what the oldest line that waits means.
    ///
    /// - Parameter meaning: What it means.
    /// - Returns: Whether a line was waiting.
    public mutating func acknowledge(_ meaning: EventMeaning) -> Bool {
        guard first < pending.count else { return false }
        let line = pending[first]
        pending[first] = EventLines.Line(bytes: [], truncated: false, length: 0)
        first += 1
        pendingBytes -= Self.size(line)
        if first * 2 >= pending.count {
            pending.removeFirst(first)
            first = 0
        }
        keep(line, meaning)
        return true
    }

    /// Every line that is kept, oldest meaning first; all of them wait anew, for another supervisor's word.
    public mutating func renew() -> [EventLines.Line] {
        let lines = all
        dropped += strayBeyond
        strayBeyond = 0
        pending = lines
        first = 0
        pendingBytes = lines.reduce(0) { $0 + Self.size($1) }
        decided = [:]
        stray = []
        return lines
    }

    /// Every line that is kept.
    public var all: [EventLines.Line] {
        stray + [EventMeaning.progress, .error, .result].compactMap { decided[$0] } + pending[first...]
    }

    private mutating func keep(_ line: EventLines.Line, _ meaning: EventMeaning) {
        guard meaning == .stray else {
            decided[meaning] = line
            return
        }
        // A line is kept whole or not at all: a part of it would mean something else.
        let bytes = stray.reduce(Self.size(line)) { $0 + Self.size($1) }
        guard stray.count < LaunchLimits.strayEventLines, bytes <= LaunchLimits.strayEventBytes else {
            strayBeyond += 1
            return
        }
        stray.append(line)
    }

    private mutating func dropOne() {
        let candidates = pending[first..<(pending.count - 1)]
        let index =
            candidates.firstIndex { !Self.looks($0, like: "result") && !Self.looks($0, like: "error") }
            ?? first
        pendingBytes -= Self.size(pending[index])
        pending.remove(at: index)
        dropped += 1
    }

    private mutating func removePending(where isGone: (EventLines.Line) -> Bool) {
        guard let index = pending[first...].firstIndex(where: isGone) else { return }
        pendingBytes -= Self.size(pending[index])
        pending.remove(at: index)
    }

    /// A line and what it takes beside its bytes.
    private static func size(_ line: EventLines.Line) -> Int { line.bytes.count + 64 }

    /// Whether a line begins as an event of this name does; a guess, which decides only what is given up first.
    private static func looks(_ line: EventLines.Line, like name: String) -> Bool {
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }
        var rest = line.bytes[...].drop(while: isSpace)
        guard rest.popFirst() == UInt8(ascii: "{") else { return false }
        return rest.drop(while: isSpace).starts(with: "\"\(name)\"".utf8)
    }
}
