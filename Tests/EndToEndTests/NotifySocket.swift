import CLinux
import Foundation
import Glibc
import Synchronization

/// A service manager's ear: a datagram socket, read by a thread of its own until it is closed.
final class NotifySocket: Sendable {
    private let descriptor: Int32
    private let heard = Mutex<[String]>([])

    /// Binds it to a path.
    init(path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
        let family = unsafe withUnsafeBytes(of: sa_family_t(AF_UNIX)) { unsafe Array($0) }
        let address = family + Array(path.utf8) + [0]
        let bound = unsafe address.withUnsafeBytes { bytes in
            unsafe bind(
                descriptor,
                bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self),
                socklen_t(bytes.count)
            )
        }
        guard bound == 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
        Thread.detachNewThread { [descriptor, weak self] in
            var bytes = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = unsafe recv(descriptor, &bytes, bytes.count, 0)
                guard count > 0, let self else { break }
                let text = String(decoding: bytes[..<count], as: UTF8.self)
                self.heard.withLock { $0.append(text) }
            }
            close(descriptor)
        }
    }

    deinit { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Everything that was said, in order.
    var messages: [String] { heard.withLock(\.self) }

    /// The values of one name, in the order in which they were said.
    func values(of name: String) -> [String] {
        messages.flatMap { $0.split(separator: "\n") }.filter { $0.hasPrefix(name + "=") }
            .map { String($0.dropFirst(name.utf8.count + 1)) }
    }
}
