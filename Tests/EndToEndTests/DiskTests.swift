import BulkheadCore
import Foundation
import Glibc
import SmallDisk
import Testing

extension EndToEnd {
    /// A disk that others have filled, that takes no writes, or whose database another program has locked.
    @Suite("Disk", .timeLimit(.minutes(5)))
    struct DiskTests {
        private static let hasStrace = Tool.isThere("strace")
        private static let hasSQLite = Tool.isThere("sqlite3")
        private static let needsRoot: Comment = "needs root and CAP_SYS_ADMIN, to mount a file system"
        private static let options = ["--outbox", "on", "--on-stop", "leave"]

        /// A handler that prints and has a large result, once its gate is open.
        private static func prepare(_ bench: Workbench) throws {
            try bench.gatedHandler(
                "hold",
                """
                gate go; head -c 700000 /dev/zero | tr '\\0' o
                printf '{"result":"%s"}\\n' "$(head -c 60000 /dev/zero | tr '\\0' r)" >&3
                """,
                policy: "pool: wide\n"
            )
            try bench.handler("quick", "echo fine")
            try bench.policy("pools", "wide: {concurrency: 4}\n")
        }

        /// Fills the disk until a submit is refused.
        /// - Returns: The refusal.
        private static func fill(_ disk: SmallDisk, _ bench: Workbench) async throws -> APICall.Answer {
            let call = APICall(socket: bench.socket)
            let task: JSONValue = [
                "type": "hold", "params": ["a": .string(String(repeating: "a", count: 100_000))],
            ]
            for _ in 0..<200 {
                try disk.fill()
                let answer = try await call("POST", "/v1/tasks", task)
                if answer.status != 201 { return answer }
            }
            throw BulkheadError(.internal, "the disk does not become full")
        }

        private static func expectEnds(_ bench: Workbench, _ ids: [String]) async throws {
            for id in ids {
                let task = try await bench.ended(id)
                #expect(task.text("status") == "completed", "\(task.text)")
                #expect(task["result"]?.string?.count == 60_000)
                #expect(task["output"]?["stdoutBytes"]?.integer == 700_000)
            }
        }

        /// Sees all that had to wait run to its end: what is left to its launcher would hold the disk.
        private static func expectAllEnd(_ bench: Workbench) async throws {
            let isOver = try await bench.eventually {
                try await bench.allTasks().allSatisfy { ["completed", "failed"].contains($0.text("status")) }
            }
            #expect(isOver)
        }

        /// Acknowledges every message as a controller does.
        /// - Returns: The tasks whose finals were among them.
        private static func acknowledgeAll(_ bench: Workbench) async throws -> Set<String> {
            let call = APICall(socket: bench.socket)
            var finals: Set<String> = []
            while true {
                let page = try await call("GET", "/v1/outbox?limit=100")
                let messages = page.json["messages"]?.array ?? []
                guard !messages.isEmpty else { return finals }
                for message in messages where message.text("kind") == "final" {
                    finals.insert(message.text("taskId"))
                }
                let names = JSONValue.array(messages.map { .string($0.text("messageId")) })
                let answer = try await call("POST", "/v1/outbox/ack", ["messageIds": names])
                try #require(answer.status == 200, "\(answer.json.text)")
                #expect(answer.json["acknowledged"]?.array?.count == messages.count)
            }
        }

        /// Sees that what is queued does not begin on the full disk, and says what it waits for.
        private static func expectWaitForDisk(_ bench: Workbench) async throws {
            let queued = try #require(
                try await bench.allTasks().first { $0.text("status") == "queued" },
                "the disk was full before anything was queued"
            )
            let id = queued.text("id")
            #expect(
                try await bench.task(id).text("waitingFor")
                    == "room on the disk of the state folder (No space left on device)"
            )
            let text = try await bench.bulkhead("show", id).out
            #expect(text.contains("room on the disk of the state folder"), "\(text)")
            #expect(try await bench.task(id).text("status") == "queued")
        }

        private static func running(_ bench: Workbench) async throws -> [String] {
            var ids: [String] = []
            for _ in 0..<4 { ids.append(try await bench.submit("hold")) }
            for id in ids { #expect(try await bench.waits(for: id, toBe: .running)) }
            return ids
        }

        @Test(
            "on a full disk what runs ends with its result, acknowledgements succeed, submits get 507 until there is room",
            .enabled(if: SmallDisk.mayMount, needsRoot)
        )
        func full() async throws {
            let bench = try Workbench()
            try Self.prepare(bench)
            try await SmallDisk.mounted(at: bench.state, bytes: 16 << 20) { disk in
                try await bench.serving(Self.options) { bench in
                    let ids = try await Self.running(bench)
                    let refused = try await Self.fill(disk, bench)
                    #expect(refused.status == 507 && refused.head.lowercased().contains("\r\nretry-after: 5"))
                    #expect(
                        refused.json.text("detail").contains("No space left on device"),
                        "\(refused.json.text)"
                    )
                    let status = try await bench.answer("status")
                    #expect(status["database"]?["reserve"]?.text("shortage") == "No space left on device")
                    #expect(
                        status["problems"]?.array?.contains { $0.string?.contains("is full") == true } == true
                    )
                    let metrics = try await APICall(socket: bench.socket)("GET", "/metrics")
                    #expect(
                        String(decoding: metrics.body, as: UTF8.self).contains("\nbulkhead_disk_is_full 1\n")
                    )
                    try bench.open("go")
                    try await Self.expectEnds(bench, ids)
                    try await Self.expectWaitForDisk(bench)
                    #expect(try await Self.acknowledgeAll(bench).isSuperset(of: ids))
                    try disk.empty()
                    #expect(try await bench.finished("quick").text("status") == "completed")
                    let after = try await bench.answer("status")["database"]?["reserve"]
                    #expect(after?["heldBytes"] == after?["wantedBytes"] && after?["shortage"] == nil)
                    try await Self.expectAllEnd(bench)
                }
            }
        }

        @Test(
            "a supervisor that is killed on a full disk starts on it, has every result, and takes acknowledgements",
            .enabled(if: SmallDisk.mayMount, needsRoot)
        )
        func fullAtStart() async throws {
            let bench = try Workbench()
            try Self.prepare(bench)
            try await SmallDisk.mounted(at: bench.state, bytes: 16 << 20) { disk in
                let server = try await bench.start(Self.options)
                let ids = try await Self.running(bench)
                _ = try await Self.fill(disk, bench)
                server.send(SIGKILL)
                _ = await server.result()
                // The next start finds the log's index anew, and this much of it is given back just before.
                try disk.fill()
                try await bench.serving(Self.options) { bench in
                    try bench.open("go")
                    try await Self.expectEnds(bench, ids)
                    let refused = try await Self.fill(disk, bench)
                    #expect(refused.status == 507)
                    #expect(try await Self.acknowledgeAll(bench).isSuperset(of: ids))
                }
                try await bench.serving(Self.options) { bench in
                    for id in ids { #expect(try await bench.task(id).text("status") == "completed") }
                    try disk.empty()
                    #expect(try await bench.finished("quick").text("status") == "completed")
                    try await Self.expectAllEnd(bench)
                }
            }
        }

        @Test(
            "while the file system takes no writes nothing is acknowledged, and what ended meanwhile is there afterwards",
            .enabled(if: hasStrace, "needs strace"),
            .enabled(if: geteuid() == 0, "needs root, to trace a supervisor")
        )
        func readOnly() async throws {
            let bench = try Workbench()
            try Self.prepare(bench)
            let server = try await bench.start(Self.options)
            do {
                let id = try await bench.submit("hold")
                #expect(try await bench.waits(for: id, toBe: .running))
                let tracer = try ChildProcess(
                    "/usr/bin/env",
                    [
                        "strace", "-f", "-p", "\(server.pid)", "-o", "/dev/null", "-e",
                        "trace=pwrite64,fallocate", "-e", "inject=pwrite64,fallocate:error=EROFS",
                    ],
                    environment: ["PATH": "/usr/bin:/bin"],
                    folder: "/"
                )
                #expect(await tracer.says("attached"))
                let call = APICall(socket: bench.socket)
                let refused = try await call("POST", "/v1/tasks", ["type": "quick"])
                #expect(refused.status == 503)
                #expect(refused.json.text("detail").contains("takes no writes"), "\(refused.json.text)")
                #expect(refused.json.text("detail").contains("Read-only file system"))
                try bench.open("go")
                let isOver = try await bench.eventually {
                    ProcessTable.withEnvironment("BULKHEAD_TASK_ID=\(id)\0").isEmpty
                }
                #expect(isOver)
                #expect(try await bench.task(id).text("status") == "running")
                #expect(try await call("GET", "/livez").status == 200)
                tracer.send(SIGTERM)
                _ = await tracer.result()
                try await Self.expectEnds(bench, [id])
                #expect(try await bench.finished("quick").text("status") == "completed")
            } catch {
                await bench.crash(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
        }

        @Test(
            "a start that takes long is answered at once: it is starting",
            .enabled(if: hasSQLite, "needs sqlite3")
        )
        func longStart() async throws {
            let bench = try Workbench()
            try await bench.serving { _ in }
            let other = try ChildProcess(
                "/usr/bin/env",
                [
                    "sqlite3", "-cmd", ".timeout 10000", bench.state + "/bulkhead.sqlite", "BEGIN EXCLUSIVE",
                    ".shell echo held >&2; until [ -e '\(bench.folder)/release' ]; do sleep 0.05; done",
                    "COMMIT",
                ],
                environment: ["PATH": "/usr/bin:/bin"],
                folder: "/"
            )
            #expect(await other.says("held"))
            let server = try bench.launchServer()
            do {
                // Nobody listens in the first half of a second.
                #expect(try await bench.eventually { (try? await bench.api("GET", "/livez")) != nil })
                for path in ["/livez", "/healthz", "/v1/tasks", "/v1/status"] {
                    let answer = try await bench.api("GET", path)
                    answer.expectProblem(503, "unavailable", "is starting: it looks through its database")
                    #expect(answer.head.lowercased().contains("\r\nretry-after: 1"))
                }
                let mode = try FileManager.default.attributesOfItem(atPath: bench.socket)[.posixPermissions]
                #expect(mode as? Int == 0o600)
                // Its end meets a client that says nothing, and one that asks all the time.
                let silent = try bench.api.connected()
                defer { close(silent) }
                let asking = Task {
                    while !Task.isCancelled { _ = try? await bench.api("GET", "/livez") }
                }
                defer { asking.cancel() }
                try bench.write("", to: "release")
                _ = await other.result()
                #expect(await server.says("ready"), "\(server.errorsSoFar)")
                #expect(try await bench.api("GET", "/livez").status == 200)
            } catch {
                await bench.crash(server)
                throw error
            }
            #expect(await bench.stop(server).code == 0)
        }

        @Test(
            "while another program holds the database nothing is lost: submits get 503, and ends are there afterwards",
            .enabled(if: hasSQLite, "needs sqlite3")
        )
        func locked() async throws {
            let bench = try Workbench()
            try Self.prepare(bench)
            try await bench.serving(Self.options) { bench in
                let id = try await bench.submit("hold")
                #expect(try await bench.waits(for: id, toBe: .running))
                let release = bench.folder + "/release"
                let other = try ChildProcess(
                    "/usr/bin/env",
                    [
                        "sqlite3", "-cmd", ".timeout 10000", bench.state + "/bulkhead.sqlite",
                        "BEGIN EXCLUSIVE",
                        ".shell echo held >&2; until [ -e '\(release)' ]; do sleep 0.05; done", "COMMIT",
                    ],
                    environment: ["PATH": "/usr/bin:/bin"],
                    folder: "/"
                )
                #expect(await other.says("held"))
                try bench.open("go")
                let refused = try await APICall(socket: bench.socket)("POST", "/v1/tasks", ["type": "quick"])
                #expect(refused.status == 503 && refused.head.lowercased().contains("\r\nretry-after: 5"))
                #expect(
                    refused.json.text.contains("another program holds the database"),
                    "\(refused.json.text)"
                )
                #expect(try await bench.task(id).text("status") == "running")
                try bench.write("", to: "release")
                _ = await other.result()
                try await Self.expectEnds(bench, [id])
                #expect(try await bench.finished("quick").text("status") == "completed")
            }
        }
    }
}
