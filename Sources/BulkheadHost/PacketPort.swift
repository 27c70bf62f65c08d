import CLinux
import Glibc
import Synchronization

/// Why a port carries no more packets.
enum PacketEnd: Sendable, Equatable {
    /// The other end closed its socket.
    case closedByPeer
    /// A packet was longer than `LaunchLimits.packetBytes`.
    case oversized(limit: Int)
    /// A packet carried descriptors, which nobody here expects; they have been closed.
    case unexpectedDescriptors
    /// The receiver found the packet to be wrong.
    case breach(String)
    /// The other end has not taken this many packets.
    case unread(packets: Int)
    /// A system call failed.
    case failed(call: String, errno: Int32)
    /// This side wanted no more of it.
    case asked(String)

    /// The end as a clause about the launcher.
    var words: String {
        switch self {
        case .closedByPeer: "its control socket ended"
        case .oversized(let limit): "it sent a packet of more than \(limit) bytes"
        case .unexpectedDescriptors: "it sent descriptors"
        case .breach(let what): "it broke the protocol: \(what)"
        case .unread(let packets): "it left \(packets) packets unread"
        case .failed(let call, let errno): "\(call) on its control socket failed: \(SystemFailure(errno))"
        case .asked(let why): why
        }
    }
}

/// Something whose descriptor can travel with a packet, and is open as long as it is held.
protocol TravellingDescriptor: AnyObject, Sendable {
    var descriptor: Int32 { get }
}

/// One packet to send, with the descriptors that travel along.
struct OutgoingPacket: Sendable {
    var bytes: [UInt8]
    /// Kept open until the packet has been sent.
    var attached: [any TravellingDescriptor] = []
}

/// One end of a SEQPACKET socket, read by a `PacketLoop` and written from any thread, never blocking.
///
/// The descriptor is closed by the loop's thread alone, under this object's lock and after `isOpen` is false:
/// so no thread can send to, or change the interest in, a number that has become another file's.
final class PacketPort: Sendable {
    /// Packets that may wait for the other end to read.
    static let queueLimit = 4096

    /// Never used again, unlike a descriptor's number: a report about a closed port finds nothing.
    let token: UInt64
    /// The descriptor's number, valid while the port is open.
    let socket: Int32

    private struct State {
        var epoll: Int32?
        var isOpen = true
        var isReading = true
        var interest: Int32 = 0
        var queue: [OutgoingPacket] = []
    }

    private static let nextToken = Atomic<UInt64>(1)
    private let state = Mutex(State())

    /// Takes over a socket.
    init(socket: Int32) {
        self.socket = socket
        token = Self.nextToken.wrappingAdd(1, ordering: .relaxed).oldValue
    }

    /// Sends a packet, or queues it behind those that the socket has no room for yet.
    ///
    /// - Parameter packet: Bytes and descriptors.
    /// - Returns: Why the port must be ended; nil when all is well, or when it has already ended.
    func send(_ packet: OutgoingPacket) -> PacketEnd? {
        state.withLock { state in
            guard state.isOpen else { return nil }
            state.queue.append(packet)
            guard state.queue.count <= Self.queueLimit else { return .unread(packets: Self.queueLimit) }
            return state.queue.count == 1 ? flush(&state) : nil
        }
    }

    /// Sends what is queued, as far as the socket has room.
    func flush() -> PacketEnd? {
        state.withLock { state in state.isOpen ? flush(&state) : nil }
    }

    private func flush(_ state: inout State) -> PacketEnd? {
        var sent = 0
        defer {
            state.queue.removeFirst(sent)
            changeInterest(&state)
        }
        while sent < state.queue.count {
            let error = transmit(state.queue[sent])
            switch error {
            case 0: sent += 1
            case EAGAIN, ENOBUFS: return nil
            case EPIPE, ECONNRESET:
                // What the other end still said is read first; then the end of file tells.
                sent = state.queue.count
            default: return .failed(call: "sendmsg", errno: error)
            }
        }
        return nil
    }

    private func transmit(_ packet: OutgoingPacket) -> Int32 {
        let descriptors = packet.attached.map(\.descriptor)
        let count = unsafe clinux_send_packet(
            socket,
            packet.bytes,
            packet.bytes.count,
            descriptors,
            descriptors.count,
            Int32(MSG_DONTWAIT)
        )
        return count < 0 ? Int32(-count) : 0
    }

    /// Begins to be watched.
    ///
    /// - Parameter epoll: The loop's descriptor.
    /// - Returns: 0 or an errno.
    func watch(by epoll: Int32) -> Int32 {
        state.withLock { state in
            state.interest = wanted(state)
            let added = clinux_epoll_add(epoll, socket, state.interest, token)
            guard added >= 0 else { return -added }
            state.epoll = epoll
            return 0
        }
    }

    /// Reads on or leaves packets in the socket, as the closure says at the moment of the change.
    ///
    /// The closure is asked under the port's lock: of two threads that do this at once, the later one has the
    /// latest answer.
    func updateReading(_ isWanted: () -> Bool) {
        state.withLock { state in
            guard state.isOpen else { return }
            state.isReading = isWanted()
            changeInterest(&state)
        }
    }

    /// Whether packets are to be read.
    var isReading: Bool {
        state.withLock { $0.isReading }
    }

    private func wanted(_ state: State) -> Int32 {
        (state.isReading ? Int32(CLINUX_READABLE) : 0) | (state.queue.isEmpty ? 0 : Int32(CLINUX_WRITABLE))
    }

    private func changeInterest(_ state: inout State) {
        let interest = wanted(state)
        guard let epoll = state.epoll, interest != state.interest else { return }
        state.interest = interest
        _ = clinux_epoll_change(epoll, socket, interest, token)
    }

    /// Closes the socket; for the loop's thread, and for a port that no loop has taken.
    func close() {
        state.withLock { state in
            guard state.isOpen else { return }
            state.isOpen = false
            state.queue = []
            // A fork that is between its clone and its exec still holds the socket, which would stay watched.
            if let epoll = state.epoll { _ = clinux_epoll_remove(epoll, socket) }
            Glibc.close(socket)
        }
    }
}
