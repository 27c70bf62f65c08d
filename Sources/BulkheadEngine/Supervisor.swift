public import BulkheadCore
import BulkheadHost
import BulkheadLaunch
import BulkheadStore
import Dispatch
public import Logging
public import ServiceLifecycle
import Synchronization

/// The supervisor: it takes tasks, runs them and knows what became of them.
///
/// It owns the state folder from ``open(_:logger:)`` to the end of ``run()``. Whoever serves an interface to it
/// calls the methods of its extensions, which may be called from anywhere at any time.
public final class Supervisor: Service, Sendable {
    let settings: SupervisorSettings
    let logger: Logger
    let folder: StateFolder
    let store: Store
    let catalog = CatalogHolder()
    let feed = TaskFeed()
    let startedAt: Timestamp
    let dispatcher: Dispatcher
    let drain: Mutex<Duration>
    let retention: Retention
    /// Recovery is over, and tasks are started; never reached by a supervisor that is stopped before.
    public let ready = Milestone()
    private let launchers: LauncherPool
    let loader: CatalogLoader
    private let recovery: Recovery
    private let preparation: LaunchPreparation
    private let mirror: PoolMirror
    private let life = Mutex(Life())

    private struct Life {
        var phase = SupervisorReport.Phase.recovering
        var recovery = RecoveryReport()
        var stopMode = StopMode.leave
    }

    /// Where the supervisor is in its life.
    public var phase: SupervisorReport.Phase { life.withLock(\.phase) }

    /// What recovery did at the start.
    var recoveryReport: RecoveryReport { life.withLock(\.recovery) }

    /// The state folder, as it was opened.
    public var stateFolderPath: String { folder.path }

    /// Takes the state folder's lock and opens the store; nothing runs yet.
    /// - Parameters:
    ///   - settings: The folders, the limits and the clocks.
    ///   - logger: Where it says what happens.
    ///   - meanwhile: Called once the lock is held, and cancelled once the store is open.
    /// - Returns: A supervisor that waits for ``run()``.
    /// - Throws: ``BulkheadError`` where the folder is taken or cannot be written, the store cannot be opened,
    ///   or this host lacks what every launch needs.
    public static func open(
        _ settings: SupervisorSettings,
        logger: Logger,
        meanwhile: @escaping @Sendable () async -> Void = {}
    ) async throws(BulkheadError) -> Supervisor {
        let folder = try StateFolder.open(settings.stateFolder)
        let store = try await openStore(settings.store(at: folder.databasePath), meanwhile)
        if let correction = store.correction {
            logger.error("a count was wrong and is put right", metadata: ["count": "\(correction)"])
        }
        if let loss = store.historyLoss {
            logger.error(
                "the database was damaged: what it knew is lost, and it lies beside the new one",
                metadata: [
                    "at": "\(loss.at)", "file": "\(folder.path)/\(loss.file)", "reason": "\(loss.reason)",
                ]
            )
        }
        return try Supervisor(settings, folder: folder, store: store, logger: logger)
    }

    /// Opens the store on a thread of its own, since a large database takes a while to look through.
    private static func openStore(
        _ settings: StoreSettings,
        _ meanwhile: @escaping @Sendable () async -> Void
    ) async throws(BulkheadError) -> Store {
        let companion = Task { await meanwhile() }
        let result: Result<Store, BulkheadError> = await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(
                    returning: Result { () throws(BulkheadError) in try Store.open(settings) }
                )
            }
        }
        companion.cancel()
        await companion.value
        return try result.get()
    }

    private init(
        _ settings: SupervisorSettings,
        folder: StateFolder,
        store: Store,
        logger: Logger
    ) throws(BulkheadError) {
        let features = HostFeatures.probe(launcher: settings.launcherExecutable)
        self.settings = settings
        drain = Mutex(settings.drain)
        self.folder = folder
        self.store = store
        self.logger = logger
        startedAt = settings.clocks.wall()
        retention = Retention(
            settings.retention,
            store: store,
            feed: feed,
            clocks: settings.clocks,
            logger: logger
        )
        let launchersFolder = try LaunchersFolder(in: folder)
        launchers = try LauncherPool(
            executable: settings.launcherExecutable,
            folder: launchersFolder,
            maximumIdle: Self.idleLaunchers,
            idleTime: Self.launcherIdleTime,
            logger: logger
        )
        mirror = PoolMirror(folder: folder, logger: logger)
        preparation = try LaunchPreparation(settings, folder: folder, features: features, logger: logger)
        launchers.place(launchersIn: preparation.cgroups)
        loader = try CatalogLoader(settings, handlers: preparation.handlers)
        let runner = AttemptRunner(
            store: store,
            launchers: launchers,
            folder: launchersFolder,
            catalog: catalog,
            preparation: preparation,
            feed: feed,
            clocks: settings.clocks,
            resultLimit: settings.resultLimit,
            observe: settings.observe,
            logger: logger
        )
        dispatcher = Dispatcher(
            store: store,
            catalog: catalog,
            runner: runner,
            mirror: mirror,
            clocks: settings.clocks,
            logger: logger
        )
        recovery = Recovery(
            store: store,
            catalog: catalog,
            preparation: preparation,
            folder: launchersFolder,
            runner: runner,
            dispatcher: dispatcher,
            logger: logger
        )
    }

    /// The time between looks at a disk that is full.
    private static let lookAtDisk: Duration = .seconds(1)
    /// Launchers that are kept warm while they have nothing to do.
    private static let idleLaunchers = 16
    /// How long a launcher is kept that has nothing to do.
    private static let launcherIdleTime: Duration = .seconds(60)

    /// Says what the coming end means for the attempts that run; until then they would be left.
    public func setStopMode(_ mode: StopMode) {
        life.withLock { $0.stopMode = mode }
    }

    /// Recovers, then dispatches until the process is asked to shut down; then leaves or stops what runs and closes.
    /// - Throws: ``BulkheadError`` where the store can no longer be relied on.
    public func run() async throws {
        do {
            try await serve()
        } catch {
            await close()
            throw error
        }
        await close()
    }

    private func serve() async throws {
        let left = try await recovery.find()
        await loadSettledCatalog()
        await dispatcher.load(try await mirror.restore(into: store))
        try await store.clampWaits(now: settings.clocks.steady())
        let report = try await recovery.run(left)
        life.withLock { life in
            life.recovery = report
            if life.phase == .recovering { life.phase = .ready }
        }
        preparation.sweepScratch()
        if phase == .ready { ready.reach() }
        logger.info("ready", metadata: ["types": "\(catalog.current.entries.count)"])
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.followFolders() }
            group.addTask { await self.followWhatIsElsewhere() }
            group.addTask { await self.followStore() }
            group.addTask { await self.followRoom() }
            group.addTask { await self.followDisk() }
            group.addTask { await self.stopWhenAsked() }
            group.addTask { await self.retention.run() }
            defer { group.cancelAll() }
            try await dispatcher.run()
        }
    }

    /// Ends the supervisor when the store has failed for good.
    private func followStore() async {
        for await failure in store.failure { await dispatcher.fail(failure) }
    }

    /// Looks at the queues when acknowledgements, ends or removals have made room in the spool.
    private func followRoom() async {
        for await _ in store.roomGrew { dispatcher.wake() }
    }

    /// Says when the disk is full, and looks again and again until it has room; then the queues go on.
    private func followDisk() async {
        for await _ in store.diskShortages {
            guard let shortage = store.diskShortage else { continue }
            logger.error("nothing new is taken", metadata: ["reason": "\(shortage)"])
            while await store.refusalByDisk() != nil {
                guard (try? await Task.sleep(for: Self.lookAtDisk)) != nil else { return }
            }
            logger.notice("the disk has room again")
            dispatcher.wake()
        }
    }

    /// Waits for the shutdown, then ends in two phases: nothing new, then what runs.
    private func stopWhenAsked() async {
        // A cancellation, as when another service has failed, is a stop like any other.
        try? await gracefulShutdown()
        life.withLock { $0.phase = .stopping }
        logger.info("stopping: no new work is taken")
        await dispatcher.stopDispatching()
        let drain = drain.withLock(\.self)
        if drain > .zero {
            logger.info("waiting for running tasks", metadata: ["seconds": "\(drain.inSeconds)"])
            await waitUntilIdle(atMost: drain)
        }
        await endAttempts()
        feed.close()
    }

    private func endAttempts() async {
        switch life.withLock(\.stopMode) {
        case .leave: await dispatcher.leaveAll()
        case .stop: await dispatcher.stopAll(.supervisorStop)
        }
    }

    private func waitUntilIdle(atMost limit: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.dispatcher.waitUntilIdle() }
            group.addTask { try? await Task.sleep(for: limit) }
            await group.next()
            await endAttempts()
            group.cancelAll()
        }
    }

    private func close() async {
        life.withLock { $0.phase = .stopping }
        feed.close()
        loader.stop()
        await launchers.stop()
        await preparation.finish()
        await mirror.finish()
        do {
            try await store.close()
        } catch {
            logger.error("the store was not closed in order", metadata: ["error": "\(error)"])
        }
        folder.release()
    }
}
