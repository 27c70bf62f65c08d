public import BulkheadCore
public import BulkheadLaunch
import Glibc
import Synchronization

/// One launcher: a process that runs one attempt after another.
public final class Launcher: Sendable {
    /// Tells the launcher's process from every other.
    public let mark: ProcessMark
    /// The lowest number that was free at its start; no two living launchers of a pool share one.
    public let slot: Int

    /// How another supervisor finds it; nil where no folder of launchers is kept.
    public let tie: LauncherTie?

    let process: any LauncherBody
    /// Whether another supervisor started it.
    public let isAdopted: Bool
    private let port: PacketPort
    private let loop: PacketLoop
    private let margin: Duration
    private let onReady: @Sendable (Launcher) -> Void
    private let onEnd: @Sendable (Launcher, PacketEnd, LauncherState.Phase) -> Void

    private struct State {
        var machine: LauncherState
        var inbox: EventInbox?
        var watch: SilenceWatch?
        var handler: ProcessMark?
    }

    private let state: Mutex<State>

    init(
        process: any LauncherBody,
        slot: Int,
        tie: LauncherTie?,
        adoptedWith attempt: UInt64? = nil,
        loop: PacketLoop,
        margin: Duration,
        onReady: @escaping @Sendable (Launcher) -> Void,
        onEnd: @escaping @Sendable (Launcher, PacketEnd, LauncherState.Phase) -> Void
    ) {
        self.process = process
        self.mark = process.mark
        self.slot = slot
        self.tie = tie
        self.isAdopted = attempt != nil
        self.loop = loop
        self.margin = margin
        self.port = PacketPort(socket: process.socket)
        self.onReady = onReady
        self.onEnd = onEnd
        let pid = process.mark.pid
        let machine = attempt.map { LauncherState(pid: pid, adoptedWith: $0) } ?? LauncherState(pid: pid)
        self.state = Mutex(State(machine: machine))
    }

    /// Begins to listen and greets the process.
    ///
    /// - Parameters:
    ///   - secret: The slot's secret.
    ///   - folder: The folder of launchers, in which the tie's name is.
    /// - Throws: ``BulkheadError`` where the socket cannot be watched.
    func open(secret: [UInt8], folder: LaunchersFolder?) throws(BulkheadError) {
        try loop.add(port, receiver: self)
        let preparation = Preparation(slot: UInt32(slot), secret: secret, name: tie?.name ?? "")
        let packet = OutgoingPacket(
            bytes: MessageCodec.encode(.prepare(preparation)),
            attached: folder.map { [$0] } ?? []
        )
        if let end = port.send(packet) { loop.end(port, end) }
    }

    /// Goes on with the attempt of a launcher that has just proved itself.
    ///
    /// - Parameters:
    ///   - attempt: The attempt's number.
    ///   - committed: The offsets of stdout and stderr below which everything is in the store.
    ///   - times: The attempt's timeout, nil for none, and its grace.
    /// - Returns: What happens, in order, from `started` on, as after ``launch(_:stdin:)``.
    /// - Throws: ``BulkheadError`` where the socket cannot be watched.
    func resume(
        attempt: UInt64,
        committed: (stdout: UInt64, stderr: UInt64),
        times: (timeout: Duration?, grace: Duration)
    ) throws(BulkheadError) -> AsyncStream<LauncherEvent> {
        let inbox = EventInbox()
        let resume = SupervisorMessage.resume(
            attempt: attempt,
            stdout: committed.stdout,
            stderr: committed.stderr
        )
        var watch = SilenceWatch(timeout: times.timeout, grace: times.grace, margin: margin, now: .now)
        watch.told(resume, now: .now)
        state.withLock { state in
            state.inbox = inbox
            state.watch = watch
        }
        try loop.add(port, receiver: self)
        transmit(resume)
        return stream(of: inbox)
    }

    /// Starts an attempt.
    ///
    /// The stream has one reader. It ends after `finished`, `refused` or `lost`. A reader that leaves events
    /// unread holds the launcher up; one that is cancelled loses them.
    /// - Parameters:
    ///   - spec: What to run; its attempt number comes back in every event.
    ///   - stdin: All that the handler reads from stdin.
    ///   - user: What keeps the handler's user from other supervisors, which the launcher holds to the attempt's end.
    /// - Returns: What happens, in order.
    /// - Throws: `BulkheadError` with code `host` when descriptors or memory are short, and the launcher is as
    ///   good as before; `unavailable` when it has been lost; `internal` for a spec beyond its limits or a
    ///   launcher that is not idle.
    public func launch(
        _ spec: LaunchSpec,
        stdin: HandlerInput,
        user: UserBlock? = nil
    ) throws(BulkheadError) -> AsyncStream<LauncherEvent> {
        let bytes: [UInt8]
        do {
            bytes = try spec.encoded()
        } catch {
            throw BulkheadError(.internal, "attempt \(spec.attempt) cannot be described", cause: "\(error)")
        }
        let header = LaunchHeader(attempt: spec.attempt, specBytes: UInt32(bytes.count))
        let packet = OutgoingPacket(
            bytes: MessageCodec.encode(.launch(header)),
            attached: [
                try SealedMemory(name: "bulkhead-spec", content: bytes),
                stdin.memory,
            ] + (user.map { [$0] } ?? [])
        )
        let inbox = EventInbox()
        try begin(spec, inbox, packet)
        return stream(of: inbox)
    }

    /// Starts an attempt with these bytes as its stdin.
    public func launch(_ spec: LaunchSpec, stdin: [UInt8]) throws(BulkheadError) -> AsyncStream<LauncherEvent>
    {
        try launch(spec, stdin: try HandlerInput(stdin))
    }

    private func begin(
        _ spec: LaunchSpec,
        _ inbox: EventInbox,
        _ packet: OutgoingPacket
    ) throws(BulkheadError) {
        let attempt = spec.attempt
        let watch = SilenceWatch(spec, margin: margin, now: .now)
        let (phase, end) = state.withLock { state -> (LauncherState.Phase?, PacketEnd?) in
            guard state.machine.launch(attempt) else { return (state.machine.phase, nil) }
            state.inbox = inbox
            state.watch = watch
            state.handler = nil
            return (nil, port.send(packet))
        }
        if let end { loop.end(port, end) }
        switch phase {
        case nil: return
        case .lost: throw BulkheadError(.unavailable, "launcher \(mark.pid) was lost before the launch")
        case let phase?:
            throw BulkheadError(
                .internal,
                "launcher \(mark.pid) cannot take attempt \(attempt): it is \(phase)"
            )
        }
    }

    private func stream(of inbox: EventInbox) -> AsyncStream<LauncherEvent> {
        let port = port
        return AsyncStream(
            unfolding: { await inbox.next { port.updateReading { inbox.wantsMore } } },
            onCancel: {
                inbox.abandon()
                port.updateReading { inbox.wantsMore }
            }
        )
    }

    /// Tells the launcher something about its attempt; never blocks, and keeps the order.
    ///
    /// A message about an attempt that is over, and any to a lost launcher, is stale and goes nowhere.
    /// - Parameter message: `stop`, `outputAck` or `outcomeAck`: the others are sent by the pool and `launch`.
    public func send(_ message: SupervisorMessage) {
        let end = state.withLock { state -> PacketEnd? in
            guard state.machine.admits(message) else { return nil }
            state.watch?.told(message, now: .now)
            return port.send(OutgoingPacket(bytes: MessageCodec.encode(message)))
        }
        if let end { loop.end(port, end) }
    }

    /// Tells the launcher to end its attempt; one that somebody has stopped (SIGSTOP) is continued, so that it can.
    /// - Parameters:
    ///   - attempt: Which attempt.
    ///   - reason: Why.
    public func stop(attempt: UInt64, reason: StopReason) {
        send(.stop(attempt: attempt, reason: reason))
        ProcessIdentity.send(SIGCONT, to: mark)
    }

    private func transmit(_ message: SupervisorMessage) {
        if let end = port.send(OutgoingPacket(bytes: MessageCodec.encode(message))) { loop.end(port, end) }
    }

    /// Ends the launcher, with its tree if it has an attempt.
    func close(_ end: PacketEnd) {
        // With its socket alone it would wait for another supervisor.
        _ = port.send(OutgoingPacket(bytes: MessageCodec.encode(.dismiss)))
        loop.end(port, end)
    }

    /// Ends the reading of its attempt, which goes on: the reader's last event is `left`.
    public func endReading() {
        let inbox = state.withLock { state in
            state.watch = nil
            defer { state.inbox = nil }
            return state.inbox
        }
        inbox?.put(.left, last: true)
    }

    /// Closes the control socket alone, so that the launcher waits for another supervisor.
    func hangUp() {
        loop.end(port, .asked("it is left to another supervisor"))
    }

    /// Ends it if it has an attempt and has not moved for far too long.
    func endIfOverdue() {
        let now = SuspendingClock.Instant.now
        let isOverdue = state.withLock { state in
            if state.inbox?.wantsMore == false { state.watch?.excuse(now: now) }
            return state.watch?.isOverdue(now: now) ?? false
        }
        if isOverdue { close(.breach("it has been silent for \(margin) after its attempt's time")) }
    }

    /// Where it stands.
    var phase: LauncherState.Phase { state.withLock { $0.machine.phase } }

    /// The handler of the attempt that it has or had last.
    var handler: ProcessMark? { state.withLock { $0.handler } }

    /// Tells the reader of its attempt, where there is one, that no outcome comes; once its process is gone.
    func tellLost(_ reason: String) {
        let inbox = state.withLock { state in
            defer { state.inbox = nil }
            return state.inbox
        }
        inbox?.put(.lost(reason: reason), last: true)
    }
}

extension Launcher: PacketReceiver {
    func received(_ packet: ArraySlice<UInt8>) -> PacketEnd? {
        let message: LauncherMessage
        do {
            message = try MessageCodec.launcherMessage(packet)
        } catch {
            return .breach("\(error)")
        }
        let (reaction, inbox) = state.withLock { state in
            let reaction = state.machine.receive(message)
            state.watch?.heard(message, now: .now)
            if case .started(_, let pid, let startTime) = message, reaction == .deliver {
                state.handler = ProcessMark(pid: pid, startTime: startTime, bootID: mark.bootID)
            }
            let inbox = state.inbox
            if reaction == .deliverLast { (state.inbox, state.watch) = (nil, nil) }
            return (reaction, inbox)
        }
        switch reaction {
        case .becomesReady: onReady(self)
        case .deliver:
            if let inbox, !inbox.put(.message(message), last: false) {
                port.updateReading { inbox.wantsMore }
            }
        case .deliverLast: inbox?.put(.message(message), last: true)
        case .breach(let what): return .breach(what)
        }
        return nil
    }

    func ended(_ end: PacketEnd) {
        let phase = state.withLock { state in
            state.watch = nil
            return state.machine.lose()
        }
        if let phase { onEnd(self, end, phase) }
    }
}
