public import BulkheadCore
import BulkheadLaunch
import Foundation
public import Logging
import Synchronization

/// Keeps launchers warm: hands them out, takes them back, replaces those that are lost.
///
/// A launcher is in one of these places: settling (its `ready` is awaited), idle, busy (handed out) or
/// retiring (its socket is closed, its end is awaited). `PoolBook` holds them; this class acts.
public final class LauncherPool: Sendable {
    /// How long things may take.
    struct Times: Sendable {
        /// From the start, or from the acknowledged outcome, to `ready`.
        var ready = Duration.seconds(10)
        /// From the end of the control socket to the launcher's own end, after which it is killed; it ends its
        /// attempt's tree in this time.
        var retiring = Duration.nanoseconds(LaunchLimits.sweepNanoseconds) + .seconds(2)
        /// The same for a launcher without an attempt.
        var retiringIdle = Duration.seconds(2)
        /// For which a launcher may be silent beyond its attempt's own times: more than it needs for the launch.
        var silence = Duration.nanoseconds(LaunchLimits.launchNanoseconds) + .seconds(15)
        /// For Foundation to reap a launcher that has ended.
        var reaping = Duration.seconds(2)
        /// Between two looks at launchers that are ending.
        var look = Duration.milliseconds(5)
    }

    private let executable: String
    private let folder: LaunchersFolder?
    private let idleTime: Duration
    private let times: Times
    private let logger: Logger
    private let groups = Mutex<TaskCgroups?>(nil)
    private let book: Mutex<PoolBook>
    private let loop: PacketLoop

    /// Makes a pool without launchers; the first are started when they are asked for.
    ///
    /// - Parameters:
    ///   - executable: The absolute path of `bulkhead-launcher`.
    ///   - folder: Where launchers can be found by a later supervisor; nil: their attempts end with this one.
    ///   - maximumIdle: Idle launchers that are kept.
    ///   - idleTime: How long an idle launcher is kept.
    ///   - logger: Hears of launchers that are lost.
    /// - Throws: `BulkheadError` with code `host` when descriptors are short.
    public convenience init(
        executable: String,
        folder: LaunchersFolder?,
        maximumIdle: Int,
        idleTime: Duration,
        logger: Logger
    ) throws(BulkheadError) {
        try self.init(
            executable: executable,
            folder: folder,
            maximumIdle: maximumIdle,
            idleTime: idleTime,
            logger: logger,
            times: Times()
        )
    }

    init(
        executable: String,
        folder: LaunchersFolder? = nil,
        maximumIdle: Int,
        idleTime: Duration,
        logger: Logger,
        times: Times
    ) throws(BulkheadError) {
        self.executable = executable
        self.folder = folder
        self.idleTime = idleTime
        self.times = times
        self.logger = logger
        book = Mutex(PoolBook(maximumIdle: maximumIdle))
        let tick = WeakTick()
        loop = try PacketLoop { tick.pool.withLock { $0.value }?.look() ?? .seconds(3600) }
        tick.pool.withLock { $0.value = self }
    }

    deinit {
        // Launchers whose control socket ends do so themselves, or wait for another supervisor.
        loop.stop()
    }

    /// The launchers that live, wherever they are: what descends from one of them is ours.
    public var marks: [ProcessMark] { book.withLock { $0.launchers }.map(\.mark) }

    /// Moves each launcher to its place in these groups as soon as it is started.
    public func place(launchersIn groups: TaskCgroups) {
        self.groups.withLock { $0 = groups }
    }

    /// Changes how many idle launchers are kept.
    public func keepIdle(atMost count: Int) {
        act(on: book.withLock { $0.keepIdle(atMost: count) })
    }

    /// Hands out a launcher that is ready: a warm one, or else the first that becomes so.
    ///
    /// It cannot be cancelled, and ends within seconds.
    /// - Returns: The launcher, which must be given back or discarded.
    /// - Throws: `BulkheadError` with code `host` when none can be had now, since descriptors, processes or
    ///   memory are short; `unavailable` when the pool has been stopped.
    public nonisolated(nonsending) func take() async throws(BulkheadError) -> Launcher {
        if let launcher = book.withLock({ $0.takeIdle() }) { return launcher }
        let result = await withCheckedContinuation { waiter in
            act(on: book.withLock { $0.wait(waiter) })
        }
        return try result.get()
    }

    /// Takes a launcher back, whose outcome has been acknowledged or which has launched nothing.
    ///
    /// Any other is discarded. A lost one may be given back or not.
    public func giveBack(_ launcher: Launcher) {
        let now = ContinuousClock.now
        act(on: book.withLock { $0.giveBack(launcher, now: now, readyBy: now + times.ready) })
    }

    /// Ends a launcher that is of no use any more, with whatever runs under it.
    ///
    /// Its reader learns `lost` with this reason, once the process is gone.
    /// - Parameters:
    ///   - launcher: One that was handed out.
    ///   - reason: Why, as a clause: "it did not …".
    public func discard(_ launcher: Launcher, reason: String) {
        launcher.close(.asked(reason))
    }

    /// Takes over a launcher that an earlier supervisor left with a running attempt.
    ///
    /// - Parameters:
    ///   - tie: How it is found.
    ///   - mark: Its process.
    ///   - attempt: The attempt that it must have: the task's id and the number.
    ///   - committed: The offsets of stdout and stderr below which everything is in the store.
    ///   - times: The attempt's timeout, nil for none, and its grace.
    /// - Returns: The launcher, which must be given back, discarded or left, and what happens from here on.
    /// - Throws: Why it could not be; the launcher is as it was then.
    public func adopt(
        _ tie: LauncherTie,
        mark: ProcessMark,
        attempt: (task: String, number: UInt64),
        committed: (stdout: UInt64, stderr: UInt64),
        times: (timeout: Duration?, grace: Duration)
    ) async throws(AdoptionFailure) -> (launcher: Launcher, events: AsyncStream<LauncherEvent>) {
        guard let folder, ProcessIdentity.isAlive(mark) else { throw .gone }
        let call = AdoptionCall(
            folder: folder,
            tie: tie,
            launcher: mark,
            task: attempt.task,
            attempt: attempt.number
        )
        let (socket, state) = try await call.run()
        guard let process = AdoptedProcess(mark, socket: socket) else {
            close(socket)
            throw .gone
        }
        if state.refusedVisitors > 0 {
            logger.warning(
                "a launcher turned strangers away while no supervisor was there",
                metadata: ["pid": "\(mark.pid)", "strangers": "\(state.refusedVisitors)"]
            )
        }
        let adopted = book.withLock { book in
            book.adopt { slot in
                makeLauncher(process, slot, tie, adoptedWith: attempt.number)
            }
        }
        guard let adopted else {
            close(socket)
            throw .silent
        }
        do {
            let events = try adopted.resume(attempt: attempt.number, committed: committed, times: times)
            loop.wake()
            return (adopted, events)
        } catch {
            act(on: book.withLock { $0.leave(adopted) })
            throw .silent
        }
    }

    /// Lets go of a launcher whose attempt goes on without this supervisor; its reader has ended.
    public func leave(_ launcher: Launcher) {
        act(on: book.withLock { $0.leave(launcher) })
        launcher.hangUp()
    }

    /// Ends every launcher, the busy ones included, and waits until their processes are gone.
    ///
    /// After this `take` throws.
    public func stop() async {
        await withCheckedContinuation { stopper in
            act(on: book.withLock { $0.stop(stopper) })
        }
        await withCheckedContinuation { stopper in loop.stop { stopper.resume() } }
    }
}

/// Lets the packet thread reach the pool without keeping it.
private final class WeakTick: Sendable {
    struct Reference {
        weak var value: LauncherPool?
    }

    let pool = Mutex(Reference())
}

extension LauncherPool {
    private func act(on actions: [PoolBook.Action]) {
        for action in actions {
            switch action {
            case .start(let slot): start(slot)
            case .close(let launcher, let end): launcher.close(end)
            case .answer(let waiter, let result): waiter.resume(returning: result)
            case .stopped(let stopper): stopper.resume()
            }
        }
    }

    private func start(_ slot: Int) {
        LauncherStarter.shared.post { [self] in
            do throws(BulkheadError) {
                let process = try LauncherProcess(starting: executable)
                takeIn(process)
                open(process, slot)
            } catch {
                logger.warning("no launcher could be started", metadata: ["error": "\(error)"])
                act(on: book.withLock { $0.startFailed(slot, error) })
            }
        }
    }

    /// One that cannot be moved does its work all the same, and ends with the supervisor's unit.
    private func takeIn(_ process: LauncherProcess) {
        do throws(BulkheadError) {
            try groups.withLock(\.self)?.takeIn(launcher: process.mark.pid)
        } catch  where process.hasEnded {
            return
        } catch {
            logger.warning("a launcher stays in the supervisor's group", metadata: ["error": "\(error)"])
        }
    }

    private func open(_ process: LauncherProcess, _ slot: Int) {
        var random = SystemRandomNumberGenerator()
        let secret = (0..<LaunchLimits.secretBytes).map { _ in UInt8.random(in: 0...255, using: &random) }
        let tie = folder.map { _ in LauncherTie(name: LaunchersFolder.freshName(), secret: secret) }
        let launcher = makeLauncher(process, slot, tie)
        // Entered first: `ready` may come before the next line of this thread.
        let deadline = ContinuousClock.now + times.ready
        act(on: book.withLock { $0.started(launcher, readyBy: deadline) })
        do throws(BulkheadError) {
            try launcher.open(secret: secret, folder: folder)
        } catch {
            // The socket is closed by now, so that the process ends by itself.
            launcher.ended(.asked("\(error)"))
        }
        loop.wake()
    }

    private func makeLauncher(
        _ process: any LauncherBody,
        _ slot: Int,
        _ tie: LauncherTie?,
        adoptedWith attempt: UInt64? = nil
    ) -> Launcher {
        Launcher(
            process: process,
            slot: slot,
            tie: tie,
            adoptedWith: attempt,
            loop: loop,
            margin: times.silence,
            onReady: { [weak self] launcher in self?.becameReady(launcher) },
            onEnd: { [weak self] launcher, end, phase in self?.ended(launcher, end, phase) }
        )
    }

    /// On the packet thread.
    private func becameReady(_ launcher: Launcher) {
        let now = ContinuousClock.now
        act(on: book.withLock { $0.becameReady(launcher, now: now) })
    }

    /// On the packet thread, which looks at once.
    private func ended(_ launcher: Launcher, _ end: PacketEnd, _ phase: LauncherState.Phase) {
        let lostAttempt: Bool
        let patience: Duration
        switch phase {
        case .launching, .lost: (lostAttempt, patience) = (false, .zero)
        case .ready, .acknowledged: (lostAttempt, patience) = (false, times.retiringIdle)
        case .ended: (lostAttempt, patience) = (false, times.retiring)
        case .running: (lostAttempt, patience) = (true, times.retiring)
        }
        let gone = PoolBook.Retiring(
            launcher: launcher,
            end: end,
            lostAttempt: lostAttempt,
            killAt: ContinuousClock.now + patience
        )
        act(on: book.withLock { $0.ended(launcher, gone) })
    }

    /// On the packet thread: deals with what time brings, and answers when to look again.
    fileprivate func look() -> Duration {
        let now = ContinuousClock.now
        for gone in book.withLock({ Array($0.retiring.values) }) where !gone.isSwept { attend(gone, now) }
        for launcher in book.withLock({ $0.launchers }) { launcher.endIfOverdue() }
        act(on: book.withLock { $0.expire(now: now, idleTime: idleTime) })
        let (isEmpty, isRetiring) = book.withLock { ($0.isEmpty, !$0.retiring.isEmpty) }
        if isRetiring { return times.look }
        return isEmpty
            ? .seconds(3600) : min(.seconds(1), max(.milliseconds(10), min(idleTime, times.silence) / 4))
    }

    private func attend(_ gone: PoolBook.Retiring, _ now: ContinuousClock.Instant) {
        let process = gone.launcher.process
        guard process.hasEnded else {
            if now >= gone.killAt { process.kill() }
            // One that not even SIGKILL ends hangs in the kernel: nobody waits for it any longer.
            if now >= gone.killAt + times.reaping { sweep(gone) }
            return
        }
        guard !process.isReaped, now < (gone.endedAt ?? now) + times.reaping else { return sweep(gone) }
        if gone.endedAt == nil { book.withLock { $0.sawEnd(of: gone.launcher, at: now) } }
    }

    /// Ends what a launcher left behind, then tells its reader.
    private func sweep(_ gone: PoolBook.Retiring) {
        let launcher = gone.launcher
        guard gone.lostAttempt, let handler = launcher.handler else { return forget(gone) }
        book.withLock { $0.sweeps(launcher) }
        Task.detached { [self] in
            if await !ProcessTree.end(handler: handler, atMost: times.retiring) {
                logger.error("a lost launcher's tree goes on", metadata: ["handler": "\(handler.pid)"])
            }
            forget(gone)
        }
    }

    private func forget(_ gone: PoolBook.Retiring) {
        let process = gone.launcher.process
        let reason = [gone.end.words, process.lastWords].compactMap { $0 }.joined(separator: "; ")
        let metadata: Logger.Metadata = ["pid": "\(process.mark.pid)", "reason": "\(reason)"]
        if case .asked = gone.end {
            logger.debug("a launcher has ended", metadata: metadata)
        } else {
            logger.warning("a launcher was lost", metadata: metadata)
        }
        if !process.isReaped { logger.error("a launcher has not been reaped", metadata: metadata) }
        // One that was killed has left its socket; a record is its reader's to look for.
        if let name = gone.launcher.tie?.name { folder?.forgetSocket(ofLauncher: name) }
        gone.launcher.tellLost(reason)
        act(on: book.withLock { $0.forget(gone.launcher) })
    }
}
