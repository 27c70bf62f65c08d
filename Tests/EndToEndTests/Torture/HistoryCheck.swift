import BulkheadCore

/// Holds a history against the invariants; pure, so that each check can be shown to find what it looks for.
struct HistoryCheck {
    let history: History
    private(set) var violations: [Violation] = []
    let attempts: [String: [History.Attempt]]
    /// The attempts of which a handler ran, as `id.attempt`.
    let began: Set<String>

    /// Everything in a history that must not be.
    static func violations(in history: History) -> [Violation] {
        var check = HistoryCheck(history)
        check.checkSubmits()
        check.checkCalls()
        check.checkEffects()
        check.checkSightings()
        check.checkFinals()
        check.checkTasks()
        check.checkStreams()
        check.checkBounds()
        check.checkSurroundings()
        check.checkPools()
        return check.violations
    }

    private init(_ history: History) {
        self.history = history
        attempts = Dictionary(grouping: history.attempts, by: \.id)
        began = Set(history.effects.map { "\($0.id).\($0.attempt)" })
    }

    mutating func expect(_ holds: Bool, _ invariant: Invariant, _ text: @autoclosure () -> String) {
        if !holds { violations.append(Violation(invariant: invariant, text: text())) }
    }

    // MARK: What clients were told

    private mutating func checkSubmits() {
        let asked = Set(history.removals.map(\.id))
        for (id, submits) in Dictionary(grouping: history.submits, by: \.id) {
            let told = submits.compactMap(\.answer)
            let task = history.tasks[id]
            expect(
                task != nil || told.isEmpty || asked.contains(id),
                .acknowledged,
                "the acknowledged task \(id) is lost"
            )
            let begun = told.filter { $0.status == 201 }.map(\.run)
            expect(Set(begun).count == begun.count, .runs, "two submits of \(id) began one run: \(begun)")
            guard let run = task?["run"]?.integer else { continue }
            let most = submits.count { $0.mayCount && $0.answer?.status != 200 }
            expect(
                run <= most && run >= told.map(\.run).max() ?? 1,
                .runs,
                "\(id) has run \(run); \(most) submits could have begun one, and clients were told \(told.map(\.run))"
            )
        }
        let sent = Set(history.submits.map(\.id))
        for id in history.tasks.keys where !sent.contains(id) {
            expect(false, .errors, "nobody submitted the task \(id)")
        }
    }

    private mutating func checkCalls() {
        for removal in history.removals where removal.status == 204 {
            expect(
                history.tasks[removal.id] == nil,
                .acknowledged,
                "the task \(removal.id) was removed and is there"
            )
        }
        for cancel in history.cancels where cancel.status == 202 {
            guard let task = history.tasks[cancel.id], task["run"]?.integer == cancel.run else { continue }
            let status = task.text("status")
            expect(
                status == "cancelled" || status == "completed"
                    || status == "failed" && task.reason != "poison",
                .acknowledged,
                "an acknowledged cancel of \(cancel.id) is lost: it is \(status) \(task.reason)"
            )
        }
    }

    // MARK: What handlers saw

    private mutating func checkEffects() {
        for effect in history.effects {
            let begins = effect.lines.count { $0 == "begin" }
            // None where it was killed before it could say so.
            expect(
                begins <= 1,
                .oneHandler,
                "attempt \(effect.attempt) of \(effect.id) began \(begins) times"
            )
            expect(
                !effect.lines.contains("overlap"),
                .oneHandler,
                "attempt \(effect.attempt) of \(effect.id) began while another one lived"
            )
            guard let task = history.tasks[effect.id] else { continue }
            expect(
                effect.attempt <= task["attempt"]?.integer ?? 0,
                .oneHandler,
                "attempt \(effect.attempt) of \(effect.id) ran and is not counted"
            )
        }
    }

    // MARK: What lists showed

    private mutating func checkSightings() {
        for (id, sightings) in Dictionary(grouping: history.sightings, by: \.id) {
            var last: History.Sighting?
            for sighting in sightings.sorted(by: { $0.list < $1.list }) {
                defer { last = sighting }
                guard let last else { continue }
                expect(
                    sighting.run >= last.run,
                    .runs,
                    "\(id) went back from run \(last.run) to \(sighting.run)"
                )
                guard last.run == sighting.run else { continue }
                // One that could not be launched gives its number back.
                expect(
                    sighting.attempt >= last.attempt - 1,
                    .oneHandler,
                    "\(id) went back from attempt \(last.attempt) to \(sighting.attempt)"
                )
                expect(
                    !Self.isTerminal(last.status) || last.text == sighting.text,
                    .terminal,
                    "the terminal task \(id) changed from \(last.text) to \(sighting.text)"
                )
            }
        }
    }

    static func isTerminal(_ status: String) -> Bool {
        TaskStatus(rawValue: status)?.isTerminal == true
    }

    /// What must not change in a terminal task: all but what making room for others' output may cost it.
    static func settled(_ task: JSONValue) -> String {
        guard case .object(let object) = task else { return task.text }
        var copy = JSONObject()
        for member in object.members where member.name != "output" { copy[member.name] = member.value }
        copy["stdoutBytes"] = task["output"]?["stdoutBytes"]
        copy["stderrBytes"] = task["output"]?["stderrBytes"]
        return JSONValue.object(copy).text
    }

    // MARK: What a controller got

    private mutating func checkFinals() {
        guard let finals = history.finals else { return }
        let byRun = Dictionary(grouping: finals) { "\($0.id) run \($0.run)" }
        for (run, messages) in byRun {
            expect(
                Set(messages.map(\.messageID)).count == 1,
                .finals,
                "\(run) has finals of several ids: \(messages.map(\.messageID))"
            )
            expect(
                Set(messages.map(\.status)).count == 1,
                .finals,
                "the finals of \(run) differ: \(messages.map(\.status))"
            )
            expect(
                messages.allSatisfy { !$0.isAfterAck },
                .finals,
                "the final of \(run) came again after its acknowledgement"
            )
        }
        for (id, task) in history.tasks where Self.isTerminal(task.text("status")) {
            guard let run = task["run"]?.integer else { continue }
            for earlier in 1..<max(run, 1) {
                expect(
                    byRun["\(id) run \(earlier)"] != nil,
                    .finals,
                    "the final of \(id) run \(earlier) never came"
                )
            }
            let told = byRun["\(id) run \(run)"]?.first
            expect(told != nil, .finals, "the final of \(id) run \(run) never came")
            expect(
                told == nil || told?.status == task.text("status"),
                .finals,
                "the final of \(id) says \(told?.status ?? ""), the task \(task.text("status"))"
            )
        }
    }
}
