import CLinux
import Foundation
import Glibc
import Synchronization

extension Workbench {
    /// Launchers with an attempt outlive their supervisor, and must not outlive the test.
    func endLeftLaunchers() {
        for pid in launchers { kill(pid, SIGKILL) }
    }

    /// The launchers of this workbench that live.
    ///
    /// They have its folder of launchers open, which they show to nobody but root; to others they are known as
    /// children of its supervisors, as parents of its handlers, and as those who answer at its sockets.
    var launchers: [pid_t] {
        let all = ProcessTable.all()
        let parents = handlerProcesses.map(\.parent)
        let servers = supervisors.withLock { $0 }.filter(ProcessTable.isAlive).map(\.pid)
        let kin = all.filter { parents.contains($0.pid) || servers.contains($0.parent) }
            .filter { $0.name.hasPrefix("bulkhead-launch") }.map(\.pid)
        return Array(Set(openLaunchers + kin + (geteuid() == 0 ? [] : listeningLaunchers)))
    }

    private var openLaunchers: [pid_t] {
        let files = FileManager.default
        let names = (try? files.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { pid_t($0) }.filter { pid in
            guard let program = try? files.destinationOfSymbolicLink(atPath: "/proc/\(pid)/exe"),
                program.hasSuffix("/bulkhead-launcher")
            else { return false }
            let open = (try? files.contentsOfDirectory(atPath: "/proc/\(pid)/fd")) ?? []
            return open.contains { number in
                let path = try? files.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\(number)")
                return path?.hasPrefix(folder + "/") == true
            }
        }
    }

    /// Who listens at the sockets in the state folder, as the kernel says (SO_PEERCRED, socket(7)).
    private var listeningLaunchers: [pid_t] {
        let sockets = state + "/launchers"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: sockets)) ?? []
        return names.filter { !$0.contains(".") }.compactMap { name in
            let connected = unsafe clinux_packet_connect(sockets + "/" + name)
            guard connected >= 0 else { return nil }
            defer { close(connected) }
            var peer = clinux_credentials()
            guard unsafe clinux_peer_credentials(connected, &peer) >= 0, peer.uid == geteuid() else {
                return nil
            }
            return peer.pid > 0 ? peer.pid : nil
        }
    }
}
