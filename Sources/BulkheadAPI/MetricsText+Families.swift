public import BulkheadCore

extension MetricsText {
    /// The metrics of a supervisor.
    /// - Parameters:
    ///   - report: The supervisor as it stands.
    ///   - now: The moment, for what is an age.
    public init(_ report: SupervisorReport, now: Timestamp) {
        self.init()
        supervisor(report, now: now)
        process(report.process)
        tasks(report.store, report.pools, now: now)
        attempts(report.store.counters)
        spool(report, now: now)
        commits(report.store.commits)
    }

    private mutating func supervisor(_ report: SupervisorReport, now: Timestamp) {
        family("build_info", .gauge, "The version that runs; always 1.")
        sample("build_info", ["version": report.version], 1)
        family("phase", .gauge, "Where the supervisor is in its life: 1 for the phase that it is in.")
        for phase in SupervisorReport.Phase.allCases {
            sample("phase", ["phase": phase.rawValue], report.phase == phase ? 1 : 0)
        }
        single(
            "start_time_seconds",
            .gauge,
            "When the supervisor started, in seconds since 1970.",
            Double(report.startedAt.milliseconds) / 1_000
        )
        single(
            "uptime_seconds",
            .gauge,
            "Seconds since the supervisor started.",
            (now - report.startedAt).inSeconds
        )
        single("problems", .gauge, "Handler and policy files with a problem.", report.problems.count)
        single(
            "history_lost",
            .gauge,
            "Whether this database is the successor of a damaged one.",
            report.historyLost == nil ? 0 : 1
        )
        single(
            "retention_removed_tasks_total",
            .counter,
            "Tasks that retention or prune has taken away.",
            report.retention.removed
        )
    }

    private mutating func process(_ process: ProcessMeasures?) {
        guard let process else { return }
        single("process_open_fds", .gauge, "Descriptors that are open.", process.descriptors)
        single("process_max_fds", .gauge, "Descriptors that may be open.", process.descriptorLimit)
        single("process_threads", .gauge, "Threads.", process.threads)
        single("process_resident_memory_bytes", .gauge, "Memory that is resident.", process.residentBytes)
        single("process_cpu_seconds_total", .counter, "Processor time, user and system.", process.cpuSeconds)
    }

    private mutating func tasks(_ store: StoreMeasures, _ pools: [PoolReport], now: Timestamp) {
        family("tasks", .gauge, "Tasks that are kept, by pool and status.")
        for (pool, counts) in store.tasks.sorted(by: { $0.key < $1.key }) {
            for status in TaskStatus.allCases {
                sample("tasks", ["pool": pool.name, "status": status.rawValue], Double(counts[status] ?? 0))
            }
        }
        let families: [(name: String, help: String, value: (PoolReport) -> Double)] = [
            (
                "pool_concurrency", "Tasks of the pool that may run at once.",
                { Double($0.settings.concurrency) }
            ),
            ("pool_running", "Tasks of the pool that run or are about to.", { Double($0.running) }),
            ("pool_queued", "Tasks of the pool that wait.", { Double($0.queued) }),
            ("pool_failures", "Failures of the pool in a row.", { Double($0.health.failures) }),
            (
                "pool_backoff_seconds", "Seconds for which the pool still backs off; 0 where it does not.",
                { max($0.health.backoffUntil.map { ($0 - now).inSeconds } ?? 0, 0) }
            ),
        ]
        for family in families {
            self.family(family.name, .gauge, family.help)
            for pool in pools { sample(family.name, ["pool": pool.name.name], family.value(pool)) }
        }
    }

    private mutating func attempts(_ counters: StoreCounters) {
        family("submits_total", .counter, "Submits, by what they led to.")
        for submit in StoreCounters.Submit.allCases {
            sample("submits_total", ["outcome": submit.rawValue], Double(counters.submits[submit] ?? 0))
        }
        single("attempts_started_total", .counter, "Attempts that began.", counters.started)
        family("attempts_ended_total", .counter, "Attempts that ended, by the reason, or completed.")
        for reason in [nil] + ErrorReason.allCases.map(Optional.some) {
            let name = reason?.rawValue ?? TaskStatus.completed.rawValue
            sample("attempts_ended_total", ["outcome": name], Double(counters.ended[reason] ?? 0))
        }
        single(
            "launches_put_back_total",
            .counter,
            "Launches that came to nothing, so that the task went back into its queue.",
            counters.putBack
        )
        single("denied_calls_total", .counter, "System calls of handlers that were denied.", counters.denied)
    }

    private mutating func spool(_ report: SupervisorReport, now: Timestamp) {
        let store = report.store
        single("spool_bytes", .gauge, "Output that is kept.", store.spoolBytes)
        single(
            "spool_cap_bytes",
            .gauge,
            "Output, finals and reservations that may be kept.",
            report.spoolCap
        )
        single(
            "spool_reserved_bytes",
            .gauge,
            "What running attempts hold for their finals.",
            store.reservedBytes
        )
        single("spool_final_bytes", .gauge, "Finals that nobody has acknowledged.", store.finalBytes)
        single(
            "output_bytes_total",
            .counter,
            "Output of handlers, in the life of the database.",
            store.outputBytes
        )
        single(
            "output_dropped_bytes_total",
            .counter,
            "Output that gave way or was lost, and is said as gaps, in the life of the database.",
            store.droppedBytes
        )
        single(
            "outbox_pending_messages",
            .gauge,
            "Messages that nobody has acknowledged.",
            store.pendingMessages
        )
        single(
            "outbox_oldest_pending_seconds",
            .gauge,
            "Age of the oldest such message; 0 where there is none.",
            max(store.oldestPending.map { (now - $0).inSeconds } ?? 0, 0)
        )
        single("database_bytes", .gauge, "The database's main file.", store.databaseBytes)
        single("database_log_bytes", .gauge, "The database's log.", store.logBytes)
        single(
            "disk_reserve_bytes",
            .gauge,
            "Room that is held on the disk for the ends of what runs.",
            store.reserve.heldBytes
        )
        single(
            "disk_reserve_wanted_bytes",
            .gauge,
            "Room that ought to be held there.",
            store.reserve.wantedBytes
        )
        single(
            "disk_is_full",
            .gauge,
            "1 while the disk allows nothing new.",
            store.reserve.shortage == nil ? 0 : 1
        )
    }

    private mutating func commits(_ commits: CommitMeasures) {
        family("commit_seconds", .histogram, "What a commit took, until it was durable.")
        var sum = 0
        for (bound, count) in zip(CommitMeasures.bounds, commits.buckets) {
            sum += count
            sample("commit_seconds_bucket", ["le": Self.number(bound)], Double(sum))
        }
        sample("commit_seconds_bucket", ["le": "+Inf"], Double(commits.groups))
        sample("commit_seconds_sum", commits.seconds)
        sample("commit_seconds_count", Double(commits.groups))
        single(
            "committed_mutations_total",
            .counter,
            "Changes in the commits; several share one.",
            commits.mutations
        )
        single(
            "commit_failures_total",
            .counter,
            "Commits that the disk or a lock did not allow.",
            commits.failures
        )
    }
}
