public import BulkheadCore
import BulkheadLaunch
import CLinux
import Foundation
import Glibc

/// A launcher that listens in our folder and belongs to no attempt that we know of, as after the database was lost.
public struct StrayLauncher: Sendable, Equatable {
    /// The launcher.
    public var launcher: ProcessMark
    /// What it has started, by which the rest of its tree is found.
    public var children: [ProcessMark]

    /// Ends it, and then its tree.
    /// - Parameter limit: How long to go on at most, for each process.
    /// - Returns: Whether nothing is left.
    public func end(atMost limit: Duration) async -> Bool {
        ProcessIdentity.kill(launcher)
        var isOver = await ProcessIdentity.waitForEnd(of: launcher, atMost: limit)
        for child in children where !(await ProcessTree.end(handler: child, atMost: limit)) { isOver = false }
        return isOver
    }
}

extension LaunchersFolder {
    /// The launchers that listen in this folder, but for known ones.
    ///
    /// The kernel itself says who listens (SO_PEERCRED, socket(7)), so a socket's name alone points at nobody; and a
    /// process that is not of our user, or has ended since, is left alone.
    /// - Parameter names: The launchers of running attempts.
    /// - Returns: Those that are left over.
    public func strays(but names: Set<String>) -> [StrayLauncher] {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        let listeners = files.filter { !names.contains($0) && !$0.contains(".") }.compactMap(listener)
        guard !listeners.isEmpty else { return [] }
        let all = ProcessStatus.all()
        return listeners.map { launcher in
            let children = all.filter { $0.parent == launcher.pid && $0.startTime >= launcher.startTime }
            return StrayLauncher(
                launcher: launcher,
                children: children.map {
                    ProcessMark(pid: $0.pid, startTime: $0.startTime, bootID: launcher.bootID)
                }
            )
        }
    }

    /// Who listens on a launcher's socket; nil where nobody does.
    private func listener(named name: String) -> ProcessMark? {
        let connected = unsafe clinux_packet_connect(socketPath(of: name))
        guard connected >= 0 else { return nil }
        let connection = OpenDescriptor(owning: connected)
        var peer = clinux_credentials()
        guard unsafe clinux_peer_credentials(connection.number, &peer) >= 0, peer.pid > 0,
            peer.pid != getpid(),
            peer.uid == geteuid()
        else { return nil }
        return ProcessIdentity.mark(of: peer.pid)
    }
}
