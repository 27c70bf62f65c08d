import BulkheadCore
import Testing

@Suite("SubmitRule")
struct SubmitRuleTests {
    let checksum: TaskType
    let thumbnail: TaskType
    let params: JSONValue = ["path": "/a", "size": 10]

    init() throws {
        checksum = try TaskType("checksum")
        thumbnail = try TaskType("thumbnail")
    }

    private func decide(
        _ status: TaskStatus,
        type: TaskType? = nil,
        params: JSONValue? = nil
    ) -> SubmitRule.Decision {
        let existing = SubmitRule.Existing(status: status, type: checksum, params: self.params)
        return SubmitRule.decide(existing: existing, type: type ?? checksum, params: params ?? self.params)
    }

    @Test("an unknown id is queued")
    func unknownID() {
        #expect(SubmitRule.decide(existing: nil, type: checksum, params: params) == .create)
    }

    @Test(
        "a live or completed task is returned as it is",
        arguments: [TaskStatus.queued, .running, .completed]
    )
    func liveTask(status: TaskStatus) {
        #expect(decide(status) == .returnExisting)
    }

    @Test(
        "a task that did not complete runs again",
        arguments: [TaskStatus.failed, .cancelled, .interrupted]
    )
    func runsAgain(status: TaskStatus) {
        #expect(decide(status) == .runAgain)
    }

    @Test("another type or other params are refused in every state", arguments: TaskStatus.allCases)
    func refused(status: TaskStatus) {
        #expect(decide(status, type: thumbnail) == .refuse)
        #expect(decide(status, params: ["path": "/b", "size": 10]) == .refuse)
    }

    @Test("params are compared as values: order and spelling of numbers do not matter")
    func comparedAsValues() throws {
        let spelled = try JSONParser.parse(#"{ "size" : 1.0e1, "path":"\/a" }"#)
        #expect(decide(.completed, params: spelled) == .returnExisting)
    }
}
