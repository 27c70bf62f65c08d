import BulkheadCore
import BulkheadHost
import BulkheadPolicy

/// What an attempt holds of this host until its tree is dead.
struct Holdings: Sendable, Equatable {
    /// Its working folder.
    var scratch: String
    /// Its user, where that is one of our range.
    var dynamicUser: UInt32?
    /// The name of its control groups.
    var group: String
    /// The SHA-256 of the handler's copy that it runs.
    var handler: String
}

/// The terms under which an attempt runs, fixed at its start: all that its supervisor, or a later one, needs to go on
/// with it and to judge its end, whatever has become of handler and policy meanwhile.
struct AttemptTerms: Sendable, Equatable {
    var holdings: Holdings
    var output = OutputPolicy()
    var retry = RetryPolicy()
    var recovery = RecoveryPolicy()
    var timeout: Duration?
    var grace: Duration
    var cpu: Duration?
    var memory: Int64?
    /// What to say of denied calls.
    var denials: DenialAdvice
    var hasFilter: Bool
    /// The handler's file and its policy's, as the user knows them.
    var handlerFile: String
    var policyFile: String
    var warnings: [String]

    /// The terms of a launch.
    init(_ entry: CatalogEntry, _ place: LaunchPlace) {
        let policy = entry.policy
        holdings = place.holdings
        output = policy.output
        retry = policy.retry
        recovery = policy.recovery
        timeout = policy.timeout
        grace = policy.grace
        cpu = policy.limits.cpu
        memory = policy.limits.memory
        denials = DenialAdvice(policy.sandbox)
        hasFilter = entry.sandbox.filter != nil
        handlerFile = entry.handler.sourcePath
        policyFile = entry.policyFile ?? "policies/\(entry.type).yaml"
        warnings = place.warnings
    }
}

/// As they lie in the store.
extension AttemptTerms {
    /// The terms as JSON; durations in nanoseconds, sizes in bytes.
    var value: JSONValue {
        var object: JSONObject = [
            "scratch": .string(holdings.scratch), "group": .string(holdings.group),
            "handler": .string(holdings.handler), "outputLimit": .integer(output.limit),
            "onLimit": .string(output.onLimit.rawValue), "retryLimit": .integer(retry.limit),
            "retryDelay": .integer(retry.backoff.delay.wholeNanoseconds),
            "retryMaximum": .integer(retry.backoff.maximum.wholeNanoseconds),
            "retryJitter": .string(retry.backoff.jitter.rawValue),
            "recovery": .string(recovery.mode.rawValue),
            "recoveryLimit": .integer(recovery.limit), "grace": .integer(grace.wholeNanoseconds),
            "onDenied": .string(denials.onDenied.rawValue), "hasFilter": .bool(hasFilter),
            "handlerFile": .string(handlerFile), "policyFile": .string(policyFile),
            "warnings": .array(warnings.map { .string($0) }),
        ]
        object["dynamicUser"] = holdings.dynamicUser.map { .integer($0) }
        object["timeout"] = timeout.map { .integer($0.wholeNanoseconds) }
        object["cpu"] = cpu.map { .integer($0.wholeNanoseconds) }
        object["memory"] = memory.map { .integer($0) }
        object["preset"] = .string(denials.preset.rawValue)
        object["network"] = .string(denials.network.rawValue)
        object["deny"] = .array(denials.deny.map { .string($0.description) })
        object["profile"] = denials.profile.map { .string($0) }
        if !denials.others.isEmpty {
            object["deniedOtherwise"] = .object(
                denials.others.sorted { $0.key < $1.key }.reduce(into: JSONObject()) { others, call in
                    others[call.key] = .string(call.value.rawValue)
                }
            )
        }
        return .object(object)
    }

    /// Reads them back; nil where something is missing that this version needs.
    init?(_ value: JSONValue) {
        let time: (String) -> Duration? = { name in value[name]?.integer.map { .nanoseconds($0) } }
        guard let scratch = value["scratch"]?.string, let group = value["group"]?.string,
            let handler = value["handler"]?.string, let outputLimit = value["outputLimit"]?.integer,
            let onLimit = value["onLimit"]?.string.flatMap(OutputPolicy.OnLimit.init(rawValue:)),
            let retryLimit = value["retryLimit"]?.integer, let retryDelay = time("retryDelay"),
            let retryMaximum = time("retryMaximum"),
            let jitter = value["retryJitter"]?.string.flatMap(BackoffSchedule.Jitter.init(rawValue:)),
            let mode = value["recovery"]?.string.flatMap(RecoveryPolicy.Mode.init(rawValue:)),
            let recoveryLimit = value["recoveryLimit"]?.integer, let grace = time("grace"),
            let onDenied = value["onDenied"]?.string.flatMap(SandboxPolicy.OnDenied.init(rawValue:)),
            let hasFilter = value["hasFilter"]?.bool, let handlerFile = value["handlerFile"]?.string,
            let policyFile = value["policyFile"]?.string, let warnings = value["warnings"]?.array
        else { return nil }
        let dynamicUser = value["dynamicUser"]?.integer.flatMap(UInt32.init(exactly:))
        holdings = Holdings(scratch: scratch, dynamicUser: dynamicUser, group: group, handler: handler)
        output.limit = outputLimit
        output.onLimit = onLimit
        retry.limit = Int(retryLimit)
        retry.backoff = BackoffSchedule(delay: retryDelay, maximum: retryMaximum, jitter: jitter)
        recovery.mode = mode
        recovery.limit = Int(recoveryLimit)
        timeout = time("timeout")
        self.grace = grace
        cpu = time("cpu")
        memory = value["memory"]?.integer
        denials = DenialAdvice(Self.sandbox(value, onDenied: onDenied))
        denials.profile = value["profile"]?.string
        for member in value["deniedOtherwise"]?.object?.members ?? [] {
            denials.others[member.name] = member.value.string.flatMap(SandboxPolicy.OnDenied.init(rawValue:))
        }
        self.hasFilter = hasFilter
        self.handlerFile = handlerFile
        self.policyFile = policyFile
        self.warnings = warnings.compactMap(\.string)
    }

    /// What of a sandbox its advice is made of; what an earlier version did not note is as by default.
    private static func sandbox(_ value: JSONValue, onDenied: SandboxPolicy.OnDenied) -> SandboxPolicy {
        var sandbox = SandboxPolicy()
        sandbox.onDenied = onDenied
        sandbox.preset = value["preset"]?.string.flatMap(Preset.init(rawValue:)) ?? sandbox.preset
        sandbox.network =
            value["network"]?.string.flatMap(SandboxPolicy.Network.init(rawValue:)) ?? sandbox.network
        sandbox.deny =
            value["deny"]?.array?.compactMap(\.string).compactMap { try? SyscallSelector($0) } ?? []
        return sandbox
    }
}
