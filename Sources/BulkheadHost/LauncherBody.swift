import BulkheadCore
import Glibc

/// The process of a launcher, whoever started it.
protocol LauncherBody: Sendable {
    /// Tells the launcher from every other process.
    var mark: ProcessMark { get }
    /// The supervisor's end of the control socket; belongs to the port that is made of it.
    var socket: Int32 { get }
    /// Whether the process has ended, reaped or not.
    var hasEnded: Bool { get }
    /// Whether nothing is left of it.
    var isReaped: Bool { get }
    /// How it ended and what it wrote to stderr last; nil when there is nothing to say.
    var lastWords: String? { get }
    /// Sends SIGKILL to exactly this process.
    func kill()
}

extension LauncherProcess: LauncherBody {}

/// A launcher that another supervisor started; whoever is its parent now reaps it.
final class AdoptedProcess: LauncherBody {
    let mark: ProcessMark
    let socket: Int32
    private let handle: ProcessHandle

    /// Takes hold of the process; nil if it has gone.
    init?(_ mark: ProcessMark, socket: Int32) {
        guard let handle = ProcessHandle(mark) else { return nil }
        self.mark = mark
        self.socket = socket
        self.handle = handle
    }

    var hasEnded: Bool { handle.hasEnded }
    var isReaped: Bool { hasEnded }
    var lastWords: String? { nil }

    func kill() {
        _ = handle.send(SIGKILL)
    }
}
