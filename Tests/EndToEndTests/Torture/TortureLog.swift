import BulkheadCore
import Synchronization
import SeededRandom

/// Where everybody who takes part in a torture writes down what came about.
final class TortureLog: Sendable {
    private let state: Mutex<History>
    private let live = Mutex(Live())

    /// A task that clients speak of.
    struct Known: Sendable {
        var id: String
        var type: String
    }

    /// What clients need of one another.
    ///
    /// A task is in one of these places, or in the hands of one client.
    private struct Live {
        var acknowledged: [Known] = []
        var unanswered: [Known] = []
        var backlog: Int64 = 0
        var lists = 0
        var kills: [String: Int] = [:]
        var held = 0
        var lastHeld: ContinuousClock.Instant?
        var words = ""
        var acknowledgedMessages: Set<String> = []
    }

    init(types: [TortureType]) {
        var history = History()
        history.finals = []
        history.types = Dictionary(uniqueKeysWithValues: types.map { ($0.name, $0) })
        state = Mutex(history)
    }

    var history: History { state.withLock(\.self) }

    func note(_ change: @Sendable (inout History) -> Void) { state.withLock { change(&$0) } }

    // MARK: Tasks that clients speak of

    /// Notes a submit; one without an answer is sent again later, as a client does.
    func submitted(_ task: Known, _ submit: History.Submit) {
        note { $0.submits.append(submit) }
        live.withLock { live in
            if submit.answer != nil {
                live.acknowledged.append(task)
            } else if submit.mayCount {
                live.unanswered.append(task)
            }
        }
    }

    /// Takes an acknowledged task out of the others' reach.
    func take(_ random: inout SeededRandom) -> Known? {
        live.withLock { live in
            guard let index = live.acknowledged.indices.randomElement(using: &random) else { return nil }
            live.acknowledged.swapAt(index, live.acknowledged.count - 1)
            return live.acknowledged.removeLast()
        }
    }

    func giveBack(_ task: Known) { live.withLock { $0.acknowledged.append(task) } }

    /// A submit that got no answer.
    func takeUnanswered() -> Known? { live.withLock { $0.unanswered.popLast() } }

    /// Tasks that wait, as the supervisor said a moment ago.
    var backlog: Int64 {
        get { live.withLock(\.backlog) }
        set { live.withLock { $0.backlog = newValue } }
    }

    // MARK: Messages

    /// Notes a final that was told.
    func told(_ final: History.Final) {
        let isAfterAck = live.withLock { $0.acknowledgedMessages.contains(final.messageID) }
        note { history in
            var final = final
            final.isAfterAck = isAfterAck
            history.finals?.append(final)
        }
    }

    /// Notes messages whose acknowledgement was answered.
    func acknowledged(_ names: [String]) { live.withLock { $0.acknowledgedMessages.formUnion(names) } }

    // MARK: What was done

    func count(_ kill: String) { live.withLock { $0.kills[kill, default: 0] += 1 } }

    /// What was killed, and how often.
    var kills: [String: Int] { live.withLock(\.kills) }

    /// Says that the supervisor stands still from now on, or moves again.
    func hold(_ isHeld: Bool) {
        live.withLock { live in
            live.held += isHeld ? 1 : -1
            live.lastHeld = .now
        }
    }

    /// Whether the supervisor, or this machine, stood still at some time since a moment.
    func wasHeld(since moment: ContinuousClock.Instant) -> Bool {
        live.withLock { $0.held > 0 || ($0.lastHeld ?? moment) > moment }
    }

    /// Keeps what a supervisor said, for who has to find out what happened.
    func keep(_ words: String) { live.withLock { $0.words += words + "--\n" } }

    /// What all supervisors said.
    var words: String { live.withLock(\.words) }

    /// Notes a list of all tasks.
    func sighted(_ tasks: [JSONValue]) {
        let list = live.withLock { live in
            live.lists += 1
            return live.lists
        }
        let sightings = tasks.map { task in
            let status = task.text("status")
            return History.Sighting(
                list: list,
                id: task.text("id"),
                run: task["run"]?.integer ?? 0,
                attempt: task["attempt"]?.integer ?? 0,
                status: status,
                text: HistoryCheck.isTerminal(status) ? HistoryCheck.settled(task) : ""
            )
        }
        note { $0.sightings += sightings }
    }

    /// Notes an answer that is an error without the shape of one.
    func inspect(_ answer: APICall.Answer, of call: String) {
        guard answer.status >= 400 else { return }
        let problem = answer.json
        let isTyped =
            problem["status"]?.integer == Int64(answer.status) && !problem.text("title").isEmpty
            && !problem.text("type").isEmpty && !problem.text("detail").isEmpty
        if !isTyped || answer.status == 500 {
            note { $0.faults.append("\(call) got \(answer.status): \(answer.text)") }
        }
    }
}
