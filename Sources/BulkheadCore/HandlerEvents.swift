/// What a handler has said on its event channel: the last progress, result and error, and what was not understood.
public struct HandlerEvents: Sendable {
    /// Bytes that a result's value may have, as sent.
    public let resultLimit: Int
    /// The last progress.
    public private(set) var progress: TaskProgress?
    /// The last result, or the head of one that was too long.
    public private(set) var result: JSONValue?
    /// The last error.
    public private(set) var error: HandlerError?
    /// What was not understood and what was cut; a handler may write such lines without end.
    public private(set) var warnings = Warnings()

    /// What a line was.
    public enum Line: Sendable, Equatable {
        /// Progress.
        case progress
        /// A result.
        case result
        /// An error.
        case error
        /// Nothing that can be understood.
        case notUnderstood
    }

    /// Begins with a handler that has said nothing.
    ///
    /// - Parameter resultLimit: Bytes that a result's value may have, as sent.
    public init(resultLimit: Int) { self.resultLimit = resultLimit }

    /// Takes one line.
    /// - Parameters:
    ///   - line: The line without its end, or the head of one that was too long.
    ///   - length: Bytes of the whole line.
    /// - Returns: What the line was.
    @discardableResult
    public mutating func take(_ line: [UInt8], length: Int) -> Line {
        guard length == line.count else { return takeHead(line, length: length) }
        guard !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }) else { return .notUnderstood }
        let value: JSONValue
        do {
            value = try JSONParser.parse(line)
        } catch {
            return notUnderstood(line, because: error.description)
        }
        guard let members = value.object?.members, members.count == 1, let member = members.first else {
            return notUnderstood(line, because: "it is no object with exactly one member")
        }
        switch member.name {
        case "progress": return takeProgress(member.value, line)
        case "result": return takeResult(member.value, line)
        case "error": return takeError(member.value, line)
        default: return notUnderstood(line, because: "there is no event \"\(member.name.cut(toBytes: 64))\"")
        }
    }

    private mutating func takeProgress(_ value: JSONValue, _ line: [UInt8]) -> Line {
        guard let members = value.object?.members,
            members.allSatisfy({ ["fraction", "message"].contains($0.name) }),
            value["fraction"] == nil || value["fraction"]?.double != nil,
            value["message"] == nil || value["message"]?.string != nil
        else { return notUnderstood(line, because: "progress has a fraction from 0 to 1 and a message") }
        let fraction = value["fraction"]?.double
        if let fraction, !(0...1).contains(fraction) {
            return notUnderstood(line, because: "a fraction of progress goes from 0 to 1")
        }
        let message = value["message"]?.string?.cut(toBytes: Limits.messageBytes)
        progress = TaskProgress(fraction: fraction, message: message)
        return .progress
    }

    private mutating func takeResult(_ value: JSONValue, _ line: [UInt8]) -> Line {
        let sent = Self.valueText(of: line)
        if sent.count <= resultLimit {
            result = value
        } else {
            cutResult(head: sent, bytes: sent.count)
        }
        return .result
    }

    private mutating func takeError(_ value: JSONValue, _ line: [UInt8]) -> Line {
        guard let members = value.object?.members,
            members.allSatisfy({ ["message", "retryable", "hint"].contains($0.name) }),
            let message = value["message"]?.string,
            value["retryable"] == nil || value["retryable"]?.bool != nil,
            value["hint"] == nil || value["hint"]?.string != nil
        else {
            return notUnderstood(line, because: "an error has a message and may have retryable and hint")
        }
        error = HandlerError(
            message: message.cut(toBytes: Limits.messageBytes),
            retryable: value["retryable"]?.bool,
            hint: value["hint"]?.string?.cut(toBytes: Limits.hintBytes)
        )
        return .error
    }

    /// A line that is longer than the bound: a result over its limit, or nothing that can be understood.
    private mutating func takeHead(_ head: [UInt8], length: Int) -> Line {
        let beginning = Array("{\"result\":".utf8)
        guard head.starts(with: beginning) else {
            return notUnderstood(head, because: "it has \(length) bytes, more than a line may have")
        }
        cutResult(head: head.dropFirst(beginning.count), bytes: length - beginning.count - 1)
        return .result
    }

    private mutating func cutResult(head: ArraySlice<UInt8>, bytes: Int) {
        var kept = head.prefix(Limits.resultHeadBytes)
        // A character that the cut has split goes as a whole.
        while let last = kept.last, last & 0xc0 == 0x80, String(validating: kept, as: UTF8.self) == nil {
            kept.removeLast()
        }
        if let last = kept.last, last >= 0xc0 { kept.removeLast() }
        result = [
            "truncated": true,
            "bytes": .integer(bytes),
            "head": .string(
                String(decoding: kept, as: UTF8.self)
                    .cut(toJSONBytes: resultLimit + Limits.resultHeadSlackBytes)
            ),
        ]
        warnings.append(
            "the result has \(bytes) bytes, more than the limit of \(resultLimit); only its head is kept"
        )
    }

    private mutating func notUnderstood(_ line: [UInt8], because reason: String) -> Line {
        let shown = String(decoding: line.prefix(256), as: UTF8.self)
        warnings.append("an event line was not understood, since \(reason): \(shown)")
        return .notUnderstood
    }

    /// The value's bytes as they were sent in a line that is an object with one member.
    private static func valueText(of line: [UInt8]) -> ArraySlice<UInt8> {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")),
            let brace = line.lastIndex(of: UInt8(ascii: "}")), colon < brace
        else { return line[...] }
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x0d || $0 == 0x0a }
        var value = line[(colon + 1)..<brace].drop(while: isSpace)
        while let last = value.last, isSpace(last) { value.removeLast() }
        return value
    }
}
