import BulkheadCore

/// Whether each task ended as what happened to it says.
extension HistoryCheck {
    mutating func checkTasks() {
        let cancelled = Set(history.cancels.map(\.id))
        for (id, task) in history.tasks {
            guard let type = history.types[task.text("type")] else {
                expect(false, .errors, "\(id) is of no type that was submitted: \(task.text)")
                continue
            }
            let rows = (attempts[id] ?? []).sorted { $0.attempt < $1.attempt }
            checkCounts(of: task, rows)
            for row in rows { checkOutcome(of: row, type, isCancelled: cancelled.contains(id)) }
            checkEnd(of: task, type, rows, isCancelled: cancelled.contains(id))
        }
    }

    private static func isLoss(_ row: History.Attempt) -> Bool {
        ["rehydrated", "interrupted"].contains(row.outcome) || row.reason == "poison"
    }

    /// The task's counters are those of its attempts.
    private mutating func checkCounts(of task: JSONValue, _ rows: [History.Attempt]) {
        let id = task.text("id")
        let attempt = task["attempt"]?.integer ?? -1
        expect(
            HistoryCheck.isTerminal(task.text("status")),
            .terminal,
            "\(id) is \(task.text("status")) at the end"
        )
        guard attempt <= Limits.attemptsShown else { return }
        expect(
            rows.map(\.attempt) == Array(1...max(attempt, 1)).filter { $0 <= attempt },
            .oneHandler,
            "\(id) counts \(attempt) attempts and has \(rows.map(\.attempt))"
        )
        let losses = Int64(rows.count(where: Self.isLoss))
        let counted = task["interruptions"]?.integer ?? -1
        // What was lost while it was being stopped is not counted.
        expect(
            losses == counted || history.hasStopped && losses > counted,
            .runs,
            "\(id) counts \(counted) losses; its attempts: \(rows.map { $0.outcome ?? "" })"
        )
        expect(
            rows.allSatisfy { $0.outcome != nil },
            .terminal,
            "\(id) has an attempt without an end: \(rows.map(\.outcome))"
        )
        expect(
            rows.allSatisfy { $0.run <= task["run"]?.integer ?? 0 },
            .runs,
            "\(id) has attempts of the runs \(rows.map(\.run))"
        )
    }

    /// An attempt ended as its handler does, or for something that was done to it.
    private mutating func checkOutcome(of row: History.Attempt, _ type: TortureType, isCancelled: Bool) {
        let name = "attempt \(row.attempt) of \(row.id) (\(type.name))"
        let wasKilled = history.killedHandlers.contains("\(row.id).\(row.attempt)")
        if Self.isLoss(row) {
            // Where the supervisor went between the attempt's row and its launch, nothing has begun.
            let hasBegun = began.contains("\(row.id).\(row.attempt)")
            expect(
                !hasBegun || row.launcher.map(history.killedLaunchers.contains) == true,
                .terminal,
                "\(name) was lost (\(row.outcome ?? "")), and its launcher was not killed"
            )
            expect(
                type.rehydrates == (row.outcome != "interrupted"),
                .terminal,
                "\(name) is \(row.outcome ?? "") against its policy"
            )
            return
        }
        switch row.outcome {
        case "completed":
            expect(
                type.reason == nil && !type.isEndless,
                .terminal,
                "\(name) is completed and cannot be"
            )
        case "failed":
            let isOwn = row.reason == type.reason && type.reason != nil
            expect(
                isOwn || row.reason == "signal" && wasKilled,
                .terminal,
                "\(name) failed with \(row.reason ?? "no reason"); its handler was \(wasKilled ? "" : "not ")killed"
            )
        case "cancelled":
            expect(isCancelled, .terminal, "\(name) is cancelled, and nobody asked for that")
        case "stopped":
            expect(history.hasStopped, .terminal, "\(name) was stopped, and no supervisor was told to")
        default:
            expect(false, .terminal, "\(name) ended with \(row.outcome ?? "nothing")")
        }
    }

    /// The task ended as its last attempt did, and after as many attempts as its rules give.
    private mutating func checkEnd(
        of task: JSONValue,
        _ type: TortureType,
        _ rows: [History.Attempt],
        isCancelled: Bool
    ) {
        let id = task.text("id")
        let status = task.text("status")
        let last = rows.last
        switch status {
        case "completed":
            expect(last?.outcome == "completed", .terminal, "\(id) is completed, its attempt is not")
            expect(
                task["result"] == type.result,
                .terminal,
                "\(id) has the result \(task["result"]?.text ?? "none")"
            )
        case "cancelled":
            expect(isCancelled, .terminal, "\(id) is cancelled, and nobody asked for that")
        case "interrupted":
            expect(
                !type.rehydrates && ["interrupted", "stopped"].contains(last?.outcome),
                .terminal,
                "\(id) is interrupted after \(last?.outcome ?? "nothing") under \(type.recovery)"
            )
        case "failed":
            expect(
                last?.outcome == "failed" && last?.reason == task.reason,
                .terminal,
                "\(id) failed with \(task.reason), its attempt with \(last?.reason ?? "nothing")"
            )
            checkTries(task, type, rows)
        default: break
        }
    }

    /// A failed run had all its retries, and a poisoned one its losses in a row.
    private mutating func checkTries(_ task: JSONValue, _ type: TortureType, _ rows: [History.Attempt]) {
        guard task["attempt"]?.integer ?? 0 <= Limits.attemptsShown else { return }
        let ofRun = rows.filter { $0.run == task["run"]?.integer }
        if task.reason == "poison" {
            let inRow = ofRun.reversed().prefix { Self.isLoss($0) || $0.outcome == "stopped" }
                .count(where: Self.isLoss)
            expect(
                Int64(inRow) == type.lossLimit,
                .terminal,
                "\(task.text("id")) is poison after \(inRow) losses in a row"
            )
            return
        }
        let failures = Int64(ofRun.count { $0.outcome == "failed" })
        expect(
            failures == 1 + type.retries,
            .terminal,
            "\(task.text("id")) failed after \(failures) of \(1 + type.retries) tries: \(ofRun.map(\.outcome))"
        )
    }
}
