import BulkheadCore
import Foundation
import Testing

@testable import BulkheadAPI

/// Reads Prometheus's text format strictly, as its documentation has it.
struct MetricsReader {
    struct Sample: Equatable {
        var name: String
        var labels: [String: String]
        var value: Double
    }

    struct Wrong: Error, CustomStringConvertible {
        var description: String
    }

    private(set) var kinds: [String: String] = [:]
    private(set) var samples: [Sample] = []

    init(_ text: String) throws {
        guard text.hasSuffix("\n") else { throw Wrong(description: "the last line does not end") }
        var family: String?
        var helped: String?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(
                String.init
            )
            if line.hasPrefix("# HELP ") {
                guard words.count == 4, !words[3].isEmpty, kinds[words[2]] == nil else {
                    throw Wrong(description: String(line))
                }
                helped = words[2]
            } else if line.hasPrefix("# TYPE ") {
                guard words.count == 4, words[2] == helped, kinds[words[2]] == nil,
                    ["counter", "gauge", "histogram"].contains(words[3])
                else { throw Wrong(description: String(line)) }
                kinds[words[2]] = words[3]
                family = words[2]
            } else {
                let sample = try Self.sample(line)
                let base = try base(of: sample.name)
                guard base == family else { throw Wrong(description: "\(line) is not in its family") }
                guard !samples.contains(where: { $0.name == sample.name && $0.labels == sample.labels })
                else {
                    throw Wrong(description: "\(line) is there twice")
                }
                samples.append(sample)
            }
        }
        try checkHistograms()
    }

    /// The value of the one sample with this name and these labels.
    func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        samples.first { $0.name == name && $0.labels == labels }?.value
    }

    private func base(of name: String) throws -> String {
        if kinds[name] != nil { return name }
        for suffix in ["_bucket", "_sum", "_count"] where name.hasSuffix(suffix) {
            let base = String(name.dropLast(suffix.count))
            if kinds[base] == "histogram" { return base }
        }
        throw Wrong(description: "\(name) has no type")
    }

    private static func sample(_ line: Substring) throws -> Sample {
        guard let end = line.lastIndex(of: " "), let value = number(line[line.index(after: end)...]) else {
            throw Wrong(description: String(line))
        }
        var head = line[..<end]
        var labels: [String: String] = [:]
        if let open = head.firstIndex(of: "{") {
            guard head.hasSuffix("}") else { throw Wrong(description: String(line)) }
            labels = try Self.labels(head[head.index(after: open)...].dropLast())
            head = head[..<open]
        }
        guard head.wholeMatch(of: /[a-zA-Z_:][a-zA-Z0-9_:]*/) != nil else {
            throw Wrong(description: String(line))
        }
        return Sample(name: String(head), labels: labels, value: value)
    }

    private static func number(_ text: Substring) -> Double? {
        switch text {
        case "+Inf": .infinity
        case "-Inf": -.infinity
        case "NaN": .nan
        default: Double(text)
        }
    }

    private static func labels(_ text: Substring) throws -> [String: String] {
        var rest = text
        var labels: [String: String] = [:]
        while let match = rest.prefixMatch(of: /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/) {
            guard labels.updateValue(String(match.2), forKey: String(match.1)) == nil else { break }
            rest = rest[match.range.upperBound...]
        }
        guard rest.isEmpty else { throw Wrong(description: "labels: \(text)") }
        return labels
    }

    private func checkHistograms() throws {
        for (name, kind) in kinds where kind == "histogram" {
            let buckets = samples.filter { $0.name == name + "_bucket" }
            let bounds = buckets.compactMap { $0.labels["le"].flatMap { Self.number($0[...]) } }
            guard bounds.count == buckets.count, bounds == bounds.sorted(), bounds.last == .infinity,
                buckets.map(\.value) == buckets.map(\.value).sorted(),
                buckets.last?.value == value(name + "_count"), value(name + "_sum") != nil
            else { throw Wrong(description: "the histogram \(name)") }
        }
    }
}

@Suite("MetricsText")
struct MetricsTextTests {
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    private func report() throws -> SupervisorReport {
        let pool = try PoolName("media")
        var health = PoolHealth()
        health.failures = 3
        health.backoffUntil = now + .seconds(90)
        var report = SupervisorReport(
            version: "1.2\"3\\",
            pid: 7,
            startedAt: now + .seconds(-60),
            phase: .ready,
            stateFolder: "/s",
            pluginsFolder: "/p",
            policiesFolder: "/q",
            counts: [.failed: 2],
            spoolBytes: 10,
            spoolCap: 100,
            recovery: RecoveryReport(),
            pools: [
                PoolReport(
                    name: pool,
                    settings: PoolSettings(concurrency: 4),
                    isConfigured: true,
                    running: 1,
                    queued: 2,
                    health: health
                )
            ],
            problems: ["one"]
        )
        report.store.tasks = [pool: [.failed: 2, .queued: 1]]
        report.store.pendingMessages = 5
        report.store.oldestPending = now + .seconds(-12)
        report.store.droppedBytes = 77
        report.store.counters.ended = [nil: 4, .timeout: 1]
        report.store.counters.denied = 9
        for milliseconds in [1, 1, 3, 20, 60_000] {
            report.store.commits.note(mutations: 2, took: .milliseconds(milliseconds))
        }
        report.process = ProcessMeasures(
            descriptors: 10,
            descriptorLimit: 20,
            threads: 5,
            residentBytes: 4_096,
            cpuSeconds: 1.5
        )
        return report
    }

    @Test("the text is of Prometheus's format, each family once, with its help and its type")
    func format() throws {
        let read = try MetricsReader(MetricsText(try report(), now: now).text)
        #expect(read.kinds.count > 30)
        #expect(read.kinds.keys.allSatisfy { $0.hasPrefix("bulkhead_") })
        #expect(read.kinds.allSatisfy { ($1 == "counter") == $0.hasSuffix("_total") })
    }

    @Test("each sample says what the report says")
    func samples() throws {
        let read = try MetricsReader(MetricsText(try report(), now: now).text)
        #expect(read.value("bulkhead_build_info", ["version": #"1.2\"3\\"#]) == 1)
        #expect(read.value("bulkhead_phase", ["phase": "ready"]) == 1)
        #expect(read.value("bulkhead_phase", ["phase": "stopping"]) == 0)
        #expect(read.value("bulkhead_uptime_seconds") == 60)
        #expect(read.value("bulkhead_tasks", ["pool": "media", "status": "failed"]) == 2)
        #expect(read.value("bulkhead_tasks", ["pool": "media", "status": "running"]) == 0)
        #expect(read.value("bulkhead_pool_queued", ["pool": "media"]) == 2)
        #expect(read.value("bulkhead_pool_running", ["pool": "media"]) == 1)
        #expect(read.value("bulkhead_pool_failures", ["pool": "media"]) == 3)
        #expect(read.value("bulkhead_pool_backoff_seconds", ["pool": "media"]) == 90)
        #expect(read.value("bulkhead_attempts_ended_total", ["outcome": "completed"]) == 4)
        #expect(read.value("bulkhead_attempts_ended_total", ["outcome": "timeout"]) == 1)
        #expect(read.value("bulkhead_attempts_ended_total", ["outcome": "memory"]) == 0)
        #expect(read.value("bulkhead_denied_calls_total") == 9)
        #expect(read.value("bulkhead_output_dropped_bytes_total") == 77)
        #expect(read.value("bulkhead_spool_cap_bytes") == 100)
        #expect(read.value("bulkhead_outbox_pending_messages") == 5)
        #expect(read.value("bulkhead_outbox_oldest_pending_seconds") == 12)
        #expect(read.value("bulkhead_commit_seconds_bucket", ["le": "0.001"]) == 2)
        #expect(read.value("bulkhead_commit_seconds_bucket", ["le": "0.005"]) == 3)
        #expect(read.value("bulkhead_commit_seconds_bucket", ["le": "5"]) == 4)
        #expect(read.value("bulkhead_commit_seconds_bucket", ["le": "+Inf"]) == 5)
        #expect(read.value("bulkhead_commit_seconds_sum") == 60.025)
        #expect(read.value("bulkhead_committed_mutations_total") == 10)
        #expect(read.value("bulkhead_process_resident_memory_bytes") == 4_096)
        #expect(read.value("bulkhead_process_cpu_seconds_total") == 1.5)
    }

    @Test("the reader of these tests refuses what is not of the format")
    func reader() {
        for wrong in [
            "a 1", "# TYPE a gauge\na 1\n", "# HELP a b\n# TYPE a gauge\nb 1\n",
            "# HELP a b\n# TYPE a gauge\na{x=\"1} 1\n", "# HELP a b\n# TYPE a gauge\na x\n",
            "# HELP a b\n# TYPE a gauge\na 1\na 2\n", "# HELP a b\n# TYPE a thing\na 1\n",
        ] {
            #expect(throws: MetricsReader.Wrong.self) { _ = try MetricsReader(wrong) }
        }
    }
}
