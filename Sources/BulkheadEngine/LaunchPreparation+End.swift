import BulkheadCore
import BulkheadHost
import Logging
import Synchronization

extension LaunchPreparation {
    /// The name of an attempt's control groups.
    static func group(of task: TaskID, attempt: Int) -> String { "\(task.text)-\(attempt)" }

    /// Takes note of what an attempt of an earlier supervisor holds.
    func reclaim(_ holdings: Holdings) {
        reclaimed.withLock { _ = $0.insert(holdings.scratch) }
        handlers.hold(holdings.handler)
        if let user = holdings.dynamicUser, !users.reclaim(user) {
            logger.warning(
                "another supervisor may give a running attempt's user to one of its own",
                metadata: ["user": "\(user)"]
            )
        }
    }

    /// Gives back what an attempt held; the folder's content goes in the background.
    func remove(_ holdings: Holdings) {
        reclaimed.withLock { _ = $0.remove(holdings.scratch) }
        handlers.release(holdings.handler)
        scratch.remove(holdings.scratch)
        if let user = holdings.dynamicUser { users.giveBack(user) }
    }

    /// Ends what is left of an attempt whose launcher is gone, or cannot be spoken to.
    func endTree(
        of group: String,
        scratch: String?,
        process: ProcessMark?,
        launcher: ProcessMark
    ) async {
        if ProcessIdentity.kill(launcher) {
            _ = await ProcessIdentity.waitForEnd(of: launcher, atMost: Self.patience)
        }
        await cgroups.end(named: group)
        var isEnded = true
        if let process { isEnded = await ProcessTree.end(handler: process, atMost: Self.patience) }
        if let scratch {
            isEnded = await ProcessTree.end(withScratch: scratch, atMost: Self.patience) && isEnded
        }
        if !isEnded {
            logger.error(
                "processes of a lost attempt did not end at SIGKILL (stuck in the kernel)",
                metadata: ["launcher": "\(launcher.pid)"]
            )
        }
    }

    /// How long the kernel may take to end what was killed.
    private static let patience: Duration = .seconds(5)

    /// Removes what attempts of an earlier supervisor on the same state folder have left, and none still uses.
    func sweepScratch() { scratch.sweep(keeping: reclaimed.withLock { $0 }) }

    /// Waits for the removals that are under way.
    func finish() async {
        await scratch.finishRemovals()
        cgroups.close()
    }
}
