/// Names and values below one another, the values aligned.
struct Fields {
    private var rows: [(name: String, lines: [String])] = []

    /// Adds a value; nothing where it is empty.
    mutating func add(_ name: String, _ value: String?) {
        guard let value, !value.isEmpty else { return }
        rows.append((name, [value]))
    }

    /// Adds several lines under one name; nothing where there are none.
    mutating func add(_ name: String, lines: [String]) {
        guard !lines.isEmpty else { return }
        rows.append((name, lines))
    }

    /// Writes them, each value's further lines below its first.
    func write(to console: Console) {
        let width = rows.map(\.name.displayWidth).max() ?? 0
        for (name, lines) in rows {
            let space = String(repeating: " ", count: width - name.displayWidth)
            for (index, line) in lines.enumerated() {
                let label =
                    index == 0 ? console.styled(name, .dim) + space : String(repeating: " ", count: width)
                console.line("  \(label)  \(console.shown(line))")
            }
        }
    }
}
