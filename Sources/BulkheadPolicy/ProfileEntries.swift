import BulkheadCore

/// The entries of a profile's `syscalls`, read one after another.
struct ProfileEntries {
    /// Those that count on the host.
    private(set) var counting: [SeccompProfile.Entry] = []
    /// The highest number that any of them names.
    private(set) var newest: UInt32 = 0

    private let host: ProfileHost
    private let table: SyscallTable
    private let fallback: Verdict
    private var combinations = 0

    init(_ host: ProfileHost, fallback: Verdict) {
        self.host = host
        self.fallback = fallback
        table = SyscallTable.table(of: host.architecture)
    }

    private static let knownMembers = [
        "names", "name", "action", "errnoRet", "errno", "args", "includes", "excludes", "comment",
    ]
    private static let mostNames = 4_096
    private static let mostArguments = 64
    /// Combinations of arguments in all: more than a filter of the kernel's length can tell apart.
    private static let mostCombinations = 2_048

    /// Reads an entry; what is wrong with it is noted.
    mutating func read(_ entry: ProfileValue) {
        guard let members = entry.members(Self.knownMembers) else { return }
        _ = members["comment"]?.text(bytes: Limits.messageBytes)
        let applies = applies(members)
        guard let verdict = verdict(entry, members) else { return }
        let names = names(entry, members, verdict)
        let cases = members["args"].map { self.cases($0) } ?? []
        guard applies, !names.isEmpty else { return }
        if !cases.isEmpty, combinations <= Self.mostCombinations {
            combinations += cases.count * names.count
            guard combinations <= Self.mostCombinations else {
                entry.refuse(
                    "up to here the profile has \(combinations) combinations of calls and arguments, and "
                        + "\(Self.mostCombinations) are the most"
                )
                return
            }
        }
        counting.append(SeccompProfile.Entry(names: names, cases: cases, verdict: verdict, line: entry.line))
    }

    private func verdict(_ entry: ProfileValue, _ members: [String: ProfileValue]) -> Verdict? {
        guard let value = members["action"] else {
            entry.refuse("action is missing")
            return nil
        }
        guard let action = value.action() else { return nil }
        return value.verdict(action, ErrnoMembers(members["errnoRet"], members["errno"]))
    }

    // MARK: Names

    private mutating func names(
        _ entry: ProfileValue,
        _ members: [String: ProfileValue],
        _ verdict: Verdict
    ) -> [String: Int] {
        var found: [String: Int] = [:]
        for value in written(entry, members) {
            guard let name = value.text("the name of a system call") else { continue }
            if let call = table.syscall(named: name) {
                newest = max(newest, call.number)
                found[name] = found[name] ?? value.line
            } else if !SyscallTable.knows(name: name), !ForeignSyscalls.knows(name) {
                note(unknown: name, value, verdict)
            }
        }
        return found
    }

    /// The values of `names`, or of Docker's older `name`.
    private func written(_ entry: ProfileValue, _ members: [String: ProfileValue]) -> [ProfileValue] {
        switch (members["names"], members["name"]) {
        case (let names?, nil):
            guard let values = names.list("names of system calls", most: Self.mostNames) else { return [] }
            if values.isEmpty { names.refuse("the list is empty, so the entry says nothing") }
            return values
        case (nil, let name?): return [name]
        case (_?, let name?):
            name.refuse("name and names are both there; keep one")
            return []
        case (nil, nil):
            entry.refuse("names is missing")
            return []
        }
    }

    /// Notes a name that no table has.
    ///
    /// Such a call cannot be given, which is worth knowing. Where everything else is given it cannot be denied
    /// either, and that is a hole.
    private func note(unknown name: String, _ value: ProfileValue, _ verdict: Verdict) {
        let nearest = NearestWord.question(name, among: SyscallTable.allNames)
        let message = "no architecture has a system call \(KeyedValue.quoted(name))\(nearest)"
        if fallback.passes, !verdict.passes {
            value.refuse(message)
        } else {
            value.warn(message)
        }
    }

    // MARK: Arguments

    /// The combinations; more than one where an argument is asked for twice.
    private func cases(_ value: ProfileValue) -> [ArgumentCase] {
        guard let values = value.list("conditions", most: Self.mostArguments) else { return [] }
        let conditions = values.compactMap { condition($0) }
        guard Set(conditions.map(\.index)).count < conditions.count else {
            return conditions.isEmpty ? [] : [ArgumentCase(conditions)]
        }
        value.warn(
            "an argument is asked for twice, so that any one of these conditions suffices, as under runc"
        )
        return conditions.map { ArgumentCase($0) }
    }

    private func condition(_ value: ProfileValue) -> ArgumentCondition? {
        guard let members = value.members(["index", "value", "valueTwo", "op"]) else { return nil }
        let missing = ["index", "value", "op"].filter { members[$0] == nil }
        guard missing.isEmpty, let index = members["index"], let datum = members["value"],
            let op = members["op"]
        else {
            value.refuse("\(missing.joined(separator: " and ")) \(missing.count == 1 ? "is" : "are") missing")
            return nil
        }
        let second = members["valueTwo"].map { $0.number() } ?? 0
        guard let place = index.number(most: 5), let first = datum.number(), let second,
            let word = op.word(among: ProfileOperator.allCases.map(\.rawValue)),
            let comparison = ProfileOperator(rawValue: word)
        else { return nil }
        return condition(Int(place), comparison, first, second, members["valueTwo"] ?? value)
    }

    private func condition(
        _ index: Int,
        _ comparison: ProfileOperator,
        _ first: UInt64,
        _ second: UInt64,
        _ place: ProfileValue
    ) -> ArgumentCondition? {
        if let plain = comparison.comparison {
            if second != 0 { place.warn("valueTwo means something to SCMP_CMP_MASKED_EQ alone") }
            return ArgumentCondition(index, plain, first)
        }
        guard second & ~first == 0 else {
            place.refuse("valueTwo has bits that the mask in value leaves out, so the condition never holds")
            return nil
        }
        return ArgumentCondition(index, mask: first, is: second)
    }

    // MARK: Includes and excludes

    /// Whether an entry counts on this host, by Docker's rules.
    private func applies(_ members: [String: ProfileValue]) -> Bool {
        let includes = members["includes"].flatMap { ProfileConditions($0) }
        let excludes = members["excludes"].flatMap { ProfileConditions($0) }
        if let includes, !includes.isMet(on: host) { return false }
        return excludes.map { !$0.isTouched(on: host) } ?? true
    }
}

/// What an entry asks of the host, or excludes.
private struct ProfileConditions {
    private var architectures: [String] = []
    private var needsCapabilities = false
    private var kernel: KernelVersion?

    init?(_ value: ProfileValue) {
        guard let members = value.members(["arches", "caps", "minKernel"]) else { return nil }
        architectures = (members["arches"]?.list("architectures", most: 64) ?? []).compactMap {
            $0.word(among: Architecture.goNames)
        }
        for capability in members["caps"]?.list("capabilities", most: 64) ?? [] {
            needsCapabilities = true
            guard let name = capability.text("a capability") else { continue }
            if !name.hasPrefix("CAP_") { capability.refuse("a capability is written as CAP_SYS_ADMIN is") }
        }
        kernel = members["minKernel"].flatMap(Self.version)
    }

    /// Whether everything that is asked for is there: a handler has no capability.
    func isMet(on host: ProfileHost) -> Bool {
        (architectures.isEmpty || architectures.contains(host.architecture.goName))
            && !needsCapabilities && (kernel ?? host.kernel) <= host.kernel
    }

    /// Whether anything of what is excluded is there.
    func isTouched(on host: ProfileHost) -> Bool {
        architectures.contains(host.architecture.goName) || kernel.map { $0 <= host.kernel } ?? false
    }

    private static func version(_ value: ProfileValue) -> KernelVersion? {
        guard let text = value.text("a version of Linux") else { return nil }
        guard let version = KernelVersion(release: text), version.description == text else {
            value.refuse("\(KeyedValue.quoted(text)) is not a version such as \"4.8\"")
            return nil
        }
        return version
    }
}
