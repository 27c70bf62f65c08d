public import BulkheadCore
import FoundationEssentials

/// Output as the API shows it, and read back.
public enum OutputJSON {
    /// A page of output: `{"attempt", "chunks": […], "end"}`, bytes in base64.
    public static func value(_ page: OutputPage) -> JSONValue {
        var object = JSONObject()
        object["attempt"] = page.attempt > 0 ? .integer(page.attempt) : nil
        object["chunks"] = .array(page.pieces.map(value))
        object["end"] = .bool(page.isEnd)
        return .object(object)
    }

    /// Reads a page of output that a supervisor sent.
    /// - Parameter json: What it sent.
    /// - Returns: The page.
    /// - Throws: ``BulkheadError`` with the code `internal`, since a supervisor that sends anything else is
    ///   not one of this version.
    public static func page(_ json: JSONValue) throws(BulkheadError) -> OutputPage {
        guard let chunks = json["chunks"]?.array, let isEnd = json["end"]?.bool else {
            throw unreadable("chunks and end are missing")
        }
        var pieces: [OutputPiece] = []
        for chunk in chunks { pieces.append(try piece(chunk)) }
        let attempt = json["attempt"]?.integer ?? 0
        return OutputPage(attempt: Int(clamping: attempt), pieces: pieces, isEnd: isEnd)
    }

    static func value(_ piece: OutputPiece) -> JSONValue {
        var object: JSONObject = [
            "sequence": .integer(piece.sequence),
            "stream": .string(piece.channel.rawValue),
            "attempt": .integer(piece.attempt),
            "offset": .integer(piece.offset),
        ]
        switch piece.content {
        case .bytes(let bytes): object["data"] = .string(Data(bytes).base64EncodedString())
        case .gap(let bytes): object["gap"] = .integer(bytes)
        }
        return .object(object)
    }

    private static func piece(_ json: JSONValue) throws(BulkheadError) -> OutputPiece {
        guard let sequence = json["sequence"]?.integer,
            let channel = json["stream"]?.string.flatMap(OutputChannel.init),
            let attempt = json["attempt"]?.integer,
            let offset = json["offset"]?.integer
        else { throw unreadable("a chunk lacks sequence, stream, attempt or offset") }
        return OutputPiece(
            sequence: sequence,
            channel: channel,
            attempt: Int(clamping: attempt),
            offset: offset,
            content: try content(json)
        )
    }

    private static func content(_ json: JSONValue) throws(BulkheadError) -> OutputPiece.Content {
        if let bytes = json["gap"]?.integer { return .gap(bytes) }
        guard let text = json["data"]?.string, let data = Data(base64Encoded: text) else {
            throw unreadable("a chunk has neither a gap nor base64 data")
        }
        return .bytes([UInt8](data))
    }

    private static func unreadable(_ reason: String) -> BulkheadError {
        BulkheadError(.internal, "the supervisor's answer is not a page of output", cause: reason)
    }
}

/// Turns pieces of output into plain text: the bytes unchanged, and a line of its own for each gap.
public struct OutputText: Sendable {
    private var isAtLineStart = true

    /// Begins a text.
    public init() {}

    /// The bytes that show the next piece.
    public mutating func append(_ piece: OutputPiece) -> [UInt8] {
        let bytes: [UInt8]
        switch piece.content {
        case .bytes(let content): bytes = content
        case .gap(let length):
            let line =
                "[\(length) bytes of \(piece.channel.rawValue) from byte \(piece.offset) on are gone]\n"
            bytes = Array(((isAtLineStart ? "" : "\n") + line).utf8)
        }
        if let last = bytes.last { isAtLineStart = last == UInt8(ascii: "\n") }
        return bytes
    }
}
