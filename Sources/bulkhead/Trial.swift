import BulkheadCore
import BulkheadEngine
import BulkheadPolicy
import Foundation
import Glibc
import Logging
import ServiceLifecycle
import Synchronization
import UnixSignals

/// A supervisor for a few tasks of one type: in this process, in folders of its own that go when it ends.
///
/// What runs in it runs as under `serve`: the same catalog, launcher, filter, file rules and limits.
struct Trial: Sendable {
    /// What is tried.
    struct Subject: Sendable {
        var type: TaskType
        /// The folder of its handler, from root.
        var pluginsFolder: String
        /// Its policy, as a file for this trial; nil for the built-in one.
        var policyText: String?
        /// The OCI profile that it names, as a file for this trial.
        var profile: ProfileSource.File?
        /// The settings that a launch depends on.
        var scratch: String?
        var dynamicUsers: ClosedRange<UInt32>
    }

    let type: TaskType
    private let supervisor: Supervisor
    private let observations: Observations

    /// Runs a trial; a signal stops what runs in it, and clears it away.
    /// - Parameters:
    ///   - subject: What is tried.
    ///   - body: What is done with it.
    /// - Returns: What the body gives.
    /// - Throws: What the body throws, or ``Failure`` where the trial was interrupted.
    static func run<Answer: Sendable>(
        _ subject: Subject,
        _ body: @escaping @Sendable (Trial) async throws -> Answer
    ) async throws -> Answer {
        umask(0o077)
        let folder = try TrialFolder(of: subject)
        defer { folder.remove() }
        let observations = Observations()
        let supervisor = try await Supervisor.open(
            try settings(subject, folder, observations),
            logger: logger
        )
        supervisor.setStopMode(.stop)
        let trial = Trial(type: subject.type, supervisor: supervisor, observations: observations)
        let work = TrialWork {
            try await supervisor.ready.wait()
            return try await body(trial)
        }
        var group = ServiceGroupConfiguration(
            services: [
                .init(service: supervisor),
                .init(
                    service: work,
                    successTerminationBehavior: .gracefullyShutdownGroup,
                    failureTerminationBehavior: .gracefullyShutdownGroup
                ),
            ],
            gracefulShutdownSignals: [.sigint, .sigterm],
            logger: logger
        )
        group.cancellationSignals = []
        try await ServiceGroup(configuration: group).run()
        guard let answer = work.answer else { throw Failure(.taskFailed, "interrupted before its end") }
        return try answer.get()
    }

    private static func settings(
        _ subject: Subject,
        _ folder: TrialFolder,
        _ observations: Observations
    ) throws(BulkheadError) -> SupervisorSettings {
        var settings = SupervisorSettings(
            version: Bulkhead.version,
            pluginsFolder: subject.pluginsFolder,
            policiesFolder: folder.policies,
            stateFolder: folder.state,
            launcherExecutable: try LauncherProgram.path()
        )
        settings.scratchFolder = subject.scratch ?? folder.scratch
        settings.dynamicUsers = subject.dynamicUsers
        settings.onlyType = subject.type
        settings.observe = { observations.add($0) }
        return settings
    }

    private static var logger: Logger {
        var logger = Logger(label: "bulkhead", factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = .error
        return logger
    }

    // MARK: Tasks

    /// What keeps the type from running, as sentences; empty where nothing does.
    func problems() async -> [String] {
        let reports = await supervisor.plugins()
        if let report = reports.first(where: { $0.type == type }) { return report.problems }
        return reports.flatMap(\.problems) + ["there is no handler \(type) in the plugins folder"]
    }

    /// What is known of the type.
    func report() async -> PluginReport? {
        await supervisor.plugins().first { $0.type == type }
    }

    /// Runs a task to its end.
    func finish(_ params: JSONValue) async throws -> TrialRun {
        try await end(of: try await submit(params))
    }

    /// Runs a task and stops it once its handler has run for a while.
    /// - Parameters:
    ///   - params: The task's params.
    ///   - time: How long the handler runs first.
    /// - Returns: How it ended.
    /// - Throws: ``BulkheadError`` where the task could not be submitted or asked about.
    func stop(_ params: JSONValue, after time: Duration) async throws -> TrialRun {
        let id = try await submit(params)
        _ = try await report(on: id) { $0 != .queued }
        try await Task.sleep(for: time)
        do {
            _ = try await supervisor.cancel(id.text)
        } catch  where error.code == .wrongState {
            // It has ended by itself, which its record tells.
        }
        return try await end(of: id)
    }

    private func submit(_ params: JSONValue) async throws -> TaskID {
        let id = supervisor.newTaskID()
        _ = try await supervisor.submit(Submission(id: id, type: type, params: params))
        return id
    }

    private func end(of id: TaskID) async throws -> TrialRun {
        let report = try await report(on: id, once: \.isTerminal)
        return TrialRun(task: report.task, observation: observations.of(id))
    }

    private func report(
        on id: TaskID,
        once isReached: @escaping @Sendable (TaskStatus) -> Bool
    ) async throws -> TaskReport {
        let wait = Duration.seconds(Limits.waitSeconds)
        while true {
            try Task.checkCancellation()
            if let report = try await supervisor.wait(for: id.text, until: isReached, atMost: wait) {
                return report
            }
        }
    }

    /// What attempts told at their ends.
    private final class Observations: Sendable {
        private let all = Mutex<[TaskID: AttemptObservation]>([:])

        func add(_ observation: AttemptObservation) { all.withLock { $0[observation.task] = observation } }
        func of(_ id: TaskID) -> AttemptObservation? { all.withLock { $0[id] } }
    }
}

/// What is done in a trial, as a service beside its supervisor.
private final class TrialWork<Answer: Sendable>: Service {
    private let body: @Sendable () async throws -> Answer
    private let result = Mutex<Result<Answer, any Error>?>(nil)

    init(_ body: @escaping @Sendable () async throws -> Answer) { self.body = body }

    /// What became of it; nil where it was interrupted.
    var answer: Result<Answer, any Error>? { result.withLock(\.self) }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            do {
                let answer = try await self.body()
                self.result.withLock { $0 = .success(answer) }
            } catch is CancellationError {
            } catch {
                self.result.withLock { $0 = .failure(error) }
            }
        }
    }
}

/// The folders of a trial.
private struct TrialFolder {
    private let path: String
    var state: String { path + "/state" }
    var scratch: String { path + "/scratch" }
    var policies: String { path + "/policies" }

    /// Makes them, in `/var/tmp` where scratch folders lie by default; handlers of other users pass through.
    init(of subject: Trial.Subject) throws {
        let parent =
            FileManager.default.isWritableFile(atPath: "/var/tmp") ? "/var/tmp" : NSTemporaryDirectory()
        path = PathSetting.absolute(parent, below: "/") + "/bulkhead-trial-" + UUID().uuidString.lowercased()
        do {
            for (folder, mode) in [(path, 0o711), (path + "/scratch", 0o711), (path + "/policies", 0o755)] {
                try FileManager.default.createDirectory(
                    atPath: folder,
                    withIntermediateDirectories: false
                )
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: folder)
            }
            if let policy = subject.policyText {
                try Data(policy.utf8).write(to: URL(fileURLWithPath: "\(policies)/\(subject.type).yaml"))
            }
            if let profile = subject.profile {
                try Data(profile.bytes).write(to: URL(fileURLWithPath: "\(policies)/\(profile.shown)"))
            }
        } catch {
            remove()
            throw Failure(
                .ownFault,
                "no folder for the trial can be made in \(parent): \(Cause.words(of: error))"
            )
        }
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }
}
