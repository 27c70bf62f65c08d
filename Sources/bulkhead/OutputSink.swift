import BulkheadCore

/// Where a handler's output goes: stdout to one place, stderr to standard error, gaps as words.
final class OutputSink {
    private let consoles: [OutputChannel: Console]
    private var streams: [OutputChannel: VisibleStream] = [:]
    /// Whether a person's cursor stands behind a line that has not ended.
    private var isWithinLine = false

    /// Makes a sink.
    /// - Parameter stdout: Where the handler's standard output goes.
    init(stdout: Console = .data) {
        consoles = [.stdout: stdout, .stderr: .words]
    }

    /// Writes a piece as it is into a pipe, made visible on a terminal.
    func write(_ piece: OutputPiece) {
        guard let console = consoles[piece.channel] else { return }
        switch piece.content {
        case .gap(let bytes):
            flush(piece.channel)
            endLine()
            Console.words.line(
                "bulkhead: gap: \(bytes) bytes of \(piece.channel.rawValue) from offset \(piece.offset)"
                    + " of attempt \(piece.attempt) are no longer kept"
            )
        case .bytes(let bytes) where console.isTerminal:
            show(streams[piece.channel, default: VisibleStream()].feed(bytes), on: console)
        case .bytes(let bytes):
            console.write(bytes)
        }
    }

    /// Writes what is left of characters that never became whole, and ends a person's last line.
    func finish() {
        for channel in streams.keys.sorted() { flush(channel) }
        endLine()
    }

    private func flush(_ channel: OutputChannel) {
        guard let rest = streams[channel]?.finish(), let console = consoles[channel] else { return }
        show(rest, on: console)
    }

    private func show(_ text: String, on console: Console) {
        guard let last = text.last else { return }
        console.write(text.utf8)
        isWithinLine = last != "\n"
    }

    /// Our own words begin on a line of their own; into a pipe nothing is ever added.
    private func endLine() {
        guard isWithinLine, let console = consoles.values.first(where: \.isTerminal) else { return }
        console.write("\n".utf8)
        isWithinLine = false
    }
}
