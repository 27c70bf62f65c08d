public import BulkheadCore

/// Reads `policies/pools.yaml`.
public enum PoolsFile {
    /// Pools that the file may hold.
    private static let most = 1_024

    /// Reads the file's text.
    /// - Parameters:
    ///   - bytes: The text, at most ``Limits/policyFileBytes``.
    ///   - file: The file's name, for messages.
    ///   - cores: How many tasks run at once in a pool that does not say so: the host's processors.
    /// - Returns: The settings of each pool that the file names.
    /// - Throws: What is wrong, at least one diagnostic.
    public static func read(
        _ bytes: [UInt8],
        file: String,
        cores: Int
    ) throws(PolicyDiagnostics) -> [PoolName: PoolSettings] {
        let findings = Findings(file: file)
        guard let root = try YAMLSource.read(bytes, file: file) else {
            findings.add("the file is empty; {} names no pools", at: YAMLPosition(line: 1, column: 1))
            try findings.conclude()
            return [:]
        }
        let pools = pools(KeyedValue(node: root, key: "", findings: findings), cores: max(cores, 1))
        try findings.conclude()
        return pools
    }

    private static func pools(_ file: KeyedValue, cores: Int) -> [PoolName: PoolSettings] {
        guard let members = file.members("a mapping of pools") else { return [:] }
        guard members.count <= most else {
            file.refuse("there are \(members.count) pools, and \(most) are the most")
            return [:]
        }
        var pools: [PoolName: PoolSettings] = [:]
        for (member, value) in members where !file.findings.isFull {
            do {
                let name = try PoolName(member.key)
                var settings = PoolSettings(concurrency: min(cores, Limits.concurrency))
                keys.read(value, into: &settings)
                pools[name] = settings
            } catch {
                file.findings.add(error.description, at: member.position)
            }
        }
        return pools
    }

    private static let keys = KeyTable<PoolSettings>(
        unenforced: [
            "per-caller": "this version does not enforce it yet, so it is refused rather than ignored"
        ],
        keys: [
            "concurrency": { value, pool in
                pool.concurrency = value.integer(1...Limits.concurrency) ?? pool.concurrency
            },
            "queue-limit": { value, pool in pool.queueLimit = value.integer(1...Limits.queuedTasks) },
            "backoff": { value, pool in readBackoff(value, into: &pool) },
        ]
    )

    /// What contract §5 does not say follows the example of §4.
    private static func readBackoff(_ value: KeyedValue, into pool: inout PoolSettings) {
        let schedule = BackoffSchedule(delay: .seconds(1), maximum: .seconds(1_800))
        var backoff = PoolBackoff(after: 3, within: .seconds(60), schedule: schedule)
        backoffKeys.read(value, into: &backoff)
        if backoff.schedule.delay > backoff.schedule.maximum {
            let maximum = Quantities.text(backoff.schedule.maximum)
            value.refuse("delay is longer than maximum, which is \(maximum)")
        }
        pool.backoff = backoff
    }

    private static let backoffKeys = KeyTable<PoolBackoff>(keys: [
        "after": { value, backoff in backoff.after = value.integer(1...1_000_000) ?? backoff.after },
        "within": { value, backoff in backoff.within = value.duration(waits) ?? backoff.within },
        "delay": { value, backoff in
            backoff.schedule.delay = value.duration(waits) ?? backoff.schedule.delay
        },
        "maximum": { value, backoff in
            backoff.schedule.maximum = value.duration(waits) ?? backoff.schedule.maximum
        },
        "jitter": { value, backoff in backoff.schedule.jitter = value.choice() ?? backoff.schedule.jitter },
    ])

    /// A back-off that waits for nothing would be none.
    private static let waits: ClosedRange<Duration> = .milliseconds(1)...Quantities.longestDuration
}
