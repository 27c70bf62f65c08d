import BulkheadCore
import SeededRandom

/// A handler that clients submit, and what it does when nothing gets in its way.
struct TortureType: Sendable {
    var name: String
    /// What follows the lines that every handler begins with.
    var script: String
    var pool = "default"
    var rehydrates = true
    /// Losses in a row after which it is poison.
    var lossLimit: Int64 = 1000
    /// Retries of a run beyond its first attempt.
    var retries: Int64 = 0
    /// What its policy has besides.
    var policy = ""
    /// The reason of its failure; nil where it completes.
    var reason: String?
    var result: JSONValue?
    /// Whether it goes on until it is cancelled.
    var isEndless = false
    /// What it writes, whole; nil where it ends without having written all.
    var stdout: [UInt8] = []
    var stderr: [UInt8] = []
    /// The bytes of output that are kept of a task of it.
    var outputLimit: Int64?
    /// How often clients draw it.
    var weight = 1
    /// Whether the end of the attempt cuts what it writes.
    var isCut: Bool { isEndless || reason == "timeout" }
}

extension TortureType {
    /// Bytes of every value, which no line and no text ends: SplitMix64 of a fixed seed.
    static let pattern: [UInt8] = {
        var random = SeededRandom(seed: 7)
        return (0..<40_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }()

    private static let lines = (0..<200).map { "line \($0)\n" }.joined()

    /// Every kind of handler; `files` holds the pattern.
    static func all(files: String) -> [TortureType] {
        let pattern = "cat '\(files)/pattern'\n"
        let count = "i=0; while [ $i -lt 200 ]; do echo \"line $i\"; i=$((i+1)); done\n"
        return [
            TortureType(name: "quick", script: "", weight: 6),
            TortureType(
                name: "lines",
                script: count + "sleep 0.05\necho end\n",
                pool: "talk",
                stdout: Array((lines + "end\n").utf8),
                weight: 3
            ),
            TortureType(
                name: "binary",
                script: pattern + "sleep 0.1\n" + pattern + "cat '\(files)/pattern' >&2\n",
                pool: "talk",
                stdout: Self.pattern + Self.pattern,
                stderr: Self.pattern,
                weight: 2
            ),
            TortureType(
                name: "flood",
                script: pattern + pattern + pattern + pattern,
                pool: "talk",
                policy: "output: {limit: 64KiB}\n",
                stdout: Self.pattern + Self.pattern + Self.pattern + Self.pattern,
                outputLimit: 65_536
            ),
            TortureType(
                name: "once",
                script: "echo '{\"result\":{\"sum\":42}}' >&3\nsleep 0.2\n",
                pool: "slow",
                rehydrates: false,
                result: ["sum": 42],
                weight: 2
            ),
            TortureType(name: "slow", script: "sleep 0.3\n", pool: "slow", lossLimit: 2, weight: 2),
            TortureType(
                name: "flaky",
                script: "exit 75\n",
                retries: 2,
                policy: "retry: {limit: 2, delay: 5ms}\n",
                reason: "exit",
                weight: 2
            ),
            TortureType(name: "bad", script: "exit 65\n", pool: "frail", reason: "exit"),
            TortureType(
                name: "forks",
                script: "sleep 600 &\nsetsid sh -c 'sleep 600 & sleep 600' &\nexit 0\n",
                weight: 2
            ),
            TortureType(
                name: "late",
                script: "sleep 600\n",
                pool: "slow",
                rehydrates: false,
                policy: "timeout: 300ms\ngrace: 50ms\n",
                reason: "timeout"
            ),
            TortureType(name: "endless", script: "sleep 600\n", pool: "endless", isEndless: true),
        ]
    }

    /// The rule of recovery, as a policy says it.
    var recovery: String {
        rehydrates ? "recovery: {mode: rehydrate, limit: \(lossLimit)}\n" : "recovery: interrupt\n"
    }
}
