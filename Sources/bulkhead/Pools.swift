import ArgumentParser
import BulkheadCore

/// `bulkhead pools`: what each pool may run, runs, and whether it backs off.
struct Pools: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show the pools.")

    @OptionGroup var options: ClientOptions

    func run() async throws {
        let answer = try await options.client().get(["v1", "pools"])
        if options.json { return Console.data.document(answer) }
        let pools = answer.list("pools")
        guard !pools.isEmpty else { return Console.words.line("no pools") }
        for line in PoolTable.lines(pools, now: .now) { Console.data.line(line) }
    }
}
