import BulkheadCore

/// Reads OCI seccomp profiles: strict, and with everything that is wrong told at once.
public enum ProfileReader {
    /// Lists and objects that may nest; the deepest member of any profile is at 5.
    private static let depth = 16
    /// Entries of `syscalls`.
    private static let mostEntries = 16_384

    /// Reads a profile's text for a host.
    /// - Parameters:
    ///   - bytes: The text, at most ``Limits/profileBytes``.
    ///   - name: The file's name as the policy writes it.
    ///   - file: The file's name, for messages.
    ///   - host: The host on which it is to hold.
    /// - Returns: The profile.
    /// - Throws: What is wrong, at least one diagnostic.
    public static func read(
        _ bytes: [UInt8],
        name: String,
        file: String,
        host: ProfileHost
    ) throws(PolicyDiagnostics) -> SeccompProfile {
        guard bytes.count <= Limits.profileBytes else {
            let message = "the file has \(bytes.count) bytes, and \(Limits.profileBytes) are the most"
            throw PolicyDiagnostics(PolicyDiagnostic(file: file, line: 1, column: 1, message: message))
        }
        let notes = ProfileNotes(bytes, file: file)
        let profile = profile(try root(bytes, notes), named: name, host)
        try notes.findings.conclude()
        guard let profile else { preconditionFailure("a profile without a default action has a finding") }
        return profile
    }

    private static func root(
        _ bytes: [UInt8],
        _ notes: ProfileNotes
    ) throws(PolicyDiagnostics) -> ProfileValue {
        do {
            let json = try JSONParser.parseLocated(bytes, depthLimit: depth)
            return ProfileValue(json: json, key: "", notes: notes)
        } catch {
            notes.refuse("this JSON is not taken: \(error.reason)", at: error.offset)
            try notes.findings.conclude()
            preconditionFailure("a text that is no JSON has a finding")
        }
    }

    private static func profile(
        _ root: ProfileValue,
        named name: String,
        _ host: ProfileHost
    ) -> SeccompProfile? {
        if case .object(let members, _) = root.json, members.contains(where: { $0.name == "linux" }) {
            root.refuse("this is a whole OCI configuration; the profile is its member linux.seccomp alone")
            return nil
        }
        guard let members = root.members(knownMembers) else { return nil }
        guard let value = members["defaultAction"] else {
            root.refuse("defaultAction is missing; without it no call has a meaning")
            return nil
        }
        let errno = ErrnoMembers(members["defaultErrnoRet"], members["defaultErrno"])
        readArchitectures(members, host)
        readIgnored(members)
        guard let fallback = Self.fallback(value, errno) else { return nil }
        var entries = ProfileEntries(host, fallback: fallback)
        for entry in members["syscalls"]?.list("entries", most: mostEntries) ?? [] {
            guard !entry.notes.findings.isFull else { break }
            entries.read(entry)
        }
        return SeccompProfile(
            name: name,
            file: root.notes.findings.file,
            architecture: host.architecture,
            fallback: fallback,
            fallbackLine: value.line,
            entries: entries.counting,
            newest: entries.newest,
            warnings: root.notes.warnings.all.sorted { ($0.line, $0.column) < ($1.line, $1.column) }
        )
    }

    /// `defaultAction`; its ENOSYS is recorded, since a profile means to refuse what it does not name.
    private static func fallback(_ value: ProfileValue, _ errno: ErrnoMembers) -> Verdict? {
        guard let action = value.action() else { return nil }
        guard action == .errno else { return value.verdict(action, errno) }
        return errno.value(for: action).map { $0 == 0 ? .fail(errno: 0) : .denyWith(errno: $0) }
    }

    private static let knownMembers = [
        "defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap", "syscalls", "flags",
        "listenerPath", "listenerMetadata", "comment",
    ]

    /// Entries of this architecture are filtered and all others killed, whatever a profile lists; what it lists
    /// must be architectures.
    private static func readArchitectures(_ members: [String: ProfileValue], _ host: ProfileHost) {
        var listed: [String] = []
        for value in members["architectures"]?.list("architectures", most: 64) ?? [] {
            listed += value.architecture().map { [$0] } ?? []
        }
        for value in members["archMap"]?.list("architectures", most: 64) ?? [] {
            guard let map = value.members(["architecture", "subArchitectures"]) else { continue }
            if let name = map["architecture"]?.architecture() { listed.append(name) }
            for sub in map["subArchitectures"]?.list("architectures", most: 64) ?? [] {
                _ = sub.architecture()
            }
        }
        let own = host.architecture.profileName
        guard !listed.isEmpty, !listed.contains(own), !listed.contains("SCMP_ARCH_NATIVE") else { return }
        (members["architectures"] ?? members["archMap"])?.warn(
            "\(own), which is this host's, is not among them; the rules hold for it all the same, as under runc"
        )
    }

    private static func readIgnored(_ members: [String: ProfileValue]) {
        for value in members["flags"]?.list("flags", most: 16) ?? [] {
            switch value.word(among: knownFlags) {
            case "SECCOMP_FILTER_FLAG_LOG":
                value.warn("it has no effect: what is denied is in the task's record")
            case "SECCOMP_FILTER_FLAG_SPEC_ALLOW":
                value.warn(
                    "it has no effect: the mitigation of speculative store bypass stays as the host has it"
                )
            default: break
            }
        }
        for name in ["listenerPath", "listenerMetadata"] where members[name]?.text(bytes: 4_096) != nil {
            members[name]?.warn("it has no effect: nothing here asks an agent")
        }
        _ = members["comment"]?.text(bytes: Limits.messageBytes)
    }

    /// The first and the last are so in any case: a filter holds for all of a handler's threads, and its listener
    /// waits in a way that only a fatal signal ends.
    private static let knownFlags = [
        "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ]
}

/// The two ways in which an errno is written: a number, and Podman's name of it.
struct ErrnoMembers {
    private let number: ProfileValue?
    private let name: ProfileValue?

    /// Podman writes an empty name where it means none.
    init(_ number: ProfileValue?, _ name: ProfileValue?) {
        self.number = number
        if case .scalar(.string(""), _) = name?.json { self.name = nil } else { self.name = name }
    }

    /// The errno of an action that takes one: EPERM where none is written; nil after a finding.
    func value(for action: ProfileAction) -> UInt16? {
        guard action.takesErrno else {
            guard let written = number ?? name else { return 0 }
            written.refuse("\(action.rawValue) takes no errno")
            return nil
        }
        var written: [UInt16] = []
        if let number {
            guard let value = number.number(most: Self.largest) else { return nil }
            written.append(UInt16(value))
        }
        if let name {
            guard let value = Self.read(name) else { return nil }
            written.append(value)
        }
        guard Set(written).count <= 1 else {
            name?.refuse("this is \(written[1]), and the number beside it is \(written[0]); keep one")
            return nil
        }
        return written.first ?? 1
    }

    /// A name such as `EPERM`, or digits, as Podman takes them.
    private static func read(_ value: ProfileValue) -> UInt16? {
        guard let text = value.text("the name of an errno") else { return nil }
        if let number = UInt64(text), number <= largest { return UInt16(number) }
        guard let number = Errno.number(of: text) else {
            let nearest = NearestWord.question(text, among: Errno.all)
            value.refuse("\(KeyedValue.quoted(text)) is no errno\(nearest)")
            return nil
        }
        return number
    }

    /// MAX_ERRNO of the kernel (linux/err.h); a filter's errno is cut to it.
    private static let largest: UInt64 = 4_095
}

extension ProfileValue {
    /// An action that can be had here; nil after a finding.
    func action() -> ProfileAction? {
        guard let word = word(among: ProfileAction.allCases.map(\.rawValue)),
            let action = ProfileAction(rawValue: word)
        else { return nil }
        if let refusal = action.refusal {
            refuse("\(word) \(refusal)")
            return nil
        }
        return action
    }

    /// What an action comes to; nil after a finding.
    func verdict(_ action: ProfileAction, _ errno: ErrnoMembers) -> Verdict? {
        guard let number = errno.value(for: action) else { return nil }
        switch action {
        case .allow: return .allow
        case .log: return .log
        case .errno: return Self.undenying.contains(number) ? .fail(errno: number) : .denyWith(errno: number)
        case .kill, .killThread, .killProcess: return .denyAndEnd
        case .trap: return .trap
        case .trace, .notify: return nil
        }
    }

    /// The errnos that deny nothing: 0, by which the call seems to succeed, and ENOSYS, by which a library takes
    /// its older way.
    private static let undenying: Set<UInt16> = [0, 38]

    fileprivate func architecture() -> String? { word(among: Architecture.profileNames) }
}
