public import BulkheadCore

/// Where the API is served.
public enum ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// A Unix socket at this path.
    case unix(path: String)
    /// A TCP port.
    case tcp(host: String, port: Int)

    /// Reads `unix:PATH` or `HOST:PORT`, an IPv6 host in brackets.
    /// - Parameter text: What the user wrote.
    /// - Throws: ``BulkheadError`` with the code `invalidSetting`.
    public init(_ text: String) throws(BulkheadError) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            guard !path.isEmpty, !path.utf8.contains(0) else { throw Self.unreadable(text) }
            self = .unix(path: path)
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw Self.unreadable(text)
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw Self.unreadable(text)
        }
        guard !host.isEmpty, !host.contains("/") else { throw Self.unreadable(text) }
        self = .tcp(host: String(host), port: Int(port))
    }

    /// The address in the form in which it is written.
    public var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }

    private static func unreadable(_ text: String) -> BulkheadError {
        BulkheadError(
            .invalidSetting,
            "\"\(text.prefix(128))\" is not an address to listen on",
            advice: "write unix:PATH, such as unix:/run/bulkhead/bulkhead.sock"
        )
    }
}
