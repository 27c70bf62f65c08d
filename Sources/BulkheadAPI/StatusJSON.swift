public import BulkheadCore

/// Pools, plugins and the supervisor as the API shows them.
public enum StatusJSON {
    /// All pools: `{"pools": […]}`.
    public static func value(_ pools: [PoolReport]) -> JSONValue {
        .object(["pools": .array(pools.map(value))])
    }

    /// All task types: `{"plugins": […]}`.
    public static func value(_ plugins: [PluginReport]) -> JSONValue {
        .object(["plugins": .array(plugins.map(value))])
    }

    /// What taking terminal tasks away came to: `{"removed", "unacknowledged", "cursor"}`.
    public static func value(_ report: PruneReport) -> JSONValue {
        var object: JSONObject = [
            "removed": .integer(report.removed), "unacknowledged": .integer(report.unacknowledged),
        ]
        object["cursor"] = report.cursor.map { .string($0.description) }
        return .object(object)
    }

    /// The supervisor.
    /// - Parameters:
    ///   - report: The supervisor as it stands.
    ///   - now: The moment, for the time that it has been up.
    /// - Returns: The object.
    public static func value(_ report: SupervisorReport, now: Timestamp) -> JSONValue {
        var counts = JSONObject()
        for status in TaskStatus.allCases { counts[status.rawValue] = .integer(report.counts[status] ?? 0) }
        var object: JSONObject = [
            "version": .string(report.version),
            "phase": .string(report.phase.rawValue),
            "pid": .integer(report.pid),
            "startedAt": .string(report.startedAt.description),
            "uptimeSeconds": .decimal(max(0, (now - report.startedAt).inSeconds)),
            "stateFolder": .string(report.stateFolder),
            "pluginsFolder": .string(report.pluginsFolder),
            "policiesFolder": .string(report.policiesFolder),
            "counts": .object(counts),
            "spool": .object(["bytes": .integer(report.spoolBytes), "cap": .integer(report.spoolCap)]),
            "retention": value(report.retention),
            "recovery": value(report.recovery),
            "pools": .array(report.pools.map(value)),
        ]
        object["problems"] = TaskJSON.list(report.problems.map(JSONValue.string))
        return .object(object)
    }

    private static func value(_ retention: RetentionReport) -> JSONValue {
        var object = JSONObject()
        object["age"] = retention.rule.age.map { .string(Quantities.text($0)) }
        object["tasks"] = retention.rule.tasks.map { .integer($0) }
        object["sweptAt"] = TaskJSON.time(retention.sweptAt)
        object["removed"] = .integer(retention.removed)
        return .object(object)
    }

    private static func value(_ pool: PoolReport) -> JSONValue {
        var object: JSONObject = [
            "name": .string(pool.name.name), "concurrency": .integer(pool.settings.concurrency),
        ]
        object["queueLimit"] = pool.settings.queueLimit.map { .integer($0) }
        object["backoff"] = pool.settings.backoff.map(value)
        object["configured"] = .bool(pool.isConfigured)
        object["running"] = .integer(pool.running)
        object["queued"] = .integer(pool.queued)
        object["failures"] = .integer(pool.health.failures)
        object["backoffs"] = pool.health.backoffs > 0 ? .integer(pool.health.backoffs) : nil
        object["backoffUntil"] = TaskJSON.time(pool.health.backoffUntil)
        return .object(object)
    }

    /// The rule in the words of `pools.yaml`.
    private static func value(_ backoff: PoolBackoff) -> JSONValue {
        .object([
            "after": .integer(backoff.after),
            "within": .string(Quantities.text(backoff.within)),
            "delay": .string(Quantities.text(backoff.schedule.delay)),
            "maximum": .string(Quantities.text(backoff.schedule.maximum)),
            "jitter": .string(backoff.schedule.jitter.rawValue),
        ])
    }

    private static func value(_ plugin: PluginReport) -> JSONValue {
        var object = JSONObject()
        object["type"] = plugin.type.map { .string($0.name) }
        object["file"] = .string(plugin.file)
        object["usable"] = .bool(plugin.type != nil && plugin.problems.isEmpty)
        object["digest"] = plugin.digest.map(JSONValue.string)
        object["policy"] = plugin.policyFile.map(JSONValue.string)
        object["pool"] = plugin.pool.map { .string($0.name) }
        object["description"] = plugin.description.map(JSONValue.string)
        object["problems"] = TaskJSON.list(plugin.problems.map(JSONValue.string))
        object["warnings"] = TaskJSON.list(plugin.warnings.map(JSONValue.string))
        return .object(object)
    }

    private static func value(_ recovery: RecoveryReport) -> JSONValue {
        .object([
            "found": .integer(recovery.found),
            "adopted": .integer(recovery.adopted),
            "recorded": .integer(recovery.recorded),
            "waiting": .integer(recovery.waiting),
            "rehydrated": .integer(recovery.rehydrated),
            "interrupted": .integer(recovery.interrupted),
            "poisoned": .integer(recovery.poisoned),
        ])
    }
}
