import BulkheadLaunch
import CLinux
import Glibc

/// The reading end of one of the handler's pipes.
///
/// A writer of single bytes would cost a packet a byte: after a short read the next one waits a moment, in
/// which the pipe gathers more. At the end of an attempt nothing waits.
struct PipeReader: ~Copyable {
    enum Outcome {
        case bytes([UInt8])
        case empty
        case closed
    }

    /// The open end; nil once it is closed.
    private var number: Int32?
    private var notBefore: UInt64 = 0

    private static let shortRead = 4096
    private static let pauseNanoseconds: UInt64 = 1_000_000

    init(_ end: consuming Descriptor) throws(Refusal) {
        try check(clinux_set_nonblocking(end.number), .fork, "a pipe of the handler")
        number = end.release()
    }

    deinit {
        if let number { _ = Glibc.close(number) }
    }

    var isOpen: Bool { number != nil }

    /// Whether a writing end is open somewhere: only without one is there POLLHUP, whatever is still to be read.
    var isHeld: Bool {
        guard let number else { return false }
        var entry = pollfd(fd: number, events: 0, revents: 0)
        return unsafe clinux_poll(&entry, 1, 0) == 0 || entry.revents & Int16(POLLHUP) == 0
    }

    /// The number to poll; nil while a pause lasts and after the end.
    func number(at now: UInt64) -> Int32? {
        now >= notBefore ? number : nil
    }

    /// When the pause ends, if one lasts.
    func resumption(after now: UInt64) -> UInt64? {
        isOpen && now < notBefore ? notBefore : nil
    }

    mutating func read(_ buffer: borrowing ReadBuffer, limit: Int, at now: UInt64, pausing: Bool) -> Outcome {
        guard let number else { return .closed }
        guard let bytes = buffer.read(number, limit: limit) else {
            if errno == EAGAIN || errno == EINTR { return .empty }
            close()
            return .closed
        }
        guard !bytes.isEmpty else {
            close()
            return .closed
        }
        notBefore = pausing && bytes.count < min(limit, Self.shortRead) ? now + Self.pauseNanoseconds : 0
        return .bytes(bytes)
    }

    mutating func close() {
        if let number { _ = Glibc.close(number) }
        number = nil
    }
}
