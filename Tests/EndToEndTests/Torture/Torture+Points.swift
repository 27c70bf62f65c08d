import BulkheadCore
import Foundation

/// Rounds that end at a counted point.
extension Torture {
    /// Starts a supervisor that is struck at a point, and gives it a little work.
    ///
    /// It finds what the rounds before have left, so that recovery is counted through as well.
    /// - Returns: Whether the point was reached before all was done.
    mutating func round(strikingAt point: FaultPoint) async throws -> Bool {
        let page = try FaultPage(bench.folder + "/fault-page", point)
        let server = try bench.launchServer(Self.arguments, environment: page.environment)
        var client = TortureClient(bench, log, types, seed: random.next())
        let strike = Task { [bench, log] in try await Self.strike(page, bench, log, server) }
        let patience = Task { [log] in try await Self.endHanging(server, at: point, log) }
        defer { patience.cancel() }
        if await client.isHeard(by: server), await client.work() {
            // Only what has ended by then is acknowledged at a point.
            if await client.waitUntilIdle(server) { await TortureController(bench, log, seed: 0).drain() }
        }
        if !server.hasEnded { server.send(SIGTERM) }
        let end = await server.result()
        strike.cancel()
        try await strike.value
        log.keep(end.err)
        let isReached = try page.isReached()
        let isRight =
            switch point.victim {
            case .supervisor where isReached: end.signal == SIGKILL
            // Whoever lacks memory may say so, or fall; the next start finds what was promised all the same.
            case .call where isReached: true
            default: end.code == 0
            }
        if !isRight {
            log.note { $0.faults.append("\(point): the supervisor ended with \(end.words)") }
        }
        if isReached { log.count("\(point.kind)") }
        return isReached
    }

    /// Ends a supervisor that neither works nor ends, and notes it.
    private static func endHanging(
        _ server: ChildProcess,
        at point: FaultPoint,
        _ log: TortureLog
    ) async throws {
        try await Task.sleep(for: .seconds(60))
        guard !server.hasEnded else { return }
        log.note { $0.faults.append("\(point): the supervisor hangs") }
        server.send(SIGKILL)
    }

    /// Kills every launcher while the supervisor stands at its point, and lets it go on.
    private static func strike(
        _ page: FaultPage,
        _ bench: Workbench,
        _ log: TortureLog,
        _ server: ChildProcess
    ) async throws {
        while !server.hasEnded, !Task.isCancelled {
            if try page.isWaiting() {
                for pid in bench.launchers { TortureFaults.kill(launcher: pid, log) }
                try page.release()
                return
            }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }
}

extension TortureClient {
    /// Waits until a supervisor has recovered.
    /// - Returns: Whether it did before its end.
    func isHeard(by server: ChildProcess) async -> Bool {
        while !server.hasEnded {
            if (try? await bench.api("GET", "/healthz"))?.status == 200 { return true }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return false
    }

    /// Waits until nothing runs and nothing waits.
    /// - Returns: Whether that was so before the supervisor's end.
    func waitUntilIdle(_ server: ChildProcess) async -> Bool {
        while !server.hasEnded {
            guard let counts = try? await bench.api("GET", "/v1/status").json["counts"] else { return false }
            if counts["queued"]?.integer == 0, counts["running"]?.integer == 0 { return true }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return false
    }
}
