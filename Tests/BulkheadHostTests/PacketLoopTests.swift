import BulkheadCore
import BulkheadLaunch
import CLinux
import Foundation
import Glibc
import Synchronization
import Testing

@testable import BulkheadHost

/// Hands on what a port receives, in order.
private final class Collector: PacketReceiver {
    enum Event: Equatable {
        case packet([UInt8])
        case ended(PacketEnd)
    }

    let events: AsyncStream<Event>
    private let source: AsyncStream<Event>.Continuation
    private let refusal: PacketEnd?

    /// `refusing` is answered to every packet.
    init(refusing refusal: PacketEnd? = nil) {
        (events, source) = AsyncStream.makeStream()
        self.refusal = refusal
    }

    func received(_ packet: ArraySlice<UInt8>) -> PacketEnd? {
        source.yield(.packet(Array(packet)))
        return refusal
    }

    func ended(_ end: PacketEnd) {
        source.yield(.ended(end))
        source.finish()
    }

    /// Everything up to the end.
    func all() async -> [Event] {
        var gathered: [Event] = []
        for await event in events { gathered.append(event) }
        return gathered
    }

    func next() async -> Event? {
        for await event in events { return event }
        return nil
    }
}

/// The far end of a port's socket, blocking.
private final class Peer: Sendable {
    let socket: Int32
    private let isOpen = Atomic(true)

    init(_ socket: Int32) {
        self.socket = socket
    }

    deinit {
        close()
    }

    func close() {
        if isOpen.exchange(false, ordering: .relaxed) { Glibc.close(socket) }
    }

    func send(_ bytes: [UInt8], attached: [Int32] = []) -> Int {
        unsafe clinux_send_packet(socket, bytes, bytes.count, attached, attached.count, 0)
    }

    /// The next packet; nil at the end of file.
    func receive() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: LaunchLimits.packetBytes)
        var packet = clinux_packet()
        let status = unsafe clinux_receive_packet(socket, &buffer, buffer.count, 0, &packet)
        return status < 0 || packet.end ? nil : Array(buffer[..<packet.count])
    }
}

@Suite("PacketLoop", .timeLimit(.minutes(5)))
struct PacketLoopTests {
    private let loop: PacketLoop

    init() throws {
        loop = try PacketLoop { .seconds(3600) }
    }

    private func pair() throws -> (PacketPort, Peer) {
        var ends: [Int32] = [-1, -1]
        try #require(unsafe clinux_packet_pair(&ends) >= 0)
        return (PacketPort(socket: ends[0]), Peer(ends[1]))
    }

    private func connected(_ collector: Collector) throws -> (PacketPort, Peer) {
        let (port, peer) = try pair()
        try loop.add(port, receiver: collector)
        return (port, peer)
    }

    @Test("each port's packets reach its own receiver, in order, and then its end")
    func deliversInOrder() async throws {
        defer { loop.stop() }
        var collectors: [Collector] = []
        for number in 0..<16 as Range<UInt8> {
            let collector = Collector()
            collectors.append(collector)
            let (_, peer) = try connected(collector)
            for packet in 0..<100 as Range<UInt8> { #expect(peer.send([number, packet]) == 2) }
        }
        for (number, collector) in collectors.enumerated() {
            let wanted = (0..<100).map { Collector.Event.packet([UInt8(number), $0]) }
            #expect(await collector.all() == wanted + [.ended(.closedByPeer)])
        }
    }

    @Test("a packet of the greatest length arrives whole")
    func greatestPacket() async throws {
        defer { loop.stop() }
        let collector = Collector()
        let (_, peer) = try connected(collector)
        let packet = (0..<LaunchLimits.packetBytes).map { UInt8(truncatingIfNeeded: $0) }
        #expect(peer.send(packet) == packet.count)
        #expect(await collector.next() == .packet(packet))
    }

    @Test("a packet that is one byte longer ends the port by name")
    func oversized() async throws {
        defer { loop.stop() }
        let collector = Collector()
        let (_, peer) = try connected(collector)
        let packet = [UInt8](repeating: 0, count: LaunchLimits.packetBytes + 1)
        #expect(peer.send(packet) == packet.count)
        #expect(await collector.all() == [.ended(.oversized(limit: LaunchLimits.packetBytes))])
        #expect(peer.receive() == nil)
    }

    @Test("descriptors that come along are closed and end the port")
    func descriptorsEndThePort() async throws {
        defer { loop.stop() }
        let collector = Collector()
        let (_, peer) = try connected(collector)
        var ends: [Int32] = [-1, -1]
        try #require(unsafe clinux_pipe(&ends, 0) >= 0)
        #expect(peer.send([1], attached: [ends[1]]) == 1)
        close(ends[1])
        #expect(await collector.all() == [.ended(.unexpectedDescriptors)])
        var byte: UInt8 = 0
        #expect(unsafe read(ends[0], &byte, 1) == 0, "nobody holds the other end of the pipe")
        close(ends[0])
    }

    @Test("a receiver that refuses a packet gets nothing after it")
    func refusedPacket() async throws {
        defer { loop.stop() }
        let collector = Collector(refusing: .breach("wrong"))
        let (_, peer) = try connected(collector)
        #expect(peer.send([1]) == 1)
        #expect(await collector.all() == [.packet([1]), .ended(.breach("wrong"))])
        #expect(peer.receive() == nil)
    }

    @Test("what the other end said before it closed is delivered, though it left packets unread")
    func deliversBeforeReset() async throws {
        defer { loop.stop() }
        let collector = Collector()
        let (port, peer) = try pair()
        #expect(port.send(OutgoingPacket(bytes: [9])) == nil)
        for packet in 0..<40 as Range<UInt8> { #expect(peer.send([packet]) == 1) }
        peer.close()
        try loop.add(port, receiver: collector)
        let wanted = (0..<40).map { Collector.Event.packet([$0]) }
        #expect(await collector.all() == wanted + [.ended(.closedByPeer)])
    }

    @Test("a number that is used again belongs to the new port alone")
    func reusedNumber() async throws {
        defer { loop.stop() }
        var reused = 0
        var last: Int32 = -1
        for round in 0..<150 as Range<Int> {
            let bytes = [UInt8(truncatingIfNeeded: round), UInt8(truncatingIfNeeded: round >> 8)]
            let collector = Collector()
            let (port, peer) = try connected(collector)
            if port.socket == last { reused += 1 }
            last = port.socket
            #expect(peer.send(bytes) == 2)
            #expect(await collector.next() == .packet(bytes))
            // Unread packets and an end of file are there when the port is closed.
            loop.end(port, .asked("enough"))
            #expect(peer.send(bytes) != 0)
            while let event = await collector.next(), event == .packet(bytes) {}
        }
        #expect(reused > 0, "the kernel gives the lowest number that is free")
    }

    @Test("a port ends once, with the first reason")
    func endsOnce() async throws {
        defer { loop.stop() }
        let collector = Collector()
        let (port, peer) = try connected(collector)
        loop.end(port, .asked("first"))
        loop.end(port, .asked("second"))
        #expect(await collector.all() == [.ended(.asked("first"))])
        loop.end(port, .asked("third"))
        #expect(port.send(OutgoingPacket(bytes: [1])) == nil)
        #expect(peer.receive() == nil)
    }

    @Test("sending to an end that does not read never blocks, and everything arrives in order")
    func sendingNeverBlocks() async throws {
        defer { loop.stop() }
        let (port, peer) = try connected(Collector())
        let count = 2000
        for number in 0..<count {
            let end = port.send(OutgoingPacket(bytes: [UInt8](repeating: UInt8(number % 251), count: 1000)))
            #expect(end == nil)
        }
        for number in 0..<count { #expect(peer.receive()?.first == UInt8(number % 251)) }
    }

    @Test("packets with descriptors keep their place in the queue")
    func descriptorsWait() async throws {
        defer { loop.stop() }
        let (port, peer) = try connected(Collector())
        for _ in 0..<1000 {
            #expect(port.send(OutgoingPacket(bytes: [UInt8](repeating: 1, count: 1000))) == nil)
        }
        let memory = try SealedMemory(name: "queued", content: [5, 6, 7])
        #expect(port.send(OutgoingPacket(bytes: [2], attached: [memory])) == nil)
        for _ in 0..<1000 { #expect(peer.receive()?.first == 1) }
        var buffer: [UInt8] = [0]
        var packet = clinux_packet()
        #expect(unsafe clinux_receive_packet(peer.socket, &buffer, 1, 0, &packet) == 0)
        #expect(buffer == [2])
        try #require(packet.descriptor_count == 1)
        var content = [UInt8](repeating: 0, count: 8)
        #expect(unsafe read(packet.descriptors.0, &content, 8) == 3)
        close(packet.descriptors.0)
    }

    @Test("an end that never reads is given up at a bound, by name")
    func unreadIsBounded() throws {
        defer { loop.stop() }
        let (port, peer) = try connected(Collector())
        var end: PacketEnd?
        var sent = 0
        while end == nil, sent < 100_000 {
            end = port.send(OutgoingPacket(bytes: [UInt8](repeating: 1, count: 1000)))
            sent += 1
        }
        #expect(end == .unread(packets: PacketPort.queueLimit))
        #expect(sent > PacketPort.queueLimit)
        withExtendedLifetime(peer) {}
    }

    @Test("a paused port is not read, and goes on where it was")
    func pausedPort() async throws {
        defer { loop.stop() }
        let (quiet, other) = (Collector(), Collector())
        let (port, peer) = try connected(quiet)
        let (_, otherPeer) = try connected(other)
        port.updateReading { false }
        #expect(peer.send([1]) == 1)
        // The loop has gone round by the time that another port's packets are there.
        for number in 0..<50 as Range<UInt8> {
            #expect(otherPeer.send([number]) == 1)
            #expect(await other.next() == .packet([number]))
        }
        var queued: Int32 = 0
        #expect(unsafe ioctl(port.socket, UInt(FIONREAD), &queued) == 0)
        #expect(queued == 1, "the packet is still in the socket")
        port.updateReading { true }
        #expect(await quiet.next() == .packet([1]))
    }

    @Test("a paused port whose other end closes is drained and ended")
    func pausedPortEnds() async throws {
        defer { loop.stop() }
        let collector = Collector()
        let (port, peer) = try connected(collector)
        port.updateReading { false }
        #expect(peer.send([1]) == 1)
        shutdown(peer.socket, Int32(SHUT_RDWR))
        #expect(await collector.all() == [.packet([1]), .ended(.closedByPeer)])
    }

    @Test("after the stop every port has ended and none is taken")
    func stopEndsEverything() async throws {
        let collectors = (0..<8).map { _ in Collector() }
        let peers = try collectors.map { try connected($0).1 }
        loop.stop()
        for collector in collectors {
            let all = await collector.all()
            #expect(all == [.ended(.asked("the supervisor's packet thread stopped"))])
        }
        for peer in peers { #expect(peer.receive() == nil) }
        let (port, peer) = try pair()
        #expect(throws: BulkheadError.self) { try loop.add(port, receiver: Collector()) }
        #expect(peer.receive() == nil, "a port that is not taken is closed")
        loop.wake()
        loop.end(port, .asked("late"))
    }

    @Test("the tick is called again after the time that it answers, and at a wake-up")
    func ticks() async throws {
        let (times, source) = AsyncStream<Void>.makeStream()
        let count = Mutex(0)
        let ticking = try PacketLoop {
            source.yield()
            return count.withLock { count in
                count += 1
                return count < 3 ? .milliseconds(1) : .seconds(3600)
            }
        }
        var iterator = times.makeAsyncIterator()
        for _ in 0..<3 { await iterator.next() }
        ticking.wake()
        await iterator.next()
        #expect(count.withLock { $0 } >= 3)
        ticking.stop()
    }
}
