import BulkheadAPI
import BulkheadCore
import Testing

@Suite("TaskJSON")
struct TaskJSONTests {
    @Test("a task that has just been queued says nothing that there is nothing to say about")
    func queued() throws {
        let expected =
            #"{"id":"\#(Samples.id)","type":"thumbnail","pool":"media","status":"queued","run":1,"attempt":0,"#
            + #""interruptions":0,"priority":-3,"params":{},"submittedAt":"2026-11-21T08:30:00.250Z","#
            + #""queuePosition":0,"waitingFor":"its pool"}"#
        let report = TaskReport(task: try Samples.task(), queuePosition: 0, waitingFor: "its pool")
        #expect(TaskJSON.value(report).text == expected)
    }

    @Test("a task that failed tells all of it")
    func failed() throws {
        var task = try Samples.task()
        task.status = .failed
        task.attempt = 2
        task.caller = "me"
        task.metadata = .null
        task.startedAt = Samples.moment
        task.completedAt = Samples.moment
        task.progress = TaskProgress(fraction: 0.5, message: nil)
        task.result = .object(["ok": .bool(false)])
        task.error = TaskError(.syscallDenied, "ended", signal: "SIGSYS", hint: "h", retryable: false)
        task.deniedSyscalls = [DeniedSyscall(name: "ptrace", count: 3, action: "kill")]
        task.output.stderrBytes = 9
        task.usage = TaskUsage(wallSeconds: 1.25, cpuSeconds: 0, maxRSSBytes: 4_096)
        task.warnings.append("careful")
        let json = TaskJSON.value(task)
        #expect(json["metadata"] == .null)
        #expect(json["progress"]?.text == #"{"fraction":0.5}"#)
        #expect(json["result"]?.text == #"{"ok":false}"#)
        let error =
            #"{"reason":"syscall-denied","message":"ended","signal":"SIGSYS","hint":"h","retryable":false}"#
        #expect(json["error"]?.text == error)
        #expect(json["deniedSyscalls"]?.text == #"[{"name":"ptrace","count":3,"action":"kill"}]"#)
        #expect(json["output"]?.text == #"{"stdoutBytes":0,"stderrBytes":9,"droppedBytes":0}"#)
        #expect(json["usage"]?.text == #"{"wallSeconds":1.25,"cpuSeconds":0.0,"maxRSSBytes":4096}"#)
        #expect(json["warnings"]?.text == #"["careful"]"#)
        #expect(json["attempts"] == nil)
    }

    @Test("attempts are shown without what only recovery needs")
    func attempts() throws {
        var attempt = AttemptRecord(
            attempt: 2,
            run: 1,
            startedAt: Samples.moment,
            handler: "ab",
            enforcement: ["filter"]
        )
        attempt.process = ProcessMark(pid: 5, startTime: 6, bootID: "b")
        attempt.outcome = "failed"
        attempt.error = TaskError(.exit, "code 3", exitCode: 3)
        let json = TaskJSON.value(TaskReport(task: try Samples.task(), attempts: [attempt]))
        #expect(
            json["attempts"]?.text
                == #"[{"attempt":2,"run":1,"startedAt":"2026-11-21T08:30:00.250Z","outcome":"failed","#
                + #""error":{"reason":"exit","message":"code 3","exitCode":3},"handler":"ab","#
                + #""enforcement":["filter"]}]"#
        )
    }

    @Test("params come back to the last digit and in their order")
    func exactParams() throws {
        let text = #"{"z":1.0,"a":12345678901234567890.000100,"e":-0.0E-400,"u":"\u0001é\""}"#
        let json = TaskJSON.value(try Samples.task(params: try JSONParser.parse(text)))
        #expect(json["params"]?.text == text)
        #expect(try JSONParser.parse(json.bytes)["params"]?.text == text)
    }

    @Test("the text of a page is JSON, its cursor leads on")
    func page() throws {
        let tasks = [try Samples.task(sequence: 9), try Samples.task(sequence: 8)]
        let json = try JSONParser.parse(TaskJSON.bytes(of: TaskPage(tasks: tasks, next: 8), atMost: 1 << 20))
        #expect(json["tasks"]?.array == tasks.map { TaskJSON.value($0) })
        #expect(try TaskJSON.sequence(ofCursor: try #require(json["cursor"]?.string)) == 8)
        let last = try JSONParser.parse(TaskJSON.bytes(of: TaskPage(tasks: [], next: nil), atMost: 1 << 20))
        #expect(last == .object(["tasks": .array([])]))
    }

    @Test("a page over its bytes ends early, and no task is lost between pages")
    func largePage() throws {
        let params = JSONValue.string(String(repeating: "x", count: 1_000))
        let tasks = try (1...5).reversed().map { try Samples.task(params: params, sequence: $0) }
        var rest = tasks
        var seen: [Int] = []
        while !rest.isEmpty {
            let json = try JSONParser.parse(
                TaskJSON.bytes(of: TaskPage(tasks: rest, next: nil), atMost: 2_700)
            )
            seen.append(json["tasks"]?.array?.count ?? 0)
            guard let cursor = json["cursor"]?.string else { break }
            let before = try TaskJSON.sequence(ofCursor: cursor)
            rest = tasks.filter { $0.sequence < before }
        }
        #expect(seen == [2, 2, 1])
        let tiny = try JSONParser.parse(TaskJSON.bytes(of: TaskPage(tasks: tasks, next: nil), atMost: 1))
        #expect(tiny["tasks"]?.array?.count == 1)
    }

    @Test(
        "a cursor that was never given is malformed",
        arguments: ["x", "-1", "1.0", "9223372036854775808", ""]
    )
    func wrongCursor(text: String) throws {
        let error = try #require(throws: BulkheadError.self) { try TaskJSON.sequence(ofCursor: text) }
        #expect(error.code == .malformed)
    }

    @Test("an outcome of a batch has the status that it would have alone")
    func outcomes() throws {
        let task = try Samples.task()
        #expect(TaskJSON.value(.success(.queued(task)))["status"]?.integer == 201)
        let existing = TaskJSON.value(.success(.existing(task)))
        #expect(existing["status"]?.integer == 200)
        #expect(existing["task"]?["id"]?.string == Samples.id)
        let refused = TaskJSON.value(.failure(BulkheadError(.conflict, "another")))
        #expect(refused["status"]?.integer == 409)
        #expect(refused["problem"].flatMap(Problem.init)?.code == .conflict)
        #expect(refused["task"] == nil)
    }
}
