public import BulkheadCore
import BulkheadHost
import BulkheadPolicy
import BulkheadStore
import Glibc

extension Supervisor {
    /// The pools that are configured or in use.
    public func pools() async throws(BulkheadError) -> [PoolReport] {
        let catalog = catalog.current
        let queued = try await typed { try await store.queuedCounts() }
        let used = await dispatcher.knownPools.union(queued.keys)
        let named = Set(catalog.entries.values.map(\.policy.pool)).union(catalog.pools.keys)
        var reports: [PoolReport] = []
        for name in used.union(named).sorted() {
            var state = await dispatcher.state(of: name)
            state.health.backoffUntil = state.health.backoffUntil.map(settings.clocks.date)
            reports.append(
                PoolReport(
                    name: name,
                    settings: catalog.settings(of: name),
                    isConfigured: catalog.pools[name] != nil,
                    running: state.running,
                    queued: queued[name] ?? 0,
                    health: state.health
                )
            )
        }
        return reports
    }

    /// The task types, and the files that give none, as the folders are now.
    public func plugins() async -> [PluginReport] { await freshCatalog().reports }

    /// The start's moment plus the time since, whatever the wall clock did meanwhile.
    public var steadyNow: Timestamp { settings.clocks.steady() }

    /// The supervisor as it stands.
    public func report() async throws(BulkheadError) -> SupervisorReport {
        let measures = try await typed { try await store.measures() }
        var counts: [TaskStatus: Int] = [:]
        for tasks in measures.tasks.values { counts.merge(tasks) { $0 + $1 } }
        var report = SupervisorReport(
            version: settings.version,
            pid: getpid(),
            startedAt: startedAt,
            phase: phase,
            stateFolder: settings.stateFolder,
            pluginsFolder: settings.pluginsFolder,
            policiesFolder: settings.policiesFolder,
            counts: counts,
            spoolBytes: measures.spoolBytes,
            spoolCap: settings.spoolCap,
            recovery: recoveryReport,
            pools: try await pools(),
            problems: catalog.current.reports.flatMap(\.problems)
                + (store.diskShortage.map { ["\($0)"] } ?? [])
        )
        report.retention = retention.report
        report.historyLost = store.historyLoss
        report.store = measures
        report.process = OwnProcess.measures()
        return report
    }

    /// Takes terminal tasks away by hand.
    /// - Parameter request: Which.
    /// - Returns: What went; with a cursor, there may be more.
    /// - Throws: ``BulkheadError`` where the store could not read or write.
    public func prune(_ request: PruneRequest) async throws(BulkheadError) -> PruneReport {
        try await retention.prune(request)
    }

    /// Whether the store answers.
    public func storeAnswers() async -> Bool {
        do {
            try await store.check()
            return true
        } catch {
            return false
        }
    }

    /// Whether a process is a launcher or a handler of ours, or descends from one.
    public func isOurs(process pid: Int32) -> Bool {
        pid != getpid() && ProcessIdentity.ancestors(of: pid).contains(getpid())
    }
}
