/// The groups of system calls that a policy may name, with systemd's names.
public enum SyscallGroups {
    /// The names of all groups, each with its `@`, sorted.
    public static let names: [String] = (direct.keys + [everything]).sorted()

    /// The group of every call that the tables know.
    private static let everything = "@known"

    /// The members of a group, groups within it resolved.
    ///
    /// - Parameter name: The name of the group, with its `@`.
    /// - Returns: Names of system calls, of every architecture; nil where there is no such group.
    public static func members(of name: String) -> Set<String>? {
        name == everything ? Set(SyscallTable.allNames) : resolved[name]
    }

    /// The groups that hold a call, sorted; `@known` is not among them.
    ///
    /// - Parameter call: The name of a system call.
    /// - Returns: The names of its groups.
    public static func groups(holding call: String) -> [String] {
        resolved.filter { $0.value.contains(call) }.map(\.key).sorted()
    }

    private static let direct: [String: [String]] = {
        var groups: [String: [String]] = [:]
        var current = ""
        for word in text.split(whereSeparator: \.isWhitespace).map(String.init) {
            if word.hasSuffix(":") {
                current = String(word.dropLast())
                groups[current] = []
            } else {
                groups[current, default: []].append(word)
            }
        }
        return groups
    }()

    private static let resolved = direct.mapValues { flattened($0) }

    /// Follows groups within groups; systemd nests them two deep, without cycles.
    private static func flattened(_ members: [String]) -> Set<String> {
        members.reduce(into: []) { names, member in
            guard member.hasPrefix("@") else {
                names.insert(member)
                return
            }
            names.formUnion(flattened(direct[member] ?? []))
        }
    }
}

/// One entry of a policy's `allow` or `deny`: a system call or a group, taken in or, with `!`, taken out again.
public struct SyscallSelector: Sendable, Hashable, CustomStringConvertible {
    /// What an entry names.
    public enum Subject: Sendable, Hashable {
        /// One system call, without prefix.
        case name(String)
        /// A group, with its `@`.
        case group(String)
    }

    /// What it names.
    public let subject: Subject
    /// Whether it takes out what the entries before it put in.
    public let isNegated: Bool

    /// A system call's name, taken in.
    ///
    /// - Parameter name: The name, not checked against the tables.
    /// - Returns: The entry.
    public static func name(_ name: String) -> SyscallSelector {
        SyscallSelector(subject: .name(name), isNegated: false)
    }

    /// A group, taken in.
    ///
    /// - Parameter name: The group with its `@`, not checked against the groups.
    /// - Returns: The entry.
    public static func group(_ name: String) -> SyscallSelector {
        SyscallSelector(subject: .group(name), isNegated: false)
    }

    /// Makes an entry.
    ///
    /// - Parameters:
    ///   - subject: What it names.
    ///   - isNegated: Whether it takes out what the entries before it put in.
    public init(subject: Subject, isNegated: Bool) {
        self.subject = subject
        self.isNegated = isNegated
    }

    /// Reads an entry as a policy writes it: `read`, `@file-system`, `!read`.
    ///
    /// - Parameter text: The entry.
    /// - Throws: ``Unknown`` with the candidates for a nearest word, where no architecture has the call or
    ///   there is no such group.
    public init(_ text: String) throws(Unknown) {
        let isNegated = text.hasPrefix("!")
        let word = isNegated ? String(text.dropFirst()) : text
        if word.hasPrefix("@") {
            guard SyscallGroups.members(of: word) != nil else { throw Unknown(word: word, isGroup: true) }
            self.init(subject: .group(word), isNegated: isNegated)
        } else {
            guard SyscallTable.knows(name: word) else { throw Unknown(word: word, isGroup: false) }
            self.init(subject: .name(word), isNegated: isNegated)
        }
    }

    /// The entry as a policy writes it.
    public var description: String {
        let word =
            switch subject {
            case .name(let name), .group(let name): name
            }
        return isNegated ? "!\(word)" : word
    }

    /// A word that names no system call and no group.
    public struct Unknown: Error, Sendable, Equatable {
        /// The word, without `!`.
        public let word: String
        /// Whether it was written as a group.
        public let isGroup: Bool

        /// The right words that the nearest one is sought among.
        public var candidates: [String] { isGroup ? SyscallGroups.names : SyscallTable.allNames }
    }

    /// The calls that a list of entries names, each later entry adding to or taking from the earlier ones.
    ///
    /// A list that begins with a negated entry takes from nothing: it stays empty.
    ///
    /// - Parameter entries: The list, in the policy's order.
    /// - Returns: Names of system calls.
    public static func names(of entries: [SyscallSelector]) -> Set<String> {
        entries.reduce(into: []) { names, entry in
            let named: Set<String> =
                switch entry.subject {
                case .name(let name): [name]
                case .group(let group): SyscallGroups.members(of: group) ?? []
                }
            if entry.isNegated { names.subtract(named) } else { names.formUnion(named) }
        }
    }
}
