import ArgumentParser
import BulkheadCore

/// What every client verb takes.
struct ClientOptions: ParsableArguments {
    @Flag(help: "Print the whole object as one JSON document.")
    var json = false

    @Option(help: ArgumentHelp("The supervisor's Unix socket.", valueName: "path"))
    var socket: String?

    /// The API of the supervisor that these options choose.
    func client() throws -> APIClient {
        APIClient(socket: try SocketChoice.find(named: socket))
    }
}

/// A task's id as a user names it.
struct TaskReference: ExpressibleByArgument {
    /// The id, or its unique beginning of at least six characters, in lower case.
    let text: String

    init?(argument: String) {
        guard TaskID.isBeginning(argument) else { return nil }
        text = argument.lowercased()
    }

    static let help = ArgumentHelp(
        "The task's id, or a unique beginning of it of at least \(Limits.idPrefixCharacters) characters.",
        valueName: "id"
    )
}

/// A duration on the command line.
struct DurationArgument: ExpressibleByArgument {
    let duration: Duration

    init?(argument: String) {
        guard let duration = try? Quantities.duration(argument) else { return nil }
        self.duration = duration
    }
}

extension JSONValue {
    /// A member's text, or nothing.
    func text(_ name: String) -> String { self[name]?.string ?? "" }

    /// A member's whole number, or 0.
    func number(_ name: String) -> Int64 { self[name]?.integer ?? 0 }

    /// A member's elements, or none.
    func list(_ name: String) -> [JSONValue] { self[name]?.array ?? [] }
}
