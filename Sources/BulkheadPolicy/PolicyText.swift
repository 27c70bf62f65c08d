import BulkheadCore

extension Policy {
    /// The policy as a policy file: every key with the value in force, defaults too.
    ///
    /// Reading it gives the same policy. A limit that is not set is named in a comment.
    public var text: String {
        var lines = [
            "pool: \(pool)",
            description.map { "description: \(YAMLText.quoted($0))" },
            "timeout: \(timeout.map(Quantities.text) ?? "0")",
            "grace: \(Quantities.text(grace))",
            "priority: \(priority)",
            "recovery: {mode: \(recovery.mode.rawValue), limit: \(recovery.limit)}",
            "retry: {limit: \(retry.limit), delay: \(Quantities.text(retry.backoff.delay)), "
                + "maximum-delay: \(Quantities.text(retry.backoff.maximum)), "
                + "jitter: \(retry.backoff.jitter.rawValue)}",
            "output: {limit: \(Quantities.text(bytes: output.limit)), on-limit: \(output.onLimit.rawValue)}",
        ].compactMap(\.self)
        lines += sandbox.lines + limits.lines
        lines += environment.isEmpty ? ["environment: {}"] : ["environment:"]
        lines += environment.map { "  \($0.name): \(YAMLText.quoted($0.value))" }
        lines.append(YAMLText.list("arguments", arguments))
        lines.append("user: \(user.text)")
        lines += sha256.map { ["sha256: \(YAMLText.quoted($0))"] } ?? []
        return lines.joined(separator: "\n") + "\n"
    }
}

extension SandboxPolicy {
    fileprivate var lines: [String] {
        let calls =
            profile.map { ["seccomp-profile: \(YAMLText.quoted($0.name))"] } ?? [
                "preset: \(preset.rawValue)",
                "syscalls:",
                YAMLText.list("  allow", allow.map(\.description)),
                YAMLText.list("  deny", deny.map(\.description)),
                "  on-denied: \(onDenied.rawValue)",
            ]
        let inner =
            calls + [
                YAMLText.list("read", read),
                YAMLText.list("write", write),
                "network: \(network.rawValue)",
                "enforcement: \(enforcement.rawValue)",
            ]
        return ["sandbox:"] + inner.map { "  \($0)" }
    }
}

extension ResourceLimits {
    fileprivate var lines: [String] {
        let all: [(name: String, value: String?)] = [
            ("memory", memory.map { Quantities.text(bytes: $0) }),
            ("cpu", cpu.map(Quantities.text)),
            ("processes", processes.map { "\($0)" }),
            ("open-files", openFiles.map { "\($0)" }),
            ("file-size", fileSize.map { Quantities.text(bytes: $0) }),
            ("scratch", scratch.map { Quantities.text(bytes: $0) }),
        ]
        let set = all.compactMap { limit in limit.value.map { "  \(limit.name): \($0)" } }
        let unset = all.filter { $0.value == nil }.map(\.name)
        return [set.isEmpty ? "limits: {}" : "limits:"] + set
            + (unset.isEmpty ? [] : ["  # no limit: \(unset.joined(separator: ", "))"])
    }
}

extension HandlerUser {
    fileprivate var text: String {
        switch self {
        case .dynamic: "dynamic"
        case .named(let name): YAMLText.quoted(name)
        }
    }
}
