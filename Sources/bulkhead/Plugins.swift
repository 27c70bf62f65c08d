import ArgumentParser
import BulkheadCore

/// `bulkhead plugins`: the task types, and what is wrong with them.
struct Plugins: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the task types with handler, policy, pool and problems."
    )

    @OptionGroup var options: ClientOptions

    func run() async throws {
        let answer = try await options.client().get(["v1", "plugins"])
        if options.json { return Console.data.document(answer) }
        let plugins = answer.list("plugins")
        guard !plugins.isEmpty else {
            return Console.words.line("no handlers; put an executable into the plugins folder")
        }
        for line in table(plugins).lines(for: .data) { Console.data.line(line) }
        for plugin in plugins { remarks(plugin) }
    }

    private func table(_ plugins: [JSONValue]) -> Table {
        var table = Table([
            Table.Column(title: "TYPE", least: 8),
            Table.Column(title: "STATE"),
            Table.Column(title: "POOL"),
            Table.Column(title: "POLICY", rank: 1, least: 12),
            Table.Column(title: "DIGEST", rank: 2),
            Table.Column(title: "DESCRIPTION", rank: 3, least: 16),
        ])
        for plugin in plugins {
            let isUsable = plugin["usable"]?.bool ?? false
            table.add([
                Table.Cell(plugin["type"]?.string ?? "-"),
                isUsable ? Table.Cell("ready", style: .green) : Table.Cell("refused", style: .red),
                Table.Cell(plugin.text("pool")),
                Table.Cell(
                    plugin["policy"]?.string.map(Self.fileName) ?? (plugin["type"] == nil ? "" : "built-in")
                ),
                Table.Cell(String(plugin.text("digest").prefix(12))),
                Table.Cell(plugin.text("description").oneLine),
            ])
        }
        return table
    }

    /// What is wrong, in full and below the table, since no column is wide enough.
    private func remarks(_ plugin: JSONValue) {
        let name = plugin["type"]?.string ?? plugin.text("file")
        for (kind, style, texts) in [
            ("problem", Style.red, plugin.list("problems")), ("warning", .yellow, plugin.list("warnings")),
        ] {
            for text in texts {
                let label = Console.data.styled(kind, style)
                let words = Console.data.shown((text.string ?? text.text).oneLine)
                Console.data.line("\(Console.data.shown(name)): \(label): \(words)")
            }
        }
    }

    private static func fileName(_ path: String) -> String {
        String(path.split(separator: "/").last ?? "")
    }
}
