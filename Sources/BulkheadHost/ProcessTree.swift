public import BulkheadCore
import Foundation

/// What is left of an attempt whose launcher died before it could end the tree itself.
public enum ProcessTree {
    /// Kills a handler, the members of its session and everything below them, until nothing is left.
    ///
    /// For the moment after the launcher's death: a session's number is not given to another process while the
    /// session has members, but it may be later. Processes that left the session and lost their parent are not
    /// found: the attempt's cgroup or user finds those.
    ///
    /// - Parameters:
    ///   - handler: The handler's own process, whether it still lives or not.
    ///   - limit: How long to go on at most.
    /// - Returns: Whether nothing is left.
    public static func end(handler: ProcessMark, atMost limit: Duration) async -> Bool {
        guard handler.bootID == ProcessIdentity.bootID else { return true }
        let deadline = ContinuousClock.now + limit
        while true {
            let left = members(of: handler, among: await ProcessScan.shared.take())
                .map { ProcessMark(pid: $0.pid, startTime: $0.startTime, bootID: handler.bootID) }
                .filter { ProcessIdentity.isAlive($0) }
            guard !left.isEmpty else { return true }
            for mark in left { ProcessIdentity.kill(mark) }
            // What they started meanwhile is found by the next look.
            guard
                await ProcessIdentity.waitForEnd(of: left, atMost: ContinuousClock.now.duration(to: deadline))
            else { return false }
        }
    }

    /// The members of a handler's session, the handler itself and all that descends from them.
    static func members(of handler: ProcessMark, among all: [ProcessStatus]) -> [ProcessStatus] {
        if let holder = all.first(where: { $0.pid == handler.pid }), holder.startTime != handler.startTime {
            return []
        }
        var found = all.filter { $0.session == handler.pid && $0.startTime >= handler.startTime }
        if let itself = all.first(where: { $0.pid == handler.pid }), !found.contains(itself) {
            found.append(itself)
        }
        guard !found.isEmpty else { return [] }
        let children = Dictionary(grouping: all, by: \.parent)
        var seen = Set(found.map(\.pid))
        var next = 0
        while next < found.count {
            for child in children[found[next].pid] ?? [] where seen.insert(child.pid).inserted {
                found.append(child)
            }
            next += 1
        }
        return found
    }
}
