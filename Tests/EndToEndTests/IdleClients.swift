import Foundation
import Glibc

/// Connections that say nothing.
final class IdleClients {
    private var descriptors: [Int32] = []

    /// How many were accepted into the queue at all.
    var connected: Int { descriptors.count }

    init(socket path: String, count: Int) {
        raiseLimit(to: rlim_t(count + 1000))
        for _ in 0..<count {
            let descriptor = socket(
                AF_UNIX,
                Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue),
                0
            )
            guard descriptor >= 0 else { return }
            // A full backlog refuses at once: a client that waits for it would be no idle one.
            guard connects(descriptor, path) else {
                close(descriptor)
                continue
            }
            descriptors.append(descriptor)
        }
    }

    deinit { leave() }

    func leave() {
        for descriptor in descriptors { close(descriptor) }
        descriptors = []
    }

    private func connects(_ descriptor: Int32, _ path: String) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: Array(path.utf8)) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        for _ in 0..<200 {
            let result = unsafe withUnsafePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe connect(descriptor, $0, length)
                }
            }
            if result == 0 { return true }
            guard errno == EAGAIN else { return false }
            usleep(1000)
        }
        return false
    }

    private func raiseLimit(to wanted: rlim_t) {
        var limit = rlimit()
        unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        guard limit.rlim_cur < wanted else { return }
        limit.rlim_cur = min(wanted, limit.rlim_max)
        unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
