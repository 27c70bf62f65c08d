/// Columns of text, aligned by the width that a terminal gives them.
struct Table {
    /// One column.
    struct Column {
        var title: String
        /// Whether it is pushed to the right, as numbers are.
        var isRight = false
        /// Of the columns that do not fit, those with the highest rank go first; rank 0 always stays.
        var rank = 0
        /// The narrowest it may be cut to where the terminal is too narrow; nil is never cut.
        var least: Int?
    }

    /// One cell: what it says, and how it is set off.
    struct Cell: ExpressibleByStringInterpolation {
        var text: String
        var style: Style?

        init(_ text: String, style: Style? = nil) {
            self.text = text
            self.style = style
        }

        init(stringLiteral text: String) { self.init(text) }
    }

    var columns: [Column]
    var rows: [[Cell]] = []

    init(_ columns: [Column]) { self.columns = columns }

    /// Adds a row with a cell for each column.
    mutating func add(_ row: [Cell]) { rows.append(row) }

    /// The lines for this console: on a terminal no wider than it, elsewhere whole.
    func lines(for console: Console, indentation: Int = 0) -> [String] {
        let shown = rows.map { row in row.map { Cell(console.shown($0.text), style: $0.style) } }
        var widths = columns.indices.map { index in
            max(columns[index].title.displayWidth, shown.map { $0[index].text.displayWidth }.max() ?? 0)
        }
        var kept = Array(columns.indices)
        if console.isTerminal {
            fit(&kept, &widths, into: console.columns - indentation)
        }
        let margin = String(repeating: " ", count: indentation)
        let header = columns.map { Cell($0.title, style: .bold) }
        return ([header] + shown).map { row in
            margin + line(row, kept: kept, widths: widths, console: console)
        }
    }

    /// Leaves columns out by rank, then cuts what may be cut, until all fits.
    private func fit(_ kept: inout [Int], _ widths: inout [Int], into width: Int) {
        func excess() -> Int { kept.map { widths[$0] }.reduce(0, +) + 2 * (kept.count - 1) - width }
        func squeezable() -> Int {
            kept.map { max(widths[$0] - (columns[$0].least ?? .max), 0) }.reduce(0, +)
        }
        while excess() > squeezable(), let last = kept.max(by: { columns[$0].rank < columns[$1].rank }),
            columns[last].rank > 0
        {
            kept.removeAll { $0 == last }
        }
        for index in kept.reversed() where excess() > 0 {
            guard let least = columns[index].least, widths[index] > least else { continue }
            widths[index] -= min(excess(), widths[index] - least)
        }
    }

    /// One row; nothing stands behind its last text.
    private func line(_ row: [Cell], kept: [Int], widths: [Int], console: Console) -> String {
        var line = ""
        var gap = 0
        for index in kept {
            let text = row[index].text.cut(toWidth: widths[index])
            let space = max(widths[index] - text.displayWidth, 0)
            let (before, behind) = columns[index].isRight ? (space, 0) : (0, space)
            if !text.isEmpty {
                let styled = row[index].style.map { console.styled(text, $0) } ?? text
                line += String(repeating: " ", count: gap + before) + styled
                gap = behind + 2
            } else {
                gap += space + 2
            }
        }
        return line
    }
}

extension String {
    /// The columns that a terminal gives the text.
    var displayWidth: Int { reduce(0) { $0 + $1.displayWidth } }

    /// The text, cut so that it is no wider, with a mark where something is gone.
    func cut(toWidth limit: Int) -> String {
        guard displayWidth > limit else { return self }
        var kept = ""
        var width = 1
        for character in self {
            width += character.displayWidth
            guard width <= limit else { break }
            kept.append(character)
        }
        return kept + "…"
    }
}

extension Character {
    /// The columns that a terminal gives it: the widest of its scalars.
    var displayWidth: Int { unicodeScalars.map(\.displayWidth).max() ?? 0 }
}

extension Unicode.Scalar {
    /// Blocks that Unicode Standard Annex 11 gives two columns, as far as whole blocks go.
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115f, 0x2e80...0x303e, 0x3041...0x33ff, 0x3400...0x4dbf, 0x4e00...0x9fff,
        0xa000...0xa4cf, 0xa960...0xa97f, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f,
        0xff00...0xff60, 0xffe0...0xffe6, 0x1f900...0x1f9ff, 0x20000...0x3fffd,
    ]

    fileprivate var displayWidth: Int {
        guard value >= 0x80 else { return 1 }
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break
        }
        let isWide = properties.isEmojiPresentation || Self.wide.contains { $0.contains(value) }
        return isWide ? 2 : 1
    }
}
