import Glibc
import NIOCore

/// Who is at the other end of a Unix socket: `struct ucred` of SO_PEERCRED (unix(7)).
struct PeerCredentials: Sendable, BitwiseCopyable {
    /// The process that connected or listens; 0 where it lies in another pid namespace.
    var pid: Int32
    /// Its user.
    var uid: UInt32
    /// Its group.
    var gid: UInt32

    /// Asks the system; nil where the channel is no socket.
    static func read(of channel: any Channel) -> EventLoopFuture<PeerCredentials>? {
        guard let socket = channel as? any SocketOptionProvider else { return nil }
        return socket.unsafeGetSocketOption(level: .socket, name: NIOBSDSocket.Option(rawValue: SO_PEERCRED))
    }

    /// Whether the process is still there; one in another namespace cannot be asked for and counts as there.
    var isAlive: Bool { pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH }
}
