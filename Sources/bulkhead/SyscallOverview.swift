/// What a policy says of all system calls, those together that meet the same for the same reason.
struct SyscallOverview {
    private let groups: [(heading: String, names: [String])]
    private let warnings: [String]

    init(_ answers: [SyscallAnswer], _ warnings: [String]) {
        var order: [String] = []
        var names: [String: [String]] = [:]
        for answer in answers {
            let heading = "\(answer.summary), because \(answer.reason.block)"
            if names[heading] == nil { order.append(heading) }
            names[heading, default: []].append(answer.name)
        }
        groups = order.map { ($0, (names[$0] ?? []).sorted()) }.sorted { $0.names.count > $1.names.count }
        self.warnings = warnings
    }

    /// The overview as comments of a policy file.
    var text: String {
        let blocks = groups.map { group in
            (["\(group.heading):"] + Self.lines(group.names).map { "  \($0)" })
        }
        let notes = warnings.map { ["note: \($0)"] }
        return (notes + blocks).map { lines in
            "\n" + lines.map { "# \($0)\n" }.joined()
        }.joined()
    }

    /// Names, as many on a line as a terminal shows.
    private static func lines(_ names: [String]) -> [String] {
        names.reduce(into: [String]()) { lines, name in
            if let last = lines.last, last.utf8.count + name.utf8.count < 96 {
                lines[lines.count - 1] += " \(name)"
            } else {
                lines.append(name)
            }
        }
    }
}
