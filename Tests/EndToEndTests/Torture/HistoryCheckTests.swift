import BulkheadCore
import Testing

/// Each invariant can be violated, and is then named: small histories, each with one fault.
@Suite("HistoryCheck")
struct HistoryCheckTests {
    private static let id = "00000000-0000-0000-0000-000000000001"
    private static let mark = History.Mark(pid: 7, start: 9)

    private static func task(
        _ status: String,
        type: String = "talk",
        run: Int64 = 1,
        attempt: Int64 = 1,
        interruptions: Int64 = 0,
        reason: String? = nil
    ) -> JSONValue {
        var object: JSONObject = ["id": .string(id), "type": .string(type), "status": .string(status)]
        object["run"] = .integer(run)
        object["attempt"] = .integer(attempt)
        object["interruptions"] = .integer(interruptions)
        object["error"] = reason.map { ["reason": .string($0)] }
        return .object(object)
    }

    private static func attempt(
        _ number: Int64 = 1,
        _ outcome: String? = "completed",
        run: Int64 = 1,
        reason: String? = nil
    ) -> History.Attempt {
        History.Attempt(
            id: id,
            attempt: number,
            run: run,
            outcome: outcome,
            reason: reason,
            launcher: mark,
            stdoutEnd: outcome == "completed" ? 6 : 0,
            stderrEnd: 0
        )
    }

    private static func stream(_ pieces: History.Piece...) -> History.Stream {
        History.Stream(id: id, attempt: 1, name: "stdout", pieces: pieces)
    }

    private static func piece(_ offset: Int64, _ text: String) -> History.Piece {
        History.Piece(offset: offset, bytes: Array(text.utf8), length: Int64(text.utf8.count))
    }

    /// A task of each kind that ends well, and nothing wrong anywhere.
    private static let sound: History = {
        var history = History()
        let types = [
            TortureType(name: "talk", script: "", stdout: Array("one\ntw".utf8)),
            TortureType(name: "once", script: "", rehydrates: false),
            TortureType(name: "bad", script: "", pool: "frail", reason: "exit"),
            TortureType(name: "weak", script: "", lossLimit: 2),
        ]
        history.types = Dictionary(uniqueKeysWithValues: types.map { ($0.name, $0) })
        history.submits = [History.Submit(id: id, answer: (201, 1), mayCount: true)]
        history.tasks = [id: task("completed")]
        history.attempts = [attempt()]
        history.effects = [History.Effect(id: id, attempt: 1, lines: ["begin"])]
        history.streams = [stream(piece(0, "one\n"), piece(4, "tw"))]
        (history.countedBytes, history.keptBytes) = (6, 6)
        return history
    }()

    /// The violations of the sound history after a change.
    private func found(_ change: (inout History) -> Void) -> [Violation] {
        var history = Self.sound
        change(&history)
        return HistoryCheck.violations(in: history)
    }

    private func expect(
        _ invariant: Invariant,
        _ words: String,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout History) -> Void
    ) {
        let violations = found(change)
        #expect(
            violations.contains { $0.invariant == invariant && $0.text.contains(words) },
            "found: \(violations)",
            sourceLocation: sourceLocation
        )
    }

    @Test("a sound history has no violation")
    func sound() { #expect(found { _ in } == []) }

    @Test("I1: a lost submit, a lost cancel, a removed task that is back, a damaged file")
    func acknowledged() {
        expect(.acknowledged, "is lost") { $0.tasks = [:] }
        expect(.acknowledged, "is lost: it is interrupted") { history in
            history.tasks[Self.id] = Self.task("interrupted", type: "once", interruptions: 1)
            history.attempts = [Self.attempt(1, "interrupted")]
            history.cancels = [History.Call(id: Self.id, status: 202, run: 1)]
        }
        expect(.acknowledged, "was removed") { history in
            history.removals = [History.Call(id: Self.id, status: 204)]
        }
        expect(.acknowledged, "damaged") { $0.damage = ["row 3 missing from index"] }
    }

    @Test("I2: an attempt that began twice, beside another, uncounted; a hole in the attempts")
    func oneHandler() {
        expect(.oneHandler, "began 2 times") { $0.effects[0].lines = ["begin", "begin"] }
        expect(.oneHandler, "while another one lived") { $0.effects[0].lines = ["overlap", "begin"] }
        expect(.oneHandler, "ran and is not counted") { $0.effects[0].attempt = 2 }
        expect(.oneHandler, "counts 2 attempts") { $0.tasks[Self.id] = Self.task("completed", attempt: 2) }
        expect(.oneHandler, "went back from attempt 3") { history in
            history.sightings = [Self.sighting(1, "running", attempt: 3), Self.sighting(2, "running")]
        }
    }

    private static func sighting(
        _ list: Int,
        _ status: String,
        run: Int64 = 1,
        attempt: Int64 = 1,
        text: String = ""
    ) -> History.Sighting {
        History.Sighting(list: list, id: id, run: run, attempt: attempt, status: status, text: text)
    }

    @Test("I3: a terminal task that changes or runs again, an end that is not what happened")
    func terminal() {
        expect(.terminal, "changed") { history in
            history.sightings = [
                Self.sighting(1, "completed", text: "one"), Self.sighting(2, "completed", text: "two"),
            ]
        }
        expect(.terminal, "changed") { history in
            history.sightings = [Self.sighting(1, "failed", text: "one"), Self.sighting(2, "running")]
        }
        expect(.terminal, "its launcher was not killed") { history in
            history.tasks[Self.id] = Self.task("interrupted", type: "once", interruptions: 1)
            history.attempts = [Self.attempt(1, "interrupted")]
        }
        expect(.terminal, "against its policy") { history in
            history.killedLaunchers = [Self.mark]
            history.tasks[Self.id] = Self.task("interrupted", interruptions: 1)
            history.attempts = [Self.attempt(1, "interrupted")]
        }
        expect(.terminal, "its handler was not killed") { history in
            history.tasks[Self.id] = Self.task("failed", reason: "signal")
            history.attempts = [Self.attempt(1, "failed", reason: "signal")]
        }
        expect(.terminal, "completed and cannot be") { history in
            history.tasks[Self.id] = Self.task("completed", type: "bad")
        }
        expect(.terminal, "nobody asked") { $0.tasks[Self.id] = Self.task("cancelled") }
        expect(.terminal, "no supervisor was told to") { $0.attempts = [Self.attempt(1, "stopped")] }
        expect(.terminal, "is running at the end") { $0.tasks[Self.id] = Self.task("running") }
        expect(.terminal, "without an end") { $0.attempts = [Self.attempt(1, nil)] }
        expect(.terminal, "has the result") { $0.types["talk"]?.result = ["sum": 1] }
        expect(.terminal, "after 1 of 3 tries") { history in
            history.types["bad"]?.retries = 2
            history.tasks[Self.id] = Self.task("failed", type: "bad", reason: "exit")
            history.attempts = [Self.attempt(1, "failed", reason: "exit")]
        }
    }

    @Test("I3: poison after too few losses in a row")
    func poison() {
        func history(_ first: String) -> (inout History) -> Void {
            { history in
                history.killedLaunchers = [Self.mark]
                let losses: Int64 = first == "failed" ? 1 : 2
                history.tasks[Self.id] = Self.task(
                    "failed",
                    type: "weak",
                    attempt: 2,
                    interruptions: losses,
                    reason: "poison"
                )
                history.attempts = [
                    Self.attempt(1, first, reason: first == "failed" ? "signal" : nil),
                    Self.attempt(2, "failed", reason: "poison"),
                ]
                history.killedHandlers = ["\(Self.id).1"]
                history.streams = []
                (history.countedBytes, history.keptBytes) = (0, 0)
            }
        }
        #expect(found(history("rehydrated")) == [])
        expect(.terminal, "is poison after 1 losses", history("failed"))
    }

    @Test("I4: a final that never came, came under two ids, differs, or came after its acknowledgement")
    func finals() {
        let final = History.Final(messageID: "a", id: Self.id, run: 1, status: "completed")
        #expect(found { $0.finals = [final, final] } == [])
        expect(.finals, "never came") { $0.finals = [] }
        expect(.finals, "run 1 never came") { history in
            history.tasks[Self.id] = Self.task("completed", run: 2)
            history.finals = [final]
            history.finals?[0].run = 2
        }
        expect(.finals, "several ids") { history in
            var other = final
            other.messageID = "b"
            history.finals = [final, other]
        }
        expect(.finals, "says failed") { history in
            history.finals = [final]
            history.finals?[0].status = "failed"
        }
        expect(.finals, "after its acknowledgement") { history in
            var late = final
            late.isAfterAck = true
            history.finals = [final, late]
        }
    }

    @Test("I5: a hole, other bytes, bytes twice, a gap for nothing, an end that is not counted")
    func output() {
        expect(.output, "goes on at 5") {
            $0.streams = [Self.stream(Self.piece(0, "one\n"), Self.piece(5, "w"))]
        }
        expect(.output, "not what was written") { $0.streams = [Self.stream(Self.piece(0, "two\ntw"))] }
        expect(.output, "goes on at 2") { history in
            history.streams = [Self.stream(Self.piece(0, "one\n"), Self.piece(2, "e\ntw"))]
        }
        expect(.output, "nothing had to give way") { history in
            let gap = History.Piece(offset: 0, bytes: nil, length: 4)
            history.streams = [Self.stream(gap, Self.piece(4, "tw"))]
        }
        expect(.output, "ends at 4, counted are 6") { $0.streams = [Self.stream(Self.piece(0, "one\n"))] }
        expect(.output, "bytes, known are 3") { $0.attempts[0].stdoutEnd = 3 }
        expect(.output, "what the API shows") { $0.shownStreams = [Self.stream(Self.piece(1, "ne"))] }
    }

    @Test("I6: more than the cap, more than a task's limit, a wrong count, a file without bounds")
    func bounds() {
        expect(.bounds, "the cap is 5") { $0.spoolCap = 5 }
        expect(.bounds, "its limit is 5") { $0.types["talk"]?.outputLimit = 5 }
        expect(.bounds, "are counted") { $0.countedBytes = 7 }
        expect(.bounds, "the database takes") { $0.fileBytes = 1 << 40 }
    }

    @Test("I7: a run that nobody began, a run that is gone, a run begun twice, losses that are not counted")
    func runs() {
        expect(.runs, "has run 2; 1 submits") { $0.tasks[Self.id] = Self.task("completed", run: 2) }
        expect(.runs, "clients were told [2]") { $0.submits[0].answer = (201, 2) }
        expect(.runs, "began one run") { $0.submits.append($0.submits[0]) }
        expect(.runs, "counts 1 losses") { $0.tasks[Self.id] = Self.task("completed", interruptions: 1) }
        expect(.runs, "went back from run 2") { history in
            history.sightings = [Self.sighting(1, "running", run: 2), Self.sighting(2, "running")]
        }
    }

    @Test("I8 to I11: slow answers, survivors, leaks, bystanders")
    func surroundings() {
        #expect(found { $0.livezMilliseconds = [3, 1000] } == [])
        expect(.alive, "1001 ms") { $0.livezMilliseconds = [3, 1001] }
        expect(.survivors, "sleep") { $0.survivors = ["sleep lives on"] }
        expect(.bystanders, "hit") { $0.hitBystanders = ["process 1 was hit"] }
        let first = History.Census(descriptors: 40, threads: 10, zombies: 0, launchers: 0)
        func census(_ change: (inout History.Census) -> Void) -> (inout History) -> Void {
            var last = first
            change(&last)
            return { [last] in $0.censuses = [first, last] }
        }
        #expect(found(census { ($0.descriptors, $0.launchers) = (90, 10) }) == [])
        expect(.leaks, "90 descriptors", census { $0.descriptors = 90 })
        expect(.leaks, "threads", census { $0.threads = 40 })
        expect(.leaks, "zombies", census { $0.zombies = 1 })
    }

    @Test("I12: failures that are forgotten or counted twice, a back-off beyond its maximum")
    func pools() {
        func seen(_ failures: Int64..., ahead: Int64? = nil) -> (inout History) -> Void {
            { history in
                history.tasks[Self.id] = Self.task("failed", type: "bad", reason: "exit")
                history.attempts = [Self.attempt(1, "failed", reason: "exit")]
                history.streams = []
                (history.countedBytes, history.keptBytes) = (0, 0)
                history.longestBackoff = 80
                history.poolSightings = failures.map {
                    History.PoolSighting(name: "frail", failures: $0, backoffAhead: ahead)
                }
            }
        }
        #expect(found(seen(0, 1, ahead: 80)) == [])
        expect(.pools, "forgot failures", seen(1, 0))
        expect(.pools, "counts 2 failures; 1 attempts", seen(1, 2))
        expect(.pools, "backs off for 81 ms", seen(1, ahead: 81))
    }

    @Test("I13: an untyped error, an end by itself, a task that nobody submitted")
    func errors() {
        expect(.errors, "500") { $0.faults = ["GET /v1/tasks got 500"] }
        expect(.errors, "nobody submitted") { $0.submits = [] }
        expect(.errors, "of no type") { $0.types = [:] }
    }
}
