import BulkheadCore

extension PolicyReader {
    static let sandbox = KeyTable<PolicyDraft>(
        keys: [
            "preset": { value, draft in
                draft.policy.sandbox.preset = value.choice() ?? draft.policy.sandbox.preset
                draft.replaced.append(value)
            },
            "syscalls": { value, draft in
                syscalls.read(value, into: &draft)
                draft.replaced.append(value)
            },
            "seccomp-profile": { value, draft in draft.profile = value },
            "read": { value, draft in draft.policy.sandbox.read = value.paths() },
            "write": { value, draft in draft.policy.sandbox.write = value.paths() },
            "network": { value, draft in draft.network = value.choice() },
            "enforcement": { value, draft in
                draft.policy.sandbox.enforcement = value.choice() ?? draft.policy.sandbox.enforcement
            },
        ]
    )

    private static let syscalls = KeyTable<PolicyDraft>(keys: [
        "allow": { value, draft in draft.policy.sandbox.allow = value.selectors() },
        "deny": { value, draft in
            draft.policy.sandbox.deny = value.selectors()
            draft.deny = value
        },
        "on-denied": { value, draft in
            draft.policy.sandbox.onDenied = value.choice() ?? draft.policy.sandbox.onDenied
        },
    ])
}

extension KeyedValue {
    /// The name of a profile's file beside the policy.
    func profileName() -> String? {
        guard let text = text("the name of a profile's file", bytes: 255) else { return nil }
        guard !text.utf8.contains(UInt8(ascii: "/")) else {
            refuse(
                "\(Self.quoted(text)) is a path; put the profile beside the policy and write its file name"
            )
            return nil
        }
        guard text.hasSuffix(".json"), !text.hasPrefix(".") else {
            refuse("\(Self.quoted(text)) is no profile's name; it ends in .json and begins with no dot")
            return nil
        }
        return text
    }

    /// Names of system calls and groups.
    func selectors() -> [SyscallSelector] {
        guard let entries = list("system calls and @groups", most: Limits.syscallEntries) else { return [] }
        var selectors: [SyscallSelector] = []
        for entry in entries where !findings.isFull {
            if let selector = entry.selector() { selectors.append(selector) }
        }
        return selectors
    }

    private func selector() -> SyscallSelector? {
        guard let text = text("a system call or a @group", bytes: 128) else { return nil }
        do {
            return try SyscallSelector(text)
        } catch {
            let kind = error.isGroup ? "group" : "system call"
            let question = NearestWord.question(error.word, among: error.candidates)
            refuse("unknown \(kind) \(Self.quoted(error.word))\(question)")
            return nil
        }
    }

    /// Absolute, normalised paths.
    func paths() -> [String] {
        guard let entries = list("absolute paths", most: Limits.policyPaths) else { return [] }
        return entries.compactMap { $0.path() }
    }

    /// Judges bytes, as the kernel does: to Swift a slash and a combining mark are one character, and no slash.
    private func path() -> String? {
        guard let text = text("an absolute path", bytes: Limits.pathBytes) else { return nil }
        let slash = UInt8(ascii: "/")
        guard text.utf8.first == slash else {
            refuse("\(Self.quoted(text)) is not an absolute path; it must begin with \"/\"")
            return nil
        }
        let parts = text.utf8.dropFirst().split(separator: slash, omittingEmptySubsequences: false).map(
            Array.init
        )
        guard !parts.contains(Array("..".utf8)) else {
            refuse("\(Self.quoted(text)) must not hold \"..\"; write where it leads")
            return nil
        }
        let named = parts.filter { !$0.isEmpty && $0 != Array(".".utf8) }
        guard named.count == parts.count || text == "/" else {
            let plain = "/" + named.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")
            refuse("\(Self.quoted(text)) is not written plainly; write \(Self.quoted(plain))")
            return nil
        }
        return text
    }
}
