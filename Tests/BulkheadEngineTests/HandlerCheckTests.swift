import BulkheadCore
import BulkheadPolicy
import Testing

@testable import BulkheadEngine

@Suite("HandlerCheck") struct HandlerCheckTests {
    private func run(
        _ status: TaskStatus,
        ending: AttemptObservation.Ending = .exited(code: 0),
        change: (inout TrialRun) throws -> Void = { _ in }
    ) throws -> TrialRun {
        let id = try TaskID("01a1fc43-3a67-7c66-8cab-23aa76b78a05")
        var task = TaskRecord(
            sequence: 1,
            id: id,
            type: try TaskType("job"),
            pool: .default,
            priority: 0,
            params: .object(JSONObject()),
            submittedAt: Timestamp(milliseconds: 0)
        )
        task.status = status
        task.result = 1
        var run = TrialRun(
            task: task,
            observation: AttemptObservation(
                task: id,
                ending: ending,
                wasStopped: status == .cancelled,
                elapsed: .seconds(1),
                leftBehind: nil,
                readInput: true
            )
        )
        try change(&run)
        return run
    }

    private func lines(
        _ first: TrialRun,
        stopped: TrialRun? = nil,
        files: [HandlerCheck.StrayFile] = []
    ) -> [String: HandlerCheck.Line] {
        let check = HandlerCheck(
            policy: Policy(),
            policyFile: "policies/job.yaml",
            first: first,
            stopped: stopped,
            files: files
        )
        return Dictionary(check.lines.map { ($0.name, $0) }) { first, _ in first }
    }

    @Test("a handler that does all that it should has no line that is wrong")
    func good() throws {
        let lines = try lines(run(.completed), stopped: run(.cancelled, ending: .signaled(signal: 15)))
        #expect(lines.values.allSatisfy { $0.verdict == .ok }, "\(lines)")
        #expect(lines.count == 9)
    }

    @Test("each thing that a handler does not do is one wrong line")
    func wrong() throws {
        let unread = try run(.completed) { $0.observation?.readInput = false }
        #expect(lines(unread)["stdin"]?.verdict == .wrong)
        let left = try run(.completed) {
            $0.observation?.leftBehind = LeftBehind(processes: 2, holdsPipes: false)
        }
        #expect(lines(left)["processes"]?.verdict == .wrong && lines(left)["pipes"]?.verdict == .ok)
        let held = try run(.completed) {
            $0.observation?.leftBehind = LeftBehind(processes: 1, holdsPipes: true)
        }
        #expect(lines(held)["pipes"]?.verdict == .wrong)
        let stray = try run(.completed) {
            $0.task.warnings.append("an event line was not understood, since no value begins like this: x")
        }
        #expect(
            lines(stray)["events"]?.verdict == .wrong && lines(stray)["events"]?.text.contains(": x") == true
        )
        let failed = try run(.failed) {
            $0.task.error = TaskError(.exit, "the handler exited with 3", exitCode: 3)
        }
        #expect(lines(failed)["exit"]?.verdict == .wrong)
        let files = [HandlerCheck.StrayFile(path: "/tmp/x", isCertain: true)]
        #expect(try lines(run(.completed), files: files)["files"]?.verdict == .wrong)
    }

    @Test("a denied call is wrong where the handler failed, a note where it went on, and told with its line")
    func denied() throws {
        let calls = [DeniedSyscall(name: "chown", count: 2, action: "errno")]
        let went = try run(.completed) { $0.task.deniedSyscalls = calls }
        #expect(lines(went)["policy"]?.verdict == .note)
        let failed = try run(.failed) {
            $0.task.deniedSyscalls = calls
            $0.task.error = TaskError(.exit, "the handler exited with 1", exitCode: 1)
        }
        #expect(lines(failed)["policy"]?.verdict == .wrong)
        #expect(lines(failed)["policy"]?.advice?.contains("allow: [chown] in policies/job.yaml") == true)
    }

    @Test("SIGTERM is obeyed, not obeyed, or came too late to tell")
    func stop() throws {
        let first = try run(.completed)
        let killed = try run(.cancelled, ending: .signaled(signal: 9))
        #expect(lines(first, stopped: killed)["SIGTERM"]?.verdict == .wrong)
        let exited = try run(.cancelled, ending: .exited(code: 143))
        #expect(lines(first, stopped: exited)["SIGTERM"]?.verdict == .ok)
        #expect(lines(first, stopped: first)["SIGTERM"]?.verdict == .note)
    }

    @Test("a handler that did not start has one line, with the reason")
    func notStarted() throws {
        let refused = try run(.failed) {
            $0.observation = nil
            $0.task.error = TaskError(.launchFailed, "no such interpreter", hint: "look at its first line")
        }
        let lines = lines(refused)
        #expect(lines.count == 1 && lines["starts"]?.verdict == .wrong)
        #expect(lines["starts"]?.advice == "look at its first line")
    }
}
