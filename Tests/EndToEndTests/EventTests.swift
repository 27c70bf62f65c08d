import BulkheadCore
import Foundation
import Testing

extension EndToEnd {
    @Suite("Events")
    struct EventTests {
        @Test(
            "a task's events tell its status and output as they come, end with it, and resume",
            .timeLimit(.minutes(5))
        )
        func oneTask() async throws {
            try await Workbench.serving { bench in
                try bench.gatedHandler(
                    "gated",
                    "echo one; gate go; echo two; gate more; echo '{\"result\":7}' >&3"
                )
            } _: { bench in
                let id = try await bench.submit("gated")
                let path = "/v1/tasks/\(id)/events"
                let stream = try StreamClient(bench, path)
                #expect(try await bench.eventually { stream.events.last?.kind == "output" })
                #expect(stream.events.last?.data["data"] == "b25lCg==")
                try bench.open("go")
                #expect(try await bench.eventually { stream.events.last?.data["data"] == "dHdvCg==" })
                #expect(!stream.hasEnded)
                try bench.open("more")
                #expect(try await bench.eventually { stream.events.last?.data["status"] == "completed" })
                #expect(try await bench.eventually { stream.hasEnded || stream.text.hasSuffix("0\r\n\r\n") })
                let whole = try StreamClient(bench, path)
                #expect(try await bench.eventually { whole.text.hasSuffix("0\r\n\r\n") })
                #expect(whole.events.map(\.kind) == ["output", "output", "status"])
                let rest = try StreamClient(bench, path, lastEventID: whole.events[0].id)
                #expect(try await bench.eventually { rest.text.hasSuffix("0\r\n\r\n") })
                #expect(rest.events.map(\.id) == whole.events[1...].map(\.id))
                let none = try StreamClient(bench, path, lastEventID: whole.events[2].id)
                #expect(try await bench.eventually { none.text.hasPrefix("HTTP/1.1 204 ") })
                try await bench.api("GET", "/v1/tasks/00000000-0000-4000-8000-000000000000/events")
                    .expectProblem(404, "not-found", "there is no task")
            }
        }

        @Test(
            "everybody's events begin where the client comes, and a stopping supervisor ends them",
            .timeLimit(.minutes(5))
        )
        func all() async throws {
            let bench = try Workbench()
            try bench.handler("quick", "echo hi")
            var before: [String] = []
            var place = ""
            try await bench.serving { bench in
                _ = try await bench.finished("quick")
                let stream = try StreamClient(bench, "/v1/events")
                #expect(try await bench.eventually { stream.text.contains(": bulkhead") })
                let id = try await bench.finished("quick").text("id")
                #expect(
                    try await bench.eventually {
                        stream.events.last?.kind == "status"
                            && stream.events.last?.data["status"] == "completed"
                    }
                )
                #expect(stream.events.allSatisfy { $0.data.text("id") == id })
                place = stream.events[0].id
                before = stream.events.dropFirst().map(\.id)
            }
            try await bench.serving { bench in
                let stream = try StreamClient(bench, "/v1/events", lastEventID: place)
                // Of what was told one by one the present state is left.
                #expect(try await bench.eventually { stream.events.last?.id == before.last })
            }
        }

        @Test(
            "a client that does not read delays nobody, holds no snapshot, and costs a page",
            .timeLimit(.minutes(5)),
            arguments: [
                ("/v1/tasks/ID/events", "text/event-stream"), ("/v1/outbox", "text/event-stream"),
                ("/v1/tasks/ID/output?wait=50s", "text/plain"),
            ]
        )
        func slowReader(path: String, accept: String) async throws {
            try await Workbench.serving(["--outbox", "on"]) { bench in
                try bench.behaviour("flood", policy: "output: {limit: 8MiB}\n")
                try bench.handler("quick", "exit 0")
            } _: { bench in
                let waiting = try bench.run([
                    "submit", "flood", "--params", "800000", "--socket", bench.socket,
                ])
                let id = await waiting.result().out.trimmingCharacters(in: .whitespacesAndNewlines)
                let slow = try StreamClient(
                    bench,
                    path.replacing("ID", with: id),
                    accept: accept,
                    reads: false
                )
                _ = try await bench.ended(id)
                // Were a snapshot held, the log could not be written back while all this goes through it.
                for _ in 0..<2 { _ = try await bench.finished("flood", params: "1000000") }
                let log = try FileManager.default.attributesOfItem(
                    atPath: bench.state + "/bulkhead.sqlite-wal"
                )
                let size = try #require(log[.size] as? Int)
                #expect(size < 24 << 20, "the log has \(size) bytes")
                let began = ContinuousClock.now
                #expect(try await bench.finished("quick").text("status") == "completed")
                #expect(ContinuousClock.now - began < .seconds(5))
                #expect(slow.take(atMost: 16) ?? 0 > 0)
                slow.hangUp()
            }
        }

        @Test(
            "streams are bounded in number, and what is beyond is told to come again",
            .timeLimit(.minutes(5))
        )
        func bound() async throws {
            try await Workbench.serving { bench in
                var open: [StreamClient] = []
                for _ in 0..<Limits.eventStreams { open.append(try StreamClient(bench, "/v1/events")) }
                let all = open
                #expect(try await bench.eventually { all.allSatisfy { $0.text.contains(": bulkhead") } })
                let beyond = try await bench.api("GET", "/v1/events", accept: "text/event-stream")
                beyond.expectProblem(503, "unavailable", "\(Limits.eventStreams) streams")
                #expect(beyond.head.lowercased().contains("retry-after: "))
                #expect(try await bench.api("GET", "/livez").status == 200)
                for client in open { client.hangUp() }
                #expect(
                    try await bench.eventually {
                        let again = try StreamClient(bench, "/v1/events")
                        defer { again.hangUp() }
                        return try await bench.eventually { again.text.contains("\r\n\r\n") }
                            && again.text.contains(": bulkhead")
                    }
                )
            }
        }

        @Test(
            "a client that reads a byte a second is disconnected within the time that it has to take an answer",
            .enabled(
                if: ProcessInfo.processInfo.environment["BULKHEAD_SLOW_READER"] != nil,
                "takes more than a minute: set BULKHEAD_SLOW_READER"
            ),
            .timeLimit(.minutes(5))
        )
        func isCut() async throws {
            try await Workbench.serving { bench in
                try bench.behaviour("flood", policy: "output: {limit: 8MiB}\n")
            } _: { bench in
                let id = try await bench.finished("flood", params: "800000").text("id")
                let slow = try StreamClient(bench, "/v1/tasks/\(id)/events", reads: false)
                let began = ContinuousClock.now
                var taken = 0
                while ContinuousClock.now - began < .seconds(Limits.answerSeconds + 20), taken < 200 {
                    guard let count = slow.take(atMost: 1) else { break }
                    taken += count
                    try await Task.sleep(for: .seconds(1))
                }
                // What was sent before the cut may still be read; behind it comes the end.
                while let count = slow.take(atMost: 1 << 20), count > 0 {}
                #expect(slow.take(atMost: 1) == nil)
                #expect(ContinuousClock.now - began > .seconds(Limits.answerSeconds - 1))
            }
        }
    }
}
