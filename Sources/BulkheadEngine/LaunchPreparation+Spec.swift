import BulkheadCore
import BulkheadHost
import BulkheadLaunch
import BulkheadPolicy

extension LaunchPreparation {
    /// Everything that the launcher needs.
    func spec(for entry: CatalogEntry, task: TaskRecord, place: LaunchPlace) -> LaunchSpec {
        let policy = entry.policy
        var spec = LaunchSpec(
            attempt: UInt64(task.attempt),
            executable: entry.handler.executable,
            arguments: entry.handler.command(adding: policy.arguments),
            environment: environment(entry, task, place),
            workingFolder: place.holdings.scratch
        )
        spec.task = task.id.text
        spec.timeoutNanoseconds = UInt64(policy.timeout?.wholeNanoseconds ?? 0)
        spec.graceNanoseconds = UInt64(policy.grace.wholeNanoseconds)
        spec.cpuNanoseconds = UInt64(policy.limits.cpu?.wholeNanoseconds ?? 0)
        spec.openFiles = policy.limits.openFiles.map { UInt64($0) }
        spec.fileSizeBytes = policy.limits.fileSize.map { UInt64($0) }
        spec.user = place.user
        spec.cgroup = place.cgroup
        spec.namespaces = place.namespaces
        spec.landlock = place.files.spec
        spec.filter = entry.sandbox.filterSpec
        spec.eventLineBytes = UInt32(settings.resultLimit + Limits.eventLineSlackBytes)
        return spec
    }

    private func environment(_ entry: CatalogEntry, _ task: TaskRecord, _ place: LaunchPlace) -> [String] {
        var variables: [EnvironmentVariable] = [
            EnvironmentVariable(name: "PATH", value: HandlerStore.searchPath.joined(separator: ":")),
            EnvironmentVariable(name: "LANG", value: "C.UTF-8"),
            EnvironmentVariable(name: "HOME", value: place.holdings.scratch),
            EnvironmentVariable(name: "TMPDIR", value: place.holdings.scratch),
            EnvironmentVariable(name: "BULKHEAD_TASK_ID", value: task.id.text),
            EnvironmentVariable(name: "BULKHEAD_TASK_TYPE", value: task.type.name),
            EnvironmentVariable(name: "BULKHEAD_RUN", value: "\(task.run)"),
            EnvironmentVariable(name: "BULKHEAD_ATTEMPT", value: "\(task.attempt)"),
            EnvironmentVariable(name: "BULKHEAD_SCRATCH", value: place.holdings.scratch),
            EnvironmentVariable(name: "BULKHEAD_EVENTS_FD", value: "3"),
            EnvironmentVariable(name: "BULKHEAD_PLUGIN_DIR", value: settings.pluginsFolder),
        ]
        if let deadline = deadline(entry, task) {
            variables.append(EnvironmentVariable(name: "BULKHEAD_DEADLINE", value: deadline.description))
        }
        let added = Set(entry.policy.environment.map(\.name))
        return (variables.filter { !added.contains($0.name) } + entry.policy.environment)
            .map { "\($0.name)=\($0.value)" }
    }

    /// What keeps the attempt's user from other supervisors, where it is one of our range.
    func userBlock(of holdings: Holdings) -> UserBlock? { holdings.dynamicUser.flatMap(users.block(of:)) }

    /// The handler's input: one JSON object, and a line's end so that a shell's `read` takes it whole.
    func input(for entry: CatalogEntry, task: TaskRecord) -> [UInt8] {
        var object: JSONObject = [
            "protocol": 1, "id": .string(task.id.text), "type": .string(task.type.name),
            "run": .integer(task.run), "attempt": .integer(task.attempt), "params": task.params,
        ]
        object["metadata"] = task.metadata
        object["deadline"] = deadline(entry, task).map { .string($0.description) }
        return JSONValue.object(object).bytes + [UInt8(ascii: "\n")]
    }

    private func deadline(_ entry: CatalogEntry, _ task: TaskRecord) -> Timestamp? {
        guard let timeout = entry.policy.timeout, let start = task.startedAt else { return nil }
        return start + timeout
    }
}
