public import BulkheadCore

/// Reads policy files: strict, and with everything that is wrong told at once.
public enum PolicyReader {
    /// Reads a policy file's text.
    /// - Parameters:
    ///   - bytes: The text, at most ``Limits/policyFileBytes``.
    ///   - file: The file's name, for messages.
    ///   - profiles: Where the OCI profile that it may name is found; nil refuses a policy that names one.
    /// - Returns: The policy, each default filled in.
    /// - Throws: What is wrong with the policy or its profile, at least one diagnostic.
    public static func read(
        _ bytes: [UInt8],
        file: String,
        profiles: ProfileSource? = nil
    ) throws(PolicyDiagnostics) -> Policy {
        let findings = Findings(file: file)
        guard let root = try YAMLSource.read(bytes, file: file) else {
            findings.add("the file is empty; {} is the built-in policy", at: YAMLPosition(line: 1, column: 1))
            try findings.conclude()
            return Policy()
        }
        var draft = PolicyDraft()
        keys.read(KeyedValue(node: root, key: "", findings: findings), into: &draft)
        let policy = draft.resolved(findings, profiles)
        try findings.conclude()
        return policy
    }

    private static let keys = KeyTable<PolicyDraft>(keys: [
        "pool": { value, draft in draft.policy.pool = value.poolName() ?? draft.policy.pool },
        "description": { value, draft in
            draft.policy.description = value.text(bytes: Limits.messageBytes)
        },
        "timeout": { value, draft in
            guard let timeout = value.duration() else { return }
            draft.policy.timeout = timeout == .zero ? nil : timeout
        },
        "grace": { value, draft in
            draft.policy.grace = value.duration(.zero...longestGrace) ?? draft.policy.grace
        },
        "priority": { value, draft in
            draft.policy.priority = value.integer(Limits.priority) ?? draft.policy.priority
        },
        "recovery": { value, draft in readRecovery(value, into: &draft.policy.recovery) },
        "retry": { value, draft in readRetry(value, into: &draft.policy.retry) },
        "output": { value, draft in output.read(value, into: &draft.policy.output) },
        "sandbox": { value, draft in sandbox.read(value, into: &draft) },
        "limits": { value, draft in limits.read(value, into: &draft.policy.limits) },
        "environment": { value, draft in draft.policy.environment = value.environment() },
        "arguments": { value, draft in
            draft.policy.arguments =
                value.list("texts", most: Limits.arguments)?.compactMap { $0.text("an argument") } ?? []
        },
        "user": { value, draft in draft.policy.user = value.user() ?? draft.policy.user },
        "sha256": { value, draft in draft.policy.sha256 = value.sha256() },
    ])

    /// A handler that needs longer than this to end is not ending.
    private static let longestGrace: Duration = .seconds(3_600)

    /// Takes the short form, a single word, and the long one.
    private static func readRecovery(_ value: KeyedValue, into recovery: inout RecoveryPolicy) {
        if case .mapping = value.node.content {
            recoveryKeys.read(value, into: &recovery)
        } else {
            recovery.mode = value.choice() ?? recovery.mode
        }
    }

    private static let recoveryKeys = KeyTable<RecoveryPolicy>(keys: [
        "mode": { value, recovery in recovery.mode = value.choice() ?? recovery.mode },
        "limit": { value, recovery in recovery.limit = value.integer(1...1_000) ?? recovery.limit },
    ])

    private static func readRetry(_ value: KeyedValue, into retry: inout RetryPolicy) {
        retryKeys.read(value, into: &retry)
        if retry.backoff.delay > retry.backoff.maximum {
            let maximum = Quantities.text(retry.backoff.maximum)
            value.refuse("delay is longer than maximum-delay, which is \(maximum)")
        }
    }

    private static let retryKeys = KeyTable<RetryPolicy>(keys: [
        "limit": { value, retry in retry.limit = value.integer(0...Limits.retries) ?? retry.limit },
        "delay": { value, retry in retry.backoff.delay = value.duration() ?? retry.backoff.delay },
        "maximum-delay": { value, retry in
            retry.backoff.maximum = value.duration() ?? retry.backoff.maximum
        },
        "jitter": { value, retry in retry.backoff.jitter = value.choice() ?? retry.backoff.jitter },
    ])

    private static let output = KeyTable<OutputPolicy>(keys: [
        "limit": { value, output in output.limit = value.size(1...largest) ?? output.limit },
        "on-limit": { value, output in output.onLimit = value.choice() ?? output.onLimit },
    ])

    private static let limits = KeyTable<ResourceLimits>(
        keys: [
            "memory": { value, limits in limits.memory = value.size(1 << 20...largest) },
            "cpu": { value, limits in
                limits.cpu = value.duration(.milliseconds(1)...Quantities.longestDuration)
            },
            "processes": { value, limits in limits.processes = value.integer(1...mostProcesses) },
            "open-files": { value, limits in limits.openFiles = value.integer(leastFiles...mostFiles) },
            "file-size": { value, limits in limits.fileSize = value.size(0...largest) },
            "scratch": { value, limits in limits.scratch = value.size(leastScratch...largest) },
        ]
    )

    /// 256 TiB: more than any host has, and far from the end of 64 bits.
    private static let largest: Int64 = 1 << 48
    /// A file system of a few pages.
    private static let leastScratch: Int64 = 64 << 10
    /// The kernel's PID_MAX_LIMIT on 64-bit machines.
    private static let mostProcesses = 4_194_304
    /// The four descriptors of the protocol, and what a dynamic linker or an interpreter opens to begin.
    private static let leastFiles = 16
    /// The kernel's usual `fs.nr_open`.
    private static let mostFiles = 1_048_576
}

/// Where the profiles that policies name are found.
public struct ProfileSource: Sendable {
    /// The host for which they are read.
    public let host: ProfileHost
    /// Reads a profile's file.
    public let open: @Sendable (String) throws(BulkheadError) -> File

    /// A file as it was read.
    public struct File: Sendable {
        /// Its name for messages.
        public let shown: String
        /// What it holds.
        public let bytes: [UInt8]

        /// Makes a file.
        ///
        /// - Parameters:
        ///   - shown: Its name for messages.
        ///   - bytes: What it holds, at most one byte more than ``Limits/profileBytes``.
        public init(shown: String, bytes: [UInt8]) {
            self.shown = shown
            self.bytes = bytes
        }
    }

    /// Makes a source.
    ///
    /// - Parameters:
    ///   - host: The host for which profiles are read.
    ///   - open: Reads the file of a name; it holds no slash.
    public init(host: ProfileHost, open: @escaping @Sendable (String) throws(BulkheadError) -> File) {
        self.host = host
        self.open = open
    }
}

/// A policy while its file is being read, with what later keys decide.
struct PolicyDraft {
    var policy = Policy()
    var network: SandboxPolicy.Network?
    var deny: KeyedValue?
    var profile: KeyedValue?
    /// The keys in whose place a profile stands.
    var replaced: [KeyedValue] = []

    /// Fills in what depends on other keys, and checks what only the whole shows.
    func resolved(_ findings: Findings, _ profiles: ProfileSource?) -> Policy {
        var policy = policy
        policy.sandbox.network = network ?? policy.sandbox.preset.network
        if let profile { read(profile, from: profiles, into: &policy.sandbox) }
        if findings.all.isEmpty, let deciding = profile ?? deny {
            do {
                _ = try SystemCallRules(policy.sandbox)
            } catch {
                findings.add(error.message, at: deciding.node.position)
            }
        }
        return policy
    }

    private func read(_ value: KeyedValue, from profiles: ProfileSource?, into sandbox: inout SandboxPolicy) {
        for other in replaced {
            other.refuse(
                "a profile stands in the place of preset and syscalls; leave this or seccomp-profile out"
            )
        }
        guard let name = value.profileName() else { return }
        guard let profiles else { return value.refuse("there is no folder of profiles here") }
        do throws(BulkheadError) {
            let file = try profiles.open(name)
            do throws(PolicyDiagnostics) {
                let profile = try ProfileReader.read(
                    file.bytes,
                    name: name,
                    file: file.shown,
                    host: profiles.host
                )
                sandbox.profile = profile
                sandbox.onDenied = profile.fallback == .denyAndEnd ? .kill : .errno
            } catch {
                value.findings.take(error)
            }
        } catch {
            value.refuse(error.description)
        }
    }
}

extension Preset {
    /// The network of a policy that names none.
    var network: SandboxPolicy.Network {
        switch self {
        case .network, .unconfined: .host
        case .default, .compute: .none
        }
    }
}
