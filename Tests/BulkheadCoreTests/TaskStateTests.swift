import BulkheadCore
import Testing

@Suite("TaskStatus")
struct TaskStateTests {
    /// Every legal step; whatever is not here is illegal.
    static let legal: [TaskStatus: [TaskEvent: TaskStatus]] = [
        .queued: [.start: .running, .fail: .failed, .cancel: .cancelled],
        .running: [
            .complete: .completed, .fail: .failed, .retry: .queued, .cancel: .cancelled,
            .interrupt: .interrupted, .rehydrate: .queued, .putBack: .queued,
        ],
        .completed: [:],
        .failed: [.resubmit: .queued],
        .cancelled: [.resubmit: .queued],
        .interrupted: [.resubmit: .queued],
    ]

    @Test("every pair of state and event does what the table says", arguments: TaskStatus.allCases)
    func everyPair(status: TaskStatus) throws {
        let row = try #require(Self.legal[status])
        for event in TaskEvent.allCases {
            #expect(status.after(event) == row[event], "\(status) after \(event)")
        }
    }

    @Test("a terminal state rejects every event but a new submit")
    func terminalStates() {
        for status in TaskStatus.allCases where status.isTerminal {
            for event in TaskEvent.allCases where event != .resubmit {
                #expect(status.after(event) == nil, "\(status) after \(event)")
            }
        }
    }

    @Test("a completed task is never moved again")
    func completedStays() {
        #expect(TaskEvent.allCases.allSatisfy { TaskStatus.completed.after($0) == nil })
    }

    @Test("only what the handler may do better next time is retried")
    func retriedReasons() {
        let retried = ErrorReason.allCases.filter(\.isRetried)
        #expect(Set(retried) == [.exit, .signal, .timeout, .memory])
    }
}
