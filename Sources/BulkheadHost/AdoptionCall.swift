import BulkheadCore
import BulkheadLaunch
import CLinux
import Foundation
import Glibc

/// Why a launcher could not be adopted.
public enum AdoptionFailure: Error, Sendable, Equatable {
    /// Its process has ended.
    case gone
    /// It lives and says nothing, as a stopped process does: worth another try.
    case silent
    /// It lives and listens no more, as one does that is about to exit.
    case deaf(String)
    /// It speaks another version of the protocol: it is left alone until it has ended by itself.
    case unknownVersion(UInt16)
    /// Whoever answers is not the launcher that is meant, or speaks of another attempt.
    case foreign(String)
}

/// A conversation with the launcher of a running attempt, up to the point where it has proved itself.
struct AdoptionCall {
    let folder: LaunchersFolder
    let tie: LauncherTie
    let launcher: ProcessMark
    let task: String
    let attempt: UInt64

    /// How long each answer may take.
    private static let patience = Duration.seconds(5)

    /// Has the conversation on a thread of its own, since it waits.
    /// - Returns: The connection, whose owner is the caller, and what the launcher said of its attempt.
    func run() async throws(AdoptionFailure) -> (socket: Int32, state: AttemptState) {
        let result = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                do throws(AdoptionFailure) {
                    continuation.resume(returning: Result<_, AdoptionFailure>.success(try talk()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    private func talk() throws(AdoptionFailure) -> (socket: Int32, state: AttemptState) {
        let connection = OpenDescriptor(owning: try connect())
        var peer = clinux_credentials()
        guard unsafe clinux_peer_credentials(connection.number, &peer) >= 0, peer.pid == launcher.pid,
            peer.uid == geteuid() || peer.uid == 0
        else { throw .foreign("another process listens in its place") }
        guard case .challenge(let theirs) = try receive(connection.number) else {
            throw .foreign("it did not begin with a challenge")
        }
        var random = SystemRandomNumberGenerator()
        let ours = (0..<LaunchLimits.nonceBytes).map { _ in UInt8.random(in: 0...255, using: &random) }
        let handshake = AdoptionHandshake(secret: tie.secret, launcherNonce: theirs, supervisorNonce: ours)
        try send(.adopt(nonce: ours, proof: handshake.supervisorProof), connection.number)
        guard case .adopted(let proof, let state) = try receive(connection.number) else {
            throw .foreign("it did not answer with its proof")
        }
        guard handshake.accepts(launcherProof: proof) else { throw .foreign("its proof is wrong") }
        guard state.attempt == attempt, state.task == task || state.task.isEmpty else {
            throw .foreign("it has attempt \(state.attempt) of task \(state.task)")
        }
        let kept = clinux_fcntl(connection.number, F_DUPFD_CLOEXEC, 3)
        guard kept >= 0 else { throw .silent }
        return (kept, state)
    }

    private func connect() throws(AdoptionFailure) -> Int32 {
        let deadline = ContinuousClock.now + Self.patience
        while true {
            let connected = unsafe clinux_packet_connect(folder.socketPath(of: tie.name))
            if connected >= 0 { return connected }
            guard ProcessIdentity.isAlive(launcher) else { throw .gone }
            if connected == -ENOENT || connected == -ECONNREFUSED {
                throw .deaf("\(SystemFailure(-connected))")
            }
            // EAGAIN: others wait to be heard before us. Anything else is our own want.
            guard connected == -EAGAIN, ContinuousClock.now < deadline else { throw .silent }
            usleep(20_000)
        }
    }

    private func send(_ message: SupervisorMessage, _ socket: Int32) throws(AdoptionFailure) {
        let bytes = MessageCodec.encode(message)
        let sent = unsafe clinux_send_packet(socket, bytes, bytes.count, nil, 0, Int32(MSG_DONTWAIT))
        guard sent < 0 else { return }
        throw ProcessIdentity.isAlive(launcher) ? .silent : .gone
    }

    private func receive(_ socket: Int32) throws(AdoptionFailure) -> LauncherMessage {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let deadline = ContinuousClock.now + Self.patience
        while true {
            var packet = clinux_packet()
            let flags = Int32(MSG_DONTWAIT)
            let status = unsafe clinux_receive_packet(socket, &buffer, buffer.count, flags, &packet)
            if status == -EAGAIN {
                guard ContinuousClock.now < deadline else { throw .silent }
                var polled = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
                _ = unsafe clinux_poll(&polled, 1, 100_000_000)
                continue
            }
            guard status == 0, !packet.end else {
                throw ProcessIdentity.isAlive(launcher) ? .silent : .gone
            }
            guard !packet.bytes_truncated, packet.descriptor_count == 0 else {
                throw .foreign("its answer is of no known form")
            }
            do {
                return try MessageCodec.launcherMessage(buffer[..<packet.count])
            } catch {
                if case .unknownVersion(let version, _) = error { throw .unknownVersion(version) }
                throw .foreign("\(error)")
            }
        }
    }
}
