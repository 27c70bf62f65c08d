import BulkheadLaunch
import Glibc

/// Stdout, stderr and fd 3 of one attempt, from the handler's pipes into messages.
final class Drain {
    /// Whether output that may have been in a pipe was left there.
    private(set) var isIncomplete = false

    private let attempt: UInt64
    private let control: ControlSocket
    private let buffer: ReadBuffer
    private var stdout: PipeReader
    private var stderr: PipeReader
    private var eventPipe: PipeReader
    private var stdoutWindow = OutputWindow()
    private var stderrWindow = OutputWindow()
    private(set) var lines: EventLines
    private(set) var events = KeptEvents()
    private var deadline: UInt64?

    /// Fd 3 is read in small pieces, since each line becomes a packet.
    private static let eventReadBytes = 8192

    init(
        spec: LaunchSpec,
        control: ControlSocket,
        stdout: consuming Descriptor,
        stderr: consuming Descriptor,
        events: consuming Descriptor
    ) throws(Refusal) {
        attempt = spec.attempt
        self.control = control
        buffer = ReadBuffer(capacity: LaunchLimits.outputPacketBytes)
        lines = EventLines(bound: Int(spec.eventLineBytes))
        self.stdout = try PipeReader(stdout)
        self.stderr = try PipeReader(stderr)
        eventPipe = try PipeReader(events)
    }

    func window(of stream: OutputStream) -> OutputWindow {
        switch stream {
        case .stdout: stdoutWindow
        case .stderr: stderrWindow
        }
    }

    func acknowledge(_ stream: OutputStream, _ offset: UInt64) throws(WindowError) {
        switch stream {
        case .stdout: try stdoutWindow.acknowledge(offset)
        case .stderr: try stderrWindow.acknowledge(offset)
        }
    }

    /// The supervisor has said what the oldest line means that it was sent.
    ///
    /// - Returns: Whether there was one.
    func acknowledgeEvent(_ meaning: EventMeaning) -> Bool {
        events.acknowledge(meaning)
    }

    /// A supervisor has gone or come: without one the windows drop their oldest bytes.
    func attend(_ isAttended: Bool) {
        let mode: OutputWindow.Mode = isAttended ? .attended : .unattended
        if stdoutWindow.mode != .draining { stdoutWindow.mode = mode }
        if stderrWindow.mode != .draining { stderrWindow.mode = mode }
    }

    /// Everything that is kept of the streams and the events, as another supervisor is to hear it.
    func report() -> [LauncherMessage] {
        let kept = events.renew().map { line in
            LauncherMessage.event(
                attempt: attempt,
                line: line.bytes,
                truncated: line.truncated,
                length: line.length
            )
        }
        let output = OutputStream.allCases.flatMap { stream in
            window(of: stream).runs(from: 0).map { run in
                LauncherMessage.output(
                    attempt: attempt,
                    stream: stream,
                    offset: run.offset,
                    bytes: Array(run.bytes)
                )
            }
        }
        return kept + output
    }

    /// Asks to be woken by what may be read now: a full window or a long queue reads nothing.
    func watch(_ poll: inout PollSet, at now: UInt64) {
        if stdoutWindow.canRead, let number = stdout.number(at: now) { poll.watch(.stdout, number) }
        if stderrWindow.canRead, let number = stderr.number(at: now) { poll.watch(.stderr, number) }
        if mayReadEvents, let number = eventPipe.number(at: now) { poll.watch(.events, number) }
    }

    /// The next instant at which something may be read again.
    func resumption(after now: UInt64) -> UInt64? {
        [stdout.resumption(after: now), stderr.resumption(after: now), eventPipe.resumption(after: now)]
            .compactMap(\.self).min()
    }

    func read(_ poll: borrowing PollSet, at now: UInt64) {
        if poll.isReady(.stdout) { _ = readOutput(.stdout, at: now, pausing: true) }
        if poll.isReady(.stderr) { _ = readOutput(.stderr, at: now, pausing: true) }
        if poll.isReady(.events) { _ = readEvents(at: now, pausing: true) }
    }

    /// The handler has ended: what its pipes hold gets extra room, for a while.
    func beginEnd(at now: UInt64) {
        stdoutWindow.mode = .draining
        stderrWindow.mode = .draining
        deadline = now + LaunchLimits.drainNanoseconds
    }

    /// When the drain ends at the latest.
    var endDeadline: UInt64? { isOpen ? deadline : nil }

    /// Reads what is left once nothing of the tree can write any more.
    ///
    /// - Returns: Whether there is nothing more to wait for.
    func finish(at now: UInt64) -> Bool {
        let outputEnded = [readToEnd(.stdout, at: now), readToEnd(.stderr, at: now)].allSatisfy(\.self)
        let eventsEnded = readEventsToEnd(at: now)
        if !(outputEnded && eventsEnded) {
            guard let deadline, now >= deadline else { return false }
            isIncomplete = true
        }
        close()
        if let line = lines.finish() { send(line) }
        return true
    }

    /// Forgets what the pipes hold.
    func close() {
        stdout.close()
        stderr.close()
        eventPipe.close()
    }

    /// Whether a process still has a writing end.
    var isHeld: Bool { stdout.isHeld || stderr.isHeld || eventPipe.isHeld }

    private var isOpen: Bool { stdout.isOpen || stderr.isOpen || eventPipe.isOpen }

    private var mayReadEvents: Bool {
        control.isClosed || (control.queuedBytes < LaunchLimits.eventQueueBytes && events.hasRoom)
    }

    private func readToEnd(_ stream: OutputStream, at now: UInt64) -> Bool {
        while window(of: stream).canRead {
            guard readOutput(stream, at: now, pausing: false) else { return true }
        }
        return false
    }

    private func readEventsToEnd(at now: UInt64) -> Bool {
        while mayReadEvents {
            guard readEvents(at: now, pausing: false) else { return true }
        }
        return false
    }

    /// Whether there may be more.
    private func readOutput(_ stream: OutputStream, at now: UInt64, pausing: Bool) -> Bool {
        let outcome =
            switch stream {
            case .stdout: stdout.read(buffer, limit: stdoutWindow.room, at: now, pausing: pausing)
            case .stderr: stderr.read(buffer, limit: stderrWindow.room, at: now, pausing: pausing)
            }
        guard case .bytes(let bytes) = outcome else { return false }
        do {
            let offset =
                switch stream {
                case .stdout: try stdoutWindow.append(bytes)
                case .stderr: try stderrWindow.append(bytes)
                }
            control.send(.output(attempt: attempt, stream: stream, offset: offset, bytes: bytes))
            return true
        } catch {
            // No more was read than there was room for.
            fatalError("\(error)")
        }
    }

    private func readEvents(at now: UInt64, pausing: Bool) -> Bool {
        guard
            case .bytes(let bytes) = eventPipe.read(
                buffer,
                limit: Self.eventReadBytes,
                at: now,
                pausing: pausing
            )
        else { return false }
        for line in lines.append(bytes[...]) { send(line) }
        return true
    }

    private func send(_ line: EventLines.Line) {
        events.take(line, attended: !control.isClosed)
        control.send(
            .event(attempt: attempt, line: line.bytes, truncated: line.truncated, length: line.length)
        )
    }
}
