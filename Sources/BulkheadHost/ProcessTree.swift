public import BulkheadCore
import Foundation

/// What is left of an attempt whose launcher died before it could end the tree itself.
public enum ProcessTree {
    /// Kills a handler, the members of its session and everything below them, until nothing is left.
    ///
    /// For the moment after the launcher's death: a session's number is not given to another process while the
    /// session has members, but it may be later. Processes that left the session and lost their parent are not
    /// found: the attempt's cgroup finds those, or their environment.
    ///
    /// - Parameters:
    ///   - handler: The handler's own process, whether it still lives or not.
    ///   - limit: How long to go on at most.
    /// - Returns: Whether nothing is left.
    public static func end(handler: ProcessMark, atMost limit: Duration) async -> Bool {
        guard handler.bootID == ProcessIdentity.bootID else { return true }
        return await end(atMost: limit) { members(of: handler, among: await processes.take()) }
    }

    /// Kills every process that was given a scratch folder as its own, until nothing is left.
    ///
    /// This finds what left the session and lost its parent, and what a launcher started and did not live to tell of.
    /// The folder's name is one that nobody else has; what has changed its own environment is not found.
    ///
    /// - Parameters:
    ///   - scratch: The attempt's scratch folder.
    ///   - limit: How long to go on at most.
    /// - Returns: Whether nothing is left.
    public static func end(withScratch scratch: String, atMost limit: Duration) async -> Bool {
        await end(atMost: limit) { await holders.take()[scratch] ?? [] }
    }

    private static let processes = ProcessScan(look: ProcessStatus.all)
    private static let holders = ProcessScan(look: scratchHolders)

    /// Of an environment the beginning is read, where ours stands; the whole may be as long as an exec allows.
    private static let environmentBytes = 128 << 10

    /// The processes that were given a scratch folder, by the folder.
    private static func scratchHolders() -> [String: [ProcessStatus]] {
        let name = Array("BULKHEAD_SCRATCH=".utf8)
        var holders: [String: [ProcessStatus]] = [:]
        for process in ProcessStatus.all() {
            let environment = ProcFile.read("/proc/\(process.pid)/environ", atMost: environmentBytes)
            guard let entry = environment?.split(separator: 0).first(where: { $0.starts(with: name) }) else {
                continue
            }
            holders[String(decoding: entry.dropFirst(name.count), as: UTF8.self), default: []].append(process)
        }
        return holders
    }

    /// Kills what is found, again and again until nothing is.
    private static func end(
        atMost limit: Duration,
        finding find: () async -> [ProcessStatus]
    ) async -> Bool {
        let deadline = ContinuousClock.now + limit
        while true {
            // A number that was given to another process meanwhile has another start, and is not signalled.
            let left = await find()
                .map { ProcessMark(pid: $0.pid, startTime: $0.startTime, bootID: ProcessIdentity.bootID) }
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
