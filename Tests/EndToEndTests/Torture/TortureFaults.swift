import BulkheadCore
import Foundation
import SeededRandom

/// What goes wrong during a round, and how it ends.
struct TortureFaults {
    private let bench: Workbench
    private let log: TortureLog
    private var random: SeededRandom

    init(_ bench: Workbench, _ log: TortureLog, seed: UInt64) {
        self.bench = bench
        self.log = log
        random = SeededRandom(seed: seed)
    }

    // MARK: While it runs

    /// Lets a time pass in which launchers and handlers are killed and processes stand still.
    mutating func trouble(_ server: ChildProcess, during time: Duration) async {
        let end = ContinuousClock.now + time
        while ContinuousClock.now < end {
            let step = Duration.milliseconds(Int.random(in: 30...300, using: &random))
            try? await Task.sleep(for: min(step, end - ContinuousClock.now))
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<15: killLauncher()
            case 15..<30: killHandler()
            case 30..<38: await pauseLauncher()
            case 38..<44: await pause(server)
            default: break
            }
        }
    }

    /// The launchers, without what they have forked and not yet executed.
    private var launchers: [pid_t] {
        let all = bench.launchers
        return all.filter { pid in ProcessTable.entry(of: pid).map { !all.contains($0.parent) } ?? false }
    }

    private mutating func killLauncher() {
        guard let pid = launchers.randomElement(using: &random) else { return }
        Self.kill(launcher: pid, log)
    }

    /// Kills a launcher, and notes which.
    static func kill(launcher pid: pid_t, _ log: TortureLog) {
        guard let entry = ProcessTable.entry(of: pid), !entry.isZombie else { return }
        // Noted first, so that no look at the history misses it.
        log.note { $0.killedLaunchers.insert(History.Mark(pid: pid, start: entry.startTime)) }
        Glibc.kill(pid, SIGKILL)
        log.count("launcher")
    }

    /// Kills the handler's own process: of all that have an attempt's environment it is the oldest.
    private mutating func killHandler() {
        let processes = bench.handlerProcesses.compactMap {
            process -> (attempt: String, ProcessTable.Entry)? in
            guard let name = ProcessTable.attempt(of: process.pid) else { return nil }
            return (name, process)
        }
        let trees = Dictionary(grouping: processes, by: \.attempt).sorted { $0.key < $1.key }
        guard let tree = trees.randomElement(using: &random),
            let oldest = tree.value.map(\.1).min(by: { ($0.startTime, $0.pid) < ($1.startTime, $1.pid) })
        else { return }
        log.note { $0.killedHandlers.insert(tree.key) }
        Glibc.kill(oldest.pid, SIGKILL)
        log.count("handler")
    }

    private mutating func pauseLauncher() async {
        guard let pid = launchers.randomElement(using: &random) else { return }
        Glibc.kill(pid, SIGSTOP)
        try? await Task.sleep(for: .milliseconds(Int.random(in: 50...400, using: &random)))
        Glibc.kill(pid, SIGCONT)
        log.count("launcher paused")
    }

    private mutating func pause(_ server: ChildProcess) async {
        log.hold(true)
        server.send(SIGSTOP)
        try? await Task.sleep(for: .milliseconds(Int.random(in: 100...900, using: &random)))
        server.send(SIGCONT)
        log.hold(false)
        log.count("supervisor paused")
    }

    // MARK: How it ends

    /// Ends the supervisor in one of the ways in which supervisors end.
    mutating func end(_ server: ChildProcess) async {
        if server.hasEnded {
            let end = await server.result()
            log.note {
                $0.faults.append("the supervisor ended by itself with \(end.words)")
            }
            return
        }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<50: await end(server, SIGKILL, "SIGKILL")
        case 50..<57: await end(server, SIGSEGV, "SIGSEGV")
        case 57..<64: await end(server, SIGABRT, "SIGABRT")
        case 64..<76: await end(server, SIGTERM, "SIGTERM")
        case 76..<84:
            log.note { $0.hasStopped = true }
            await end(server, SIGINT, "SIGINT")
        default:
            // As when the machine goes: nothing is left of supervisor, launchers and handlers.
            await end(server, SIGKILL, "everything")
            for pid in bench.launchers { Self.kill(launcher: pid, log) }
        }
    }

    private func end(_ server: ChildProcess, _ signal: Int32, _ name: String) async {
        server.send(signal)
        let end = await server.result()
        log.keep(end.err)
        let isGraceful = signal == SIGTERM || signal == SIGINT
        if isGraceful ? end.code != 0 : end.signal != signal {
            log.note { $0.faults.append("at \(name) the supervisor ended with \(end.words)") }
        }
        log.count(name)
    }

    /// Sometimes kills the next supervisors while they recover, up to five in a row.
    mutating func killRecoveries(_ arguments: [String]) async {
        guard Int.random(in: 0..<100, using: &random) < 35 else { return }
        for _ in 0..<Int.random(in: 1...5, using: &random) {
            guard let server = try? bench.launchServer(arguments) else { return }
            try? await Task.sleep(for: .milliseconds(Int.random(in: 10...450, using: &random)))
            if Int.random(in: 0..<5, using: &random) == 0 { killLauncher() }
            await end(server, SIGKILL, "recovery")
        }
    }
}

extension ProcessTable {
    /// The attempt to which a process belongs, as `id.attempt`.
    static func attempt(of pid: pid_t) -> String? {
        let fields = text("/proc/\(pid)/environ")?.split(separator: "\0") ?? []
        func value(_ name: String) -> Substring? {
            fields.first { $0.hasPrefix(name + "=") }?.dropFirst(name.count + 1)
        }
        guard let id = value("BULKHEAD_TASK_ID"), let attempt = value("BULKHEAD_ATTEMPT") else { return nil }
        return "\(id).\(attempt)"
    }
}

/// Asks a supervisor again and again whether it lives, and how long its queue is.
struct TortureProbe {
    private let bench: Workbench
    private let log: TortureLog
    private let server: ChildProcess

    init(_ bench: Workbench, _ log: TortureLog, _ server: ChildProcess) {
        self.bench = bench
        self.log = log
        self.server = server
    }

    /// How late a short sleep may end on a machine that answers; later than that, the machine stood still.
    private static let lateness = Duration.milliseconds(250)

    /// Asks until it gets no answer, or the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await watchMachine() }
            await ask()
            group.cancelAll()
        }
    }

    /// Sees whether this machine gives anybody time at all.
    private func watchMachine() async {
        while !Task.isCancelled {
            let begin = ContinuousClock.now
            try? await Task.sleep(for: .milliseconds(20))
            if ContinuousClock.now - begin > Self.lateness {
                log.hold(true)
                log.hold(false)
            }
        }
    }

    private func ask() async {
        while !Task.isCancelled {
            let begin = ContinuousClock.now
            guard let answer = try? await bench.api("GET", "/livez") else { return }
            let milliseconds = Int64((ContinuousClock.now - begin) / .milliseconds(1))
            // One that stood still cannot answer.
            if !log.wasHeld(since: begin) { log.note { $0.livezMilliseconds.append(milliseconds) } }
            log.inspect(answer, of: "GET /livez")
            if let counts = try? await bench.api("GET", "/v1/status").json["counts"] {
                log.backlog = counts["queued"]?.integer ?? 0
            }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }
}

extension ChildProcess.Result {
    /// How it ended and what it said last.
    var words: String { (code.map { "code \($0)" } ?? "signal \(signal ?? 0)") + ": " + err.suffix(2000) }
}
