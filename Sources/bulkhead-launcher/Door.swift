import BulkheadLaunch
import CLinux
import Glibc

/// Where another supervisor finds the launcher: a socket and, at the end, a record, in the folder of launchers.
///
/// One visitor is heard at a time. It must prove that it holds the slot's secret, and is then told the same.
final class Door {
    /// A supervisor that has proved itself, and how far it has come.
    struct Guest {
        /// The connection, whose owner is whoever takes this.
        var descriptor: Int32
        var attempt: UInt64
        var stdout: UInt64
        var stderr: UInt64
    }

    private struct Visitor {
        var socket: ControlSocket
        var nonce: [UInt8]
        var deadline: UInt64
        var isProven = false
    }

    /// Connections that were closed since they could not prove who they are, or said something else.
    private(set) var refusedVisitors: UInt64 = 0

    private let folder: Descriptor
    private let listener: Descriptor
    private let name: String
    private let secret: [UInt8]
    private var visitor: Visitor?
    private var hasRecord = false

    private static let backlog: Int32 = 8

    /// Begins to listen; nobody is let in before `serve`.
    init(folder: consuming Descriptor, preparation: Preparation) throws(Refusal) {
        let path = "/proc/self/fd/\(folder.number)/\(preparation.name)"
        listener = Descriptor(
            try check(unsafe clinux_packet_listen(path, Self.backlog), .spec, "the launcher's own socket")
        )
        self.folder = consume folder
        name = preparation.name
        secret = preparation.secret
    }

    /// Asks to be woken by who knocks, or by the visitor who is there.
    func watch(_ poll: inout PollSet) {
        if let visitor {
            poll.watch(.visitor, visitor.socket.descriptor, for: visitor.socket.interest)
        } else {
            poll.watch(.door, listener.number)
        }
    }

    /// When a visitor's time is over.
    var deadline: UInt64? { visitor?.deadline }

    /// Hears whoever is there.
    ///
    /// - Returns: The supervisor that is to be served from now on, once there is one.
    func serve(_ poll: borrowing PollSet, state: AttemptState, at now: UInt64) -> Guest? {
        if poll.isReady(.door), visitor == nil { admit(at: now) }
        if poll.isReady(.visitor), let guest = hear(state, at: now) { return guest }
        if let deadline, now >= deadline { refuse("it took too long") }
        return nil
    }

    private func admit(at now: UInt64) {
        let accepted = clinux_accept(listener.number, 0)
        guard accepted >= 0 else { return }
        let socket = ControlSocket(descriptor: accepted)
        var peer = clinux_credentials()
        guard unsafe clinux_peer_credentials(accepted, &peer) == 0, peer.uid == geteuid() || peer.uid == 0
        else {
            refusedVisitors += 1
            return socket.close()
        }
        var random = SystemRandomNumberGenerator()
        let nonce = (0..<LaunchLimits.nonceBytes).map { _ in UInt8.random(in: 0...255, using: &random) }
        socket.send(.challenge(nonce: nonce))
        visitor = Visitor(socket: socket, nonce: nonce, deadline: now + LaunchLimits.handshakeNanoseconds)
    }

    private func hear(_ state: AttemptState, at now: UInt64) -> Guest? {
        guard let visitor else { return nil }
        visitor.socket.flush()
        switch visitor.socket.receive() {
        case .nothing:
            return nil
        case .closed:
            refuse("it went away")
        case .violation(let words):
            refuse(words)
        case .message(let message, _):
            switch message {
            case .adopt(let nonce, let proof) where !visitor.isProven:
                prove(visitor, nonce, proof, state, at: now)
            case .resume(let attempt, let stdout, let stderr) where visitor.isProven:
                guard attempt == state.attempt, stdout <= state.stdout.produced,
                    stderr <= state.stderr.produced
                else {
                    refuse("it speaks of another attempt")
                    return nil
                }
                self.visitor = nil
                return Guest(
                    descriptor: visitor.socket.release(),
                    attempt: attempt,
                    stdout: stdout,
                    stderr: stderr
                )
            default:
                refuse("it said something else")
            }
        }
        return nil
    }

    private func prove(
        _ visitor: Visitor,
        _ nonce: [UInt8],
        _ proof: [UInt8],
        _ state: AttemptState,
        at now: UInt64
    ) {
        let handshake = AdoptionHandshake(
            secret: secret,
            launcherNonce: visitor.nonce,
            supervisorNonce: nonce
        )
        guard handshake.accepts(supervisorProof: proof) else { return refuse("its proof is wrong") }
        visitor.socket.send(.adopted(proof: handshake.launcherProof, state: state))
        self.visitor?.isProven = true
        self.visitor?.deadline = now + LaunchLimits.handshakeNanoseconds
    }

    private func refuse(_ why: String) {
        guard let visitor else { return }
        refusedVisitors += 1
        complain("a visitor was turned away: \(why)")
        visitor.socket.close()
        self.visitor = nil
    }
}

/// The record.
extension Door {
    /// Writes the record so that it outlives a loss of power; 0 or the negated errno.
    func leave(_ record: OutcomeRecord) -> Int32 {
        let draft = ".\(name).new"
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW
        let opened = unsafe clinux_openat(folder.number, draft, flags, 0o600)
        guard opened >= 0 else { return opened }
        let file = Descriptor(opened)
        let result = Self.write(record.encoded(), to: file.number)
        guard result == 0, unsafe renameat(folder.number, draft, folder.number, recordName) == 0,
            fsync(folder.number) == 0
        else {
            let error = result == 0 ? -errno : result
            _ = unsafe unlinkat(folder.number, draft, 0)
            return error
        }
        hasRecord = true
        return 0
    }

    /// Removes the record, if there is one: its outcome is committed.
    func removeRecord() {
        guard hasRecord else { return }
        hasRecord = false
        _ = unsafe unlinkat(folder.number, recordName, 0)
    }

    /// Whether a supervisor has removed the socket, as it does once it needs nothing of the launcher any more.
    var isForgotten: Bool {
        var status = stat()
        return unsafe fstatat(folder.number, name, &status, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT
    }

    /// Removes the socket: from here on nobody finds the launcher, only the record that it may have left.
    func close() {
        _ = unsafe unlinkat(folder.number, name, 0)
    }

    private var recordName: String { OutcomeRecord.fileName(ofLauncher: name) }

    private static func write(_ bytes: [UInt8], to file: Int32) -> Int32 {
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[done...])
                return unsafe Glibc.write(file, rest.baseAddress, rest.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count < 0 ? -errno : -EIO }
            done += count
        }
        return fsync(file) == 0 ? 0 : -errno
    }
}
