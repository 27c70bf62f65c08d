import BulkheadCore

/// What is measured, as the API shows it.
extension StatusJSON {
    static func spool(_ report: SupervisorReport) -> JSONValue {
        .object([
            "bytes": .integer(report.spoolBytes), "cap": .integer(report.spoolCap),
            "reservedBytes": .integer(report.store.reservedBytes),
            "outputBytes": .integer(report.store.outputBytes),
            "droppedBytes": .integer(report.store.droppedBytes),
        ])
    }

    static func outbox(_ store: StoreMeasures, now: Timestamp) -> JSONValue {
        var object: JSONObject = [
            "pendingMessages": .integer(store.pendingMessages), "finalBytes": .integer(store.finalBytes),
        ]
        object["oldestPendingAt"] = TaskJSON.time(store.oldestPending)
        object["oldestPendingSeconds"] = store.oldestPending.map { .decimal(max(0, (now - $0).inSeconds)) }
        return .object(object)
    }

    static func database(_ store: StoreMeasures) -> JSONValue {
        let commits = store.commits
        var object: JSONObject = [
            "bytes": .integer(store.databaseBytes), "logBytes": .integer(store.logBytes),
            "commits": .integer(commits.groups), "committedMutations": .integer(commits.mutations),
            "commitFailures": .integer(commits.failures),
        ]
        var reserve: JSONObject = [
            "heldBytes": .integer(store.reserve.heldBytes),
            "wantedBytes": .integer(store.reserve.wantedBytes),
        ]
        reserve["shortage"] = store.reserve.shortage.map { .string($0) }
        object["reserve"] = .object(reserve)
        if commits.groups > 0 {
            object["meanCommitSeconds"] = .decimal(commits.seconds / Double(commits.groups))
        }
        return .object(object)
    }

    /// Since the start: by reason only those that there were.
    static func attempts(_ counters: StoreCounters) -> JSONValue {
        var ended = JSONObject()
        for reason in [nil] + ErrorReason.allCases.map(Optional.some) {
            guard let count = counters.ended[reason], count > 0 else { continue }
            ended[reason?.rawValue ?? TaskStatus.completed.rawValue] = .integer(count)
        }
        return .object([
            "started": .integer(counters.started), "ended": .object(ended),
            "putBack": .integer(counters.putBack),
            "deniedCalls": .integer(Int64(clamping: counters.denied)),
        ])
    }

    static func value(_ process: ProcessMeasures) -> JSONValue {
        .object([
            "descriptors": .integer(process.descriptors),
            "descriptorLimit": .integer(process.descriptorLimit), "threads": .integer(process.threads),
            "residentBytes": .integer(process.residentBytes), "cpuSeconds": .decimal(process.cpuSeconds),
        ])
    }
}
