import BulkheadCore
import Foundation
import SeededRandom

/// One client of a torture: it submits, submits again, cancels and removes through the socket until it is told to end.
struct TortureClient {
    let bench: Workbench
    let log: TortureLog
    let types: [TortureType]
    var random: SeededRandom

    /// Tasks that may wait before a client holds back.
    private static let fullQueue: Int64 = 80

    init(_ bench: Workbench, _ log: TortureLog, _ types: [TortureType], seed: UInt64) {
        self.bench = bench
        self.log = log
        self.types = types.flatMap { Array(repeating: $0, count: $0.weight) }
        random = SeededRandom(seed: seed)
    }

    /// Makes calls until there is no supervisor, or the task is cancelled.
    mutating func run() async {
        while !Task.isCancelled {
            guard await act() else { return }
            try? await Task.sleep(for: .milliseconds(Int.random(in: 0...15, using: &random)))
        }
    }

    /// Sends what got no answer before, and one new task of each kind that ends by itself soon.
    /// - Returns: Whether each call had an answer.
    mutating func work() async -> Bool {
        while let task = log.takeUnanswered() {
            guard await submit(task) else { return false }
        }
        for type in ["lines", "once", "flaky", "bad", "forks"] {
            var task = newTask()
            task.type = type
            guard await submit(task) else { return false }
        }
        return true
    }

    /// Makes one call.
    /// - Returns: Whether there was an answer.
    private mutating func act() async -> Bool {
        if let task = log.takeUnanswered() { return await submit(task) }
        let choice = Int.random(in: 0..<100, using: &random)
        if choice >= 26 || log.backlog == 0 {
            guard log.backlog < Self.fullQueue else { return true }
            let task = newTask()
            return choice % 10 == 0 ? await submitTwice(task) : await submit(task)
        }
        if choice >= 22 { return await batch() }
        guard let task = log.take(&random) else { return true }
        switch choice {
        case 0..<8: return await submit(task)
        case 8..<16: return await cancel(task)
        // The tasks of the pool whose failures are counted stay.
        case 16..<19 where task.type != "bad": return await remove(task)
        default: return await conflict(task)
        }
    }

    /// A new task, with the file by which its attempts see whether one of them still lives.
    private mutating func newTask() -> TortureLog.Known {
        let id = UUID().uuidString.lowercased()
        _ = FileManager.default.createFile(atPath: bench.effects + "/locks/" + id, contents: Data())
        return TortureLog.Known(id: id, type: types.randomElement(using: &random)?.name ?? "quick")
    }

    private func call(
        _ method: String,
        _ path: String,
        _ body: JSONValue? = nil
    ) async -> APICall.Answer? {
        guard let answer = try? await bench.api(method, path, body) else { return nil }
        log.inspect(answer, of: "\(method) \(path)")
        return answer
    }

    private func submit(_ task: TortureLog.Known) async -> Bool {
        let body: JSONValue = ["type": .string(task.type), "id": .string(task.id)]
        let answer = await call("POST", "/v1/tasks", body)
        log.submitted(task, told(task, answer?.status, answer?.json))
        return answer != nil
    }

    /// Two submits of one id at the same instant begin one run.
    private func submitTwice(_ task: TortureLog.Known) async -> Bool {
        let body: JSONValue = ["type": .string(task.type), "id": .string(task.id)]
        async let other = call("POST", "/v1/tasks", body)
        let first = await call("POST", "/v1/tasks", body)
        let second = await other
        let submit = told(task, second?.status, second?.json)
        log.note { $0.submits.append(submit) }
        log.submitted(task, told(task, first?.status, first?.json))
        return first != nil && second != nil
    }

    /// What a client knows of a submit after its answer.
    private func told(_ task: TortureLog.Known, _ status: Int?, _ json: JSONValue?) -> History.Submit {
        var submit = History.Submit(id: task.id, answer: nil, mayCount: true)
        guard let status else { return submit }
        submit.mayCount = status == 200 || status == 201
        if submit.mayCount { submit.answer = (status, json?["run"]?.integer ?? 0) }
        if ![200, 201, 503].contains(status) {
            log.note { $0.faults.append("a submit of \(task.type) got \(status)") }
        }
        return submit
    }

    private mutating func batch() async -> Bool {
        var tasks: [TortureLog.Known] = []
        for _ in 0..<Int.random(in: 2...6, using: &random) { tasks.append(newTask()) }
        let body = tasks.map { JSONValue.object(["type": .string($0.type), "id": .string($0.id)]) }
        let answer = await call("POST", "/v1/tasks/batch", ["tasks": .array(body)])
        let outcomes = answer?.json["outcomes"]?.array ?? []
        for (index, task) in tasks.enumerated() {
            let outcome = outcomes.dropFirst(index).first
            // A batch that was refused as a whole has taken none.
            let status = answer.map { outcome?["status"]?.integer.map { Int($0) } ?? $0.status }
            log.submitted(task, told(task, status, outcome?["task"]))
        }
        return answer != nil
    }

    private func cancel(_ task: TortureLog.Known) async -> Bool {
        let answer = await call("POST", "/v1/tasks/\(task.id)/cancel")
        let run = answer?.json["run"]?.integer
        log.note { $0.cancels.append(History.Call(id: task.id, status: answer?.status, run: run)) }
        log.giveBack(task)
        return answer != nil
    }

    /// Removes a task, of which nobody speaks from then on, unless it was refused.
    private func remove(_ task: TortureLog.Known) async -> Bool {
        let answer = await call("DELETE", "/v1/tasks/\(task.id)")
        log.note { $0.removals.append(History.Call(id: task.id, status: answer?.status)) }
        if answer?.status == 409 { log.giveBack(task) }
        return answer != nil
    }

    /// The same id with other params is refused, whatever state it is in.
    private func conflict(_ task: TortureLog.Known) async -> Bool {
        let body: JSONValue = ["type": .string(task.type), "id": .string(task.id), "params": ["other": true]]
        let answer = await call("POST", "/v1/tasks", body)
        if let answer, ![409, 503].contains(answer.status) {
            log.note { $0.faults.append("other params of \(task.id) got \(answer.status)") }
        }
        log.giveBack(task)
        return answer != nil
    }
}
