import BulkheadCore
import BulkheadLaunch
import CLinux
import Foundation
import Glibc
import Synchronization

/// Takes what a port receives, on the loop's thread.
protocol PacketReceiver: AnyObject, Sendable {
    /// Takes one packet, which must not be kept: the buffer is used again.
    ///
    /// - Parameter packet: All of its bytes.
    /// - Returns: Why the port must be ended; nil when all is well.
    func received(_ packet: ArraySlice<UInt8>) -> PacketEnd?

    /// Learns, once, that nothing more comes; the socket is closed by now.
    func ended(_ end: PacketEnd)
}

/// The one thread that reads the sockets of all launchers, with one buffer of the largest message.
///
/// Foundation's and Dispatch's own readers are no choice here: Dispatch sources go deaf when a closed
/// descriptor's number is used again before their cancel handler ran.
final class PacketLoop: Sendable {
    /// Packets read from one port before the others have their turn.
    private static let turn = 32

    private struct State {
        var ports: [UInt64: (port: PacketPort, receiver: any PacketReceiver)] = [:]
        var endings: [(token: UInt64, end: PacketEnd)] = []
        var isStopping = false
        var isOver = false
        var stoppers: [@Sendable () -> Void] = []
    }

    private let epoll: Int32
    private let event: Int32
    private let state = Mutex(State())
    private let tick: @Sendable () -> Duration

    /// Starts the thread.
    ///
    /// - Parameter tick: Called on the thread, again after the time it answers, after `wake` and after the end
    ///   of a port.
    /// - Throws: `BulkheadError` with code `host` when descriptors are short.
    init(tick: @escaping @Sendable () -> Duration) throws(BulkheadError) {
        let epoll = clinux_epoll()
        guard epoll >= 0 else { throw .system("epoll_create1", "no packet thread", errno: -epoll) }
        let event = clinux_event_descriptor()
        let added = event < 0 ? event : clinux_epoll_add(epoll, event, Int32(CLINUX_READABLE), 0)
        guard added >= 0 else {
            close(epoll)
            if event >= 0 { close(event) }
            throw .system("eventfd", "no packet thread", errno: -added)
        }
        self.epoll = epoll
        self.event = event
        self.tick = tick
        let thread = Thread { self.run() }
        thread.name = "packets"
        thread.start()
    }

    /// Reads a port from now on and owns its socket, also when this throws.
    ///
    /// - Parameters:
    ///   - port: A port that no loop has taken.
    ///   - receiver: Takes its packets and is held until the port's end.
    /// - Throws: `BulkheadError` when the loop has stopped or the kernel refuses; the port is then closed and
    ///   its receiver hears nothing.
    func add(_ port: PacketPort, receiver: any PacketReceiver) throws(BulkheadError) {
        let error = state.withLock { state -> Int32 in
            guard !state.isStopping else { return ESHUTDOWN }
            let error = port.watch(by: epoll)
            if error == 0 { state.ports[port.token] = (port, receiver) }
            return error
        }
        guard error != 0 else { return }
        port.close()
        throw .system("epoll_ctl", "cannot watch a launcher's control socket", errno: error)
    }

    /// Ends a port on the loop's thread; later and unknown ports are ignored.
    func end(_ port: PacketPort, _ end: PacketEnd) {
        state.withLock { state in
            state.endings.append((port.token, end))
            raise(&state)
        }
    }

    /// Has `tick` called soon.
    func wake() {
        state.withLock { raise(&$0) }
    }

    /// Ends every port and then the thread; returns at once.
    ///
    /// - Parameter onEnd: Called when all is closed.
    func stop(onEnd: @escaping @Sendable () -> Void = {}) {
        let isOver = state.withLock { state in
            state.isStopping = true
            raise(&state)
            if !state.isOver { state.stoppers.append(onEnd) }
            return state.isOver
        }
        if isOver { onEnd() }
    }

    /// Under the lock, since the descriptor is closed once the thread is over.
    private func raise(_ state: inout State) {
        if !state.isOver { _ = clinux_event_raise(event) }
    }

    private func run() {
        var buffer = [UInt8](repeating: 0, count: LaunchLimits.packetBytes)
        var ready = [clinux_ready](repeating: clinux_ready(), count: Int(CLINUX_EPOLL_BATCH))
        var due = ContinuousClock.now
        while !state.withLock({ $0.isStopping }) {
            let count = unsafe clinux_epoll_wait(epoll, &ready, Self.milliseconds(until: due))
            precondition(count >= 0, "epoll_wait: \(SystemFailure(-count))")
            for report in ready[..<Int(count)] where serve(report, &buffer) { due = .now }
            if closeEnded() { due = .now }
            if ContinuousClock.now >= due { due = .now + tick() }
        }
        finish()
    }

    private static func milliseconds(until due: ContinuousClock.Instant) -> Int32 {
        let left = ContinuousClock.now.duration(to: due)
        guard left > .zero else { return 0 }
        let (seconds, attoseconds) = min(left, .seconds(3600)).components
        return Int32(seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1)
    }

    /// Serves one report; true when it was the wake-up.
    private func serve(_ report: clinux_ready, _ buffer: inout [UInt8]) -> Bool {
        guard report.token != 0 else {
            _ = clinux_event_clear(event)
            return true
        }
        guard let (port, receiver) = state.withLock({ $0.ports[report.token] }) else { return false }
        if report.is & Int32(CLINUX_WRITABLE) != 0, let end = port.flush() {
            self.end(port, end)
            return false
        }
        // A port that is not to be read is drained all the same once the other end is gone: what is left is
        // bounded by the socket, and the hang-up would be reported again and again.
        let hungUp = report.is & Int32(CLINUX_HUNG_UP) != 0
        if report.is & Int32(CLINUX_READABLE) != 0 || hungUp {
            if let end = read(port, receiver, &buffer, evenIfPaused: hungUp) { self.end(port, end) }
        }
        return false
    }

    /// Reads what is there, for one turn; says why the port must be ended.
    private func read(
        _ port: PacketPort,
        _ receiver: any PacketReceiver,
        _ buffer: inout [UInt8],
        evenIfPaused: Bool
    ) -> PacketEnd? {
        for _ in 0..<Self.turn {
            guard port.isReading || evenIfPaused else { return nil }
            var packet = clinux_packet()
            let status = unsafe clinux_receive_packet(
                port.socket,
                &buffer,
                buffer.count,
                Int32(MSG_DONTWAIT),
                &packet
            )
            switch -status {
            case 0: break
            case EAGAIN: return nil
            // The other end closed with packets of ours unread: said once, before what it had still sent.
            case ECONNRESET: continue
            default: return .failed(call: "recvmsg", errno: -status)
            }
            if let end = fault(of: packet, limit: buffer.count) { return end }
            if let end = receiver.received(buffer[..<packet.count]) { return end }
        }
        return nil
    }

    private func fault(of packet: clinux_packet, limit: Int) -> PacketEnd? {
        if packet.descriptor_count > 0 {
            unsafe withUnsafeBytes(of: packet.descriptors) { bytes in
                let received = unsafe bytes.bindMemory(to: Int32.self)
                for index in 0..<packet.descriptor_count { unsafe close(received[index]) }
            }
        }
        guard !packet.end else { return .closedByPeer }
        guard !packet.bytes_truncated else { return .oversized(limit: limit) }
        guard packet.descriptor_count == 0, !packet.descriptors_truncated else {
            return .unexpectedDescriptors
        }
        return nil
    }

    /// Closes the ports whose end was asked for; says whether there were any.
    private func closeEnded() -> Bool {
        let ended = state.withLock { state in
            defer { state.endings = [] }
            return state.endings.compactMap { ending in
                state.ports.removeValue(forKey: ending.token).map { ($0, ending.end) }
            }
        }
        for ((port, receiver), end) in ended {
            port.close()
            receiver.ended(end)
        }
        return !ended.isEmpty
    }

    /// Ends the ports that are left and closes the loop's own descriptors.
    private func finish() {
        _ = closeEnded()
        let left = state.withLock { state in
            defer { state.ports = [:] }
            return Array(state.ports.values)
        }
        for (port, receiver) in left {
            port.close()
            receiver.ended(.asked("the supervisor's packet thread stopped"))
        }
        let stoppers = state.withLock { state in
            state.isOver = true
            close(event)
            close(epoll)
            return state.stoppers
        }
        for stopper in stoppers { stopper() }
    }
}
