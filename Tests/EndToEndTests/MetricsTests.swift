import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    /// What `GET /metrics` and `status` say of a supervisor that has worked.
    @Suite("Metrics")
    struct MetricsTests {
        private static func value(_ text: String, _ sample: String) -> Double? {
            let line = text.split(separator: "\n").first { $0.hasPrefix(sample + " ") }
            return line.flatMap { Double($0.dropFirst(sample.utf8.count + 1)) }
        }

        @Test("metrics and status say what was done, and agree")
        func metrics() async throws {
            try await Workbench.serving(prepare: { bench in
                try bench.handler("good", "echo hello\n")
                try bench.handler("bad", "exit 3\n")
                try bench.policy("bad", "pool: other\n")
            }) { bench in
                for _ in 0..<3 { _ = try await bench.finished("good") }
                _ = try await bench.finished("bad")
                let call = APICall(socket: bench.socket)
                let answer = try await call("GET", "/metrics")
                let text = String(decoding: answer.body, as: UTF8.self)
                #expect(answer.status == 200 && answer.head.contains("text/plain; version=0.0.4"))
                let expected: [(String, Double)] = [
                    (#"bulkhead_tasks{pool="default",status="completed"}"#, 3),
                    (#"bulkhead_tasks{pool="other",status="failed"}"#, 1),
                    (#"bulkhead_submits_total{outcome="queued"}"#, 4),
                    ("bulkhead_attempts_started_total", 4),
                    (#"bulkhead_attempts_ended_total{outcome="completed"}"#, 3),
                    (#"bulkhead_attempts_ended_total{outcome="exit"}"#, 1),
                    ("bulkhead_output_bytes_total", 18), ("bulkhead_spool_bytes", 18),
                    ("bulkhead_output_dropped_bytes_total", 0), (#"bulkhead_phase{phase="ready"}"#, 1),
                ]
                for (sample, number) in expected { #expect(Self.value(text, sample) == number, "\(sample)") }
                for sample in [
                    "bulkhead_commit_seconds_count", "bulkhead_database_bytes", "bulkhead_process_open_fds",
                    "bulkhead_process_threads", "bulkhead_process_resident_memory_bytes",
                ] { #expect(Self.value(text, sample) ?? 0 > 0, "\(sample)") }
                let status = try await bench.answer("status")
                #expect(status["attempts"]?["started"] == 4 && status["attempts"]?["ended"]?["exit"] == 1)
                #expect(status["spool"]?["outputBytes"] == 18)
                #expect(status["database"]?["commits"]?.integer ?? 0 > 0)
                let words = try await bench.bulkhead("status")
                for word in ["database", "a commit takes", "descriptors"] {
                    #expect(words.out.contains(word))
                }
                // A query, and a method, that it does not have.
                #expect(try await call("GET", "/metrics?x=1").status == 400)
                #expect(try await call("POST", "/metrics").status == 405)
            }
        }
    }
}
