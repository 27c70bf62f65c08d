import BulkheadCore
import BulkheadLaunch
import CLinux
import Foundation
import Glibc
import Logging
import Synchronization
import Testing

@testable import BulkheadHost

/// What the tests of launchers share: the built launcher, specs, and processes that are not Foundation's.
enum LauncherWorkbench {
    /// The built launcher, which the test run puts beside the test bundle.
    static var launcher: String { Bundle.main.bundleURL.appendingPathComponent("bulkhead-launcher").path }

    static func pool(
        launcher: String = launcher,
        maximumIdle: Int = 4,
        idleTime: Duration = .seconds(60),
        times: LauncherPool.Times = LauncherPool.Times()
    ) throws -> LauncherPool {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return try LauncherPool(
            executable: launcher,
            maximumIdle: maximumIdle,
            idleTime: idleTime,
            logger: logger,
            times: times
        )
    }

    static func spec(_ attempt: UInt64, _ arguments: String...) -> LaunchSpec {
        var spec = LaunchSpec(
            attempt: attempt,
            executable: arguments[0],
            arguments: arguments,
            environment: ["PATH=/usr/bin:/bin"],
            workingFolder: "/"
        )
        spec.graceNanoseconds = 100_000_000
        return spec
    }

    /// Writes an executable shell script into a folder of its own, for launchers that do wrong.
    static func script(_ body: String) throws -> String {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("bulkhead-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let path = folder.appendingPathComponent("launcher").path
        // Written by another process: a fork of this one would hold it open for writing, and it could not be run.
        let text = "#!/bin/sh\n\(body)\n"
        let writer = try TestChild(
            "/bin/sh",
            "-c",
            "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"",
            "sh",
            text,
            path
        )
        try #require(writer.exitStatus() == 0)
        return path
    }

    static func removeScript(_ path: String) {
        try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent)
    }
}

/// What an attempt said, gathered to its end.
struct Gathered {
    var started: ProcessMark?
    var stdout: [UInt8] = []
    var outcome: LaunchOutcome?
    var refusal: (stage: LaunchStage, errno: Int32)?
    var lost: String?
}

extension Launcher {
    /// Runs an attempt to its end, acknowledges everything and answers what it said.
    func run(
        _ spec: LaunchSpec,
        stdin: [UInt8] = [],
        onStarted: (ProcessMark) -> Void = { _ in }
    ) async throws -> Gathered {
        var gathered = Gathered()
        var understood = MeaningBatch()
        for await event in try launch(spec, stdin: stdin) {
            switch event {
            case .message(.started(_, let pid, let startTime)):
                let mark = ProcessMark(pid: pid, startTime: startTime, bootID: ProcessIdentity.bootID)
                gathered.started = mark
                onStarted(mark)
            case .message(.output(let attempt, let stream, let offset, let bytes)):
                if stream == .stdout { gathered.stdout += bytes }
                send(.outputAck(attempt: attempt, stream: stream, offset: offset + UInt64(bytes.count)))
            case .message(.event(let attempt, let line, _, _)):
                guard let meanings = understood.add(.stray, bytes: line.count) else { continue }
                send(.eventAck(attempt: attempt, meanings: meanings))
            case .message(.finished(_, let outcome)): gathered.outcome = outcome
            case .message(.refused(_, let stage, let errno, _)): gathered.refusal = (stage, errno)
            case .message: break
            case .lost(let reason): gathered.lost = reason
            case .left: break
            }
        }
        send(.outcomeAck(attempt: spec.attempt))
        return gathered
    }
}

/// A child of the test process, which nobody reaps but the test.
final class TestChild: Sendable {
    let mark: ProcessMark
    private let isReaped = Mutex(false)

    /// Starts a program; `leadsSession` gives it a session of its own.
    init(_ arguments: String..., leadsSession: Bool = false) throws {
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        if leadsSession { unsafe posix_spawnattr_setflags(&attributes, 0x80) }  // POSIX_SPAWN_SETSID
        var pid: pid_t = 0
        var pointers = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { unsafe pointers.forEach { unsafe free($0) } }
        let error = unsafe posix_spawn(&pid, arguments[0], nil, &attributes, &pointers, nil)
        try #require(error == 0)
        mark = try #require(ProcessIdentity.mark(of: pid))
    }

    /// Waits for its end and reaps it: its exit status, or the negative number of a signal.
    func exitStatus() -> Int32 {
        isReaped.withLock { isReaped in
            guard !isReaped else { return 0 }
            isReaped = true
            var status: Int32 = 0
            unsafe waitpid(mark.pid, &status, 0)
            return status & 0x7f == 0 ? status >> 8 : -(status & 0x7f)
        }
    }

    /// Ends and reaps it.
    deinit {
        if !isReaped.withLock({ $0 }) { Glibc.kill(mark.pid, SIGKILL) }
        _ = exitStatus()
    }
}
