/// How far a reader has come in the streams of one attempt.
///
/// A gap grows when what lies beside it goes, so one that comes late may begin before what was read already: for
/// this reader only the rest of it is missing.
public struct OutputPlaces: Sendable {
    private var attempt = 0
    private var ends: [OutputChannel: Int64] = [:]

    /// Begins before everything.
    public init() {}

    /// Notes a piece that is read, in the order of arrival.
    /// - Parameter piece: The piece; one of another attempt begins anew.
    /// - Returns: What of it was not read before; nil where there is nothing such.
    public mutating func unread(_ piece: OutputPiece) -> OutputPiece? {
        if piece.attempt != attempt {
            attempt = piece.attempt
            ends = [:]
        }
        guard let rest = piece.rest(from: ends[piece.channel] ?? 0) else { return nil }
        ends[piece.channel] = rest.offset + rest.length
        return rest
    }
}

extension OutputPiece {
    /// The part of the piece from a place of its stream on.
    /// - Parameter place: The offset.
    /// - Returns: That part, or the whole where it begins there or later; nil where nothing of it is left.
    public func rest(from place: Int64) -> OutputPiece? {
        guard place > offset else { return self }
        let before = place - offset
        guard before < length else { return nil }
        var rest = self
        rest.offset = place
        switch content {
        case .bytes(let bytes): rest.content = .bytes(Array(bytes.dropFirst(Int(before))))
        case .gap(let length): rest.content = .gap(length - before)
        }
        return rest
    }
}
