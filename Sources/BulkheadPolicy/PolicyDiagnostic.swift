/// One thing that is wrong in a file that a user wrote, and where.
public struct PolicyDiagnostic: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file as it was named to the reader.
    public let file: String
    /// The line, from 1.
    public let line: Int
    /// The column in characters, from 1.
    public let column: Int
    /// What is wrong, and the right word where there is one; bounded, and safe to show on a terminal.
    public let message: String

    /// Characters of a message; what it quotes is cut long before.
    private static let messageCharacters = 1_024

    /// Makes a diagnostic; control characters of the message become escapes.
    public init(file: String, line: Int, column: Int, message: String) {
        self.file = file
        self.line = line
        self.column = column
        self.message = YAMLText.printable(message, most: Self.messageCharacters)
    }

    /// The form that editors jump to: `policies/x.yaml:3:5: message`.
    public var description: String { "\(file):\(line):\(column): \(message)" }
}

/// Everything that is wrong in a file and in those that it names, at least one thing, in each file's order.
public struct PolicyDiagnostics: Error, Sendable, Equatable, CustomStringConvertible {
    /// The diagnostics, by file, line and column.
    public let all: [PolicyDiagnostic]

    /// The diagnostic that comes first in the file.
    public let first: PolicyDiagnostic

    /// Makes a collection of one.
    public init(_ only: PolicyDiagnostic) {
        first = only
        all = [only]
    }

    /// Makes a collection in the file's order; nil where nothing is wrong.
    public init?(_ diagnostics: [PolicyDiagnostic]) {
        all = diagnostics.sorted { ($0.file, $0.line, $0.column) < ($1.file, $1.line, $1.column) }
        guard let first = all.first else { return nil }
        self.first = first
    }

    /// One line for each diagnostic.
    public var description: String { all.map(\.description).joined(separator: "\n") }
}

/// The diagnostics of a file while it is being read; reading goes on after each, so that all are told at once.
final class Findings {
    let file: String
    private(set) var all: [PolicyDiagnostic] = []

    /// Beyond this many the file is no policy, and looking for nearest words would only cost time.
    private static let most = 64

    init(file: String) { self.file = file }

    /// Whether reading on is of no use.
    var isFull: Bool { all.count >= Self.most }

    func add(_ message: String, at position: YAMLPosition) {
        guard !isFull else { return }
        all.append(
            PolicyDiagnostic(file: file, line: position.line, column: position.column, message: message)
        )
    }

    /// Takes what is wrong in a file that this one names.
    func take(_ diagnostics: PolicyDiagnostics) {
        all += diagnostics.all.prefix(max(Self.most - all.count, 0))
    }

    /// Ends the reading: throws where anything was found.
    func conclude() throws(PolicyDiagnostics) {
        if let diagnostics = PolicyDiagnostics(all) { throw diagnostics }
    }
}
