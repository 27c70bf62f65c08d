import BulkheadCore
import BulkheadHost
import Foundation
import Glibc
import Synchronization

/// The three standard descriptors.
enum StandardDescriptors {
    /// Opens those that the caller closed, so that no socket or database of ours ever gets their numbers and
    /// a message written to it.
    static func fill() {
        while let null = FileHandle(forUpdatingAtPath: "/dev/null"), null.fileDescriptor <= 2 {
            kept.withLock { $0.append(null) }
        }
    }

    private static let kept = Mutex<[FileHandle]>([])
}

/// Standard output or standard error: data goes to the one, words to the other.
struct Console: Sendable {
    /// Standard output, for data.
    static let data = Console(descriptor: 1)
    /// Standard error, for words.
    static let words = Console(descriptor: 2)

    private let descriptor: Int32
    /// Whether a person looks at it: then control characters are escaped.
    let isTerminal: Bool
    /// Whether colours are wanted there (no-color.org).
    let hasColor: Bool

    /// The columns of the terminal; 80 where it does not say.
    var columns: Int { Terminal.columns(of: descriptor) ?? 80 }

    private init(descriptor: Int32) {
        self.descriptor = descriptor
        let environment = ProcessInfo.processInfo.environment
        isTerminal = isatty(descriptor) == 1
        hasColor =
            isTerminal && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
    }

    /// Writes bytes as they are.
    func write(_ bytes: some Sequence<UInt8>) {
        do {
            try FileHandle(fileDescriptor: descriptor, closeOnDealloc: false).write(contentsOf: Data(bytes))
        } catch {
            endBecauseUnwritable(error)
        }
    }

    /// Writes one line of our own making.
    func line(_ text: String) {
        write((text + "\n").utf8)
    }

    /// Writes a value as one document over several lines; nothing in it can steer a terminal.
    func document(_ value: JSONValue) {
        line(isTerminal ? VisibleText.ofJSON(value.prettyText) : value.prettyText)
    }

    /// Writes a value for the next program on one line, or for a person over several.
    func value(_ value: JSONValue) {
        isTerminal ? document(value) : line(value.text)
    }

    /// A text of somebody else's as it may be shown here within a line of ours.
    func shown(_ text: String) -> String {
        isTerminal ? VisibleText.ofLine(text) : text
    }

    /// The text in a colour, where colours are wanted.
    func styled(_ text: String, _ style: Style) -> String {
        hasColor ? "\u{1b}[\(style.rawValue)m\(text)\u{1b}[0m" : text
    }

    /// A reader that has gone ends us quietly, with the code by which a shell tells SIGPIPE; anything else is
    /// said.
    private func endBecauseUnwritable(_ error: any Error) -> Never {
        let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError ?? error as NSError
        let isBrokenPipe = cause.domain == NSPOSIXErrorDomain && cause.code == Int(EPIPE)
        if isBrokenPipe || descriptor == 2 {
            exit(128 + SIGPIPE)
        }
        Console.words.line("bulkhead: standard output cannot be written: \(Cause.words(of: error))")
        ExitStatus.ownFault.end()
    }
}

/// How a text is set off on a terminal: the numbers of ECMA-48's SGR.
enum Style: String {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case blue = "34"
    case magenta = "35"
}
