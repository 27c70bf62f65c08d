import BulkheadLaunch
import CLinux
import Glibc

/// What came over the control socket.
enum Incoming: ~Copyable {
    /// Nothing is there.
    case nothing
    /// The supervisor has gone.
    case closed
    /// A message, with its descriptors.
    case message(SupervisorMessage, PacketDescriptors)
    /// Something that the protocol does not know.
    case violation(String)
}

/// The descriptors of a packet: the spec and stdin of a launch and what is to be held, or the folder of launchers.
struct PacketDescriptors: ~Copyable {
    var first: Descriptor?
    var second: Descriptor?
    var third: Descriptor?
    /// Whether the kernel could not pass on all of them, for want of free numbers.
    var truncated = false
    /// How many more there were, which are closed.
    var surplus = 0

    init() {}

    /// Takes over the descriptors of a packet.
    init(_ packet: clinux_packet) {
        let all = packet.descriptors
        let numbers = [all.0, all.1, all.2, all.3, all.4, all.5, all.6, all.7].prefix(packet.descriptor_count)
        for number in numbers.dropFirst(3) { _ = close(number) }
        truncated = packet.descriptors_truncated
        surplus = max(0, numbers.count - 3)
        if let number = numbers.first { first = Descriptor(number) }
        if let number = numbers.dropFirst().first { second = Descriptor(number) }
        if let number = numbers.dropFirst(2).first { third = Descriptor(number) }
    }
}

/// The SEQPACKET socket to the supervisor: receives one packet at a time, sends without ever waiting.
final class ControlSocket {
    private(set) var descriptor: Int32
    /// Whether nobody is at the other end any more, as the end of the socket said.
    private(set) var isClosed = false
    /// Bytes that are queued since the socket is full.
    private(set) var queuedBytes = 0
    private var queue: [[UInt8]] = []
    private var first = 0
    private var isBroken = false
    private let buffer = ReadBuffer(capacity: 4096)

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// What to poll it for.
    var interest: Int16 { Int16(first < queue.count ? POLLIN | POLLOUT : POLLIN) }

    func send(_ message: LauncherMessage) {
        guard !isClosed, !isBroken else { return }
        let bytes = MessageCodec.encode(message)
        if first == queue.count, transmit(bytes) { return }
        guard !isClosed, !isBroken else { return }
        queue.append(bytes)
        queuedBytes += bytes.count
    }

    /// Sends what is queued, as far as the socket takes it.
    func flush() {
        while first < queue.count, transmit(queue[first]) {
            queuedBytes -= queue[first].count
            queue[first] = []
            first += 1
        }
        if first == queue.count {
            queue.removeAll(keepingCapacity: queue.capacity < 256)
            first = 0
        }
    }

    func receive() -> Incoming {
        guard !isClosed else { return .closed }
        var (result, packet, bytes) = buffer.receive(descriptor)
        // The other end closed with packets of ours unread: said once, before what it had still sent.
        if result == -ECONNRESET { (result, packet, bytes) = buffer.receive(descriptor) }
        if Self.passes(-result) { return .nothing }
        guard result == 0, !packet.end else {
            close()
            return .closed
        }
        let descriptors = PacketDescriptors(packet)
        if packet.bytes_truncated { return .violation("a packet longer than any message of a supervisor") }
        do {
            let message = try MessageCodec.supervisorMessage(bytes[...])
            guard packet.descriptor_count <= Self.descriptors(of: message), descriptors.surplus == 0
            else {
                return .violation("a message with \(packet.descriptor_count) descriptors")
            }
            return .message(message, descriptors)
        } catch {
            return .violation(error.description)
        }
    }

    /// Closes it and forgets what is queued: nobody will read it.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        _ = Glibc.close(descriptor)
        descriptor = -1
        forgetQueue()
    }

    /// Goes on over another socket, whose owner it becomes; for one that is closed.
    func reopen(_ descriptor: Int32) {
        self.descriptor = descriptor
        isClosed = false
        isBroken = false
    }

    /// Gives the socket away.
    func release() -> Int32 {
        isClosed = true
        forgetQueue()
        return descriptor
    }

    private func forgetQueue() {
        queue = []
        first = 0
        queuedBytes = 0
    }

    /// Descriptors that a message may bring.
    private static func descriptors(of message: SupervisorMessage) -> Int {
        switch message {
        case .launch: LaunchLimits.launchDescriptors
        case .prepare: 1
        default: 0
        }
    }

    /// Whether the packet is gone: sent, or of no use since the supervisor has gone.
    private func transmit(_ bytes: [UInt8]) -> Bool {
        let flags = Int32(MSG_DONTWAIT)
        let sent = unsafe clinux_send_packet(descriptor, bytes, bytes.count, nil, 0, flags)
        if sent >= 0 { return true }
        let errno = Int32(-sent)
        if Self.passes(errno) { return false }
        if errno == EPIPE || errno == ECONNRESET {
            // The other end has gone; what it said before that is still to be read, up to the socket's end.
            isBroken = true
            forgetQueue()
        } else {
            close()
        }
        return false
    }

    /// Whether an error says nothing about the other end.
    private static func passes(_ errno: Int32) -> Bool {
        errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM
    }
}
