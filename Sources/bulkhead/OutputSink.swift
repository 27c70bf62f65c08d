import BulkheadCore

/// Where a handler's output goes: stdout to one place, stderr to standard error, gaps as words.
final class OutputSink {
    private let consoles: [OutputChannel: Console]
    private var streams: [OutputChannel: VisibleStream] = [:]

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
            Console.words.line(
                "bulkhead: gap: \(bytes) bytes of \(piece.channel.rawValue) from offset \(piece.offset)"
                    + " of attempt \(piece.attempt) are no longer kept"
            )
        case .bytes(let bytes) where console.isTerminal:
            console.write(streams[piece.channel, default: VisibleStream()].feed(bytes).utf8)
        case .bytes(let bytes):
            console.write(bytes)
        }
    }

    /// Writes what is left of characters that never became whole.
    func finish() {
        for channel in streams.keys.sorted() { flush(channel) }
    }

    private func flush(_ channel: OutputChannel) {
        guard let rest = streams[channel]?.finish(), !rest.isEmpty else { return }
        consoles[channel]?.write(rest.utf8)
    }
}
