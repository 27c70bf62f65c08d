import BulkheadLaunch
import CLinux
import Foundation
import Glibc
import Testing

/// Why a driven launcher did not do what it was asked.
enum DriverError: Error {
    case failed(String, Int32)
    case silent(after: Double, seen: [LauncherMessage])
    case closed
    case unexpected(LauncherMessage)
}

/// What one attempt said, put together.
struct AttemptReport {
    var started: (pid: Int32, startTime: UInt64)?
    var stdout: [UInt8] = []
    var stderr: [UInt8] = []
    var lines: [(bytes: [UInt8], truncated: Bool, length: UInt64)] = []
    var denied: [UInt32: UInt64] = [:]
    var leftBehind: (processes: UInt32, holdsPipes: Bool)?
    var outcome: LaunchOutcome?
    var refusal: (stage: LaunchStage, errno: Int32, detail: String)?

    var text: String { String(decoding: stdout, as: UTF8.self) }

    /// Takes one message of the attempt; whether it was the last.
    mutating func take(_ message: LauncherMessage) throws -> Bool {
        switch message {
        case .ready, .challenge, .adopted:
            throw DriverError.unexpected(message)
        case .executing: break
        case .started(_, let pid, let startTime):
            started = (pid, startTime)
        case .output(_, let stream, let offset, let bytes):
            let have = stream == .stdout ? stdout.count : stderr.count
            guard offset == UInt64(have) else { throw DriverError.unexpected(message) }
            if stream == .stdout { stdout += bytes } else { stderr += bytes }
        case .event(_, let line, let truncated, let length):
            lines.append((line, truncated, length))
        case .denied(_, let syscall, let count):
            denied[syscall] = count
        case .leftBehind(_, let processes, let holdsPipes):
            leftBehind = (processes, holdsPipes)
        case .finished(_, let outcome):
            self.outcome = outcome
            return true
        case .refused(_, let stage, let errno, let detail):
            refusal = (stage, errno, detail)
            return true
        }
        return false
    }
}

/// A launcher, started and spoken to as the supervisor does it.
final class LauncherDriver {
    let pid: pid_t
    private(set) var socket: Int32
    private var nextAttempt: UInt64 = 0
    private var hasExited = false
    private var buffer = [UInt8](repeating: 0, count: LaunchLimits.packetBytes)

    static let program = Bundle.main.bundleURL.appendingPathComponent("bulkhead-launcher").path

    /// Starts a launcher, by other words before its path if need be, and waits until it is ready.
    init(by prefix: [String] = [], program: String = LauncherDriver.program) throws {
        var ends: [Int32] = [-1, -1]
        guard unsafe clinux_packet_pair(&ends) == 0 else { throw DriverError.failed("socketpair", errno) }
        socket = ends[0]
        let words = prefix + [program]
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], 0)
        var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
        var started: pid_t = 0
        let result = unsafe posix_spawn(&started, words[0], &actions, nil, &arguments, environ)
        for index in words.indices { unsafe free(arguments[index]) }
        unsafe posix_spawn_file_actions_destroy(&actions)
        close(ends[1])
        pid = started
        guard result == 0 else { throw DriverError.failed(words[0], result) }
        let secret = [UInt8](repeating: 1, count: LaunchLimits.secretBytes)
        try send(.prepare(Preparation(slot: 1, secret: secret)))
        try expectReady()
    }

    deinit {
        hangUp()
        if !hasExited { _ = try? waitForExit() }
    }

    /// Closes the control socket, as the supervisor's end does.
    func hangUp() {
        guard socket >= 0 else { return }
        close(socket)
        socket = -1
    }

    /// Waits for the launcher's exit and gives its code, 128 + signal if one killed it.
    func waitForExit(seconds: Double = 10) throws -> Int32 {
        let pidfd = clinux_pidfd_open(pid)
        guard pidfd >= 0 else { throw DriverError.failed("pidfd_open", -pidfd) }
        defer { close(pidfd) }
        guard try isReadable(pidfd, seconds) else { throw DriverError.silent(after: seconds, seen: []) }
        var ended = clinux_ended()
        _ = unsafe clinux_wait(pid, 0, &ended)
        hasExited = true
        return ended.signaled ? 128 + ended.value : ended.value
    }

    func send(_ message: SupervisorMessage, _ descriptors: [Int32] = []) throws {
        try send(MessageCodec.encode(message), descriptors)
    }

    func send(_ bytes: [UInt8], _ descriptors: [Int32] = []) throws {
        let sent = unsafe clinux_send_packet(socket, bytes, bytes.count, descriptors, descriptors.count, 0)
        guard sent >= 0 else { throw DriverError.failed("send", Int32(-sent)) }
    }

    /// The next message; throws at the end of the socket and after the given time.
    ///
    /// That the handler may run from now on is passed over, unless it is asked for: `started` or `refused` follows.
    func receive(seconds: Double = 10, executing isWanted: Bool = false) throws -> LauncherMessage {
        let message = try receiveAny(seconds)
        if case .executing = message, !isWanted { return try receiveAny(seconds) }
        return message
    }

    private func receiveAny(_ seconds: Double) throws -> LauncherMessage {
        guard try isReadable(socket, seconds) else { throw DriverError.silent(after: seconds, seen: []) }
        var packet = clinux_packet()
        let result = unsafe clinux_receive_packet(socket, &buffer, buffer.count, 0, &packet)
        guard result == 0 else { throw DriverError.failed("receive", -result) }
        guard !packet.end else { throw DriverError.closed }
        return try MessageCodec.launcherMessage(buffer[..<packet.count])
    }

    /// Whether nothing comes for the given time.
    func isSilent(seconds: Double) throws -> Bool { try !isReadable(socket, seconds) }

    func expectReady() throws {
        let message = try receive()
        guard case .ready(LaunchLimits.protocolVersion, pid) = message else {
            throw DriverError.unexpected(message)
        }
    }

    /// Sends the spec, numbered anew, with the handler's stdin.
    func launch(_ spec: LaunchSpec, stdin: [UInt8] = []) throws -> UInt64 {
        nextAttempt += 1
        var numbered = spec
        numbered.attempt = nextAttempt
        let bytes = try numbered.encoded()
        let files = [try sealed(bytes), try sealed(stdin)]
        defer { for file in files { close(file) } }
        try send(.launch(LaunchHeader(attempt: nextAttempt, specBytes: UInt32(bytes.count))), files)
        return nextAttempt
    }

    /// Runs an attempt to its acknowledged end.
    func run(
        _ spec: LaunchSpec,
        stdin: [UInt8] = [],
        seconds: Double = 20,
        whenStarted: (UInt64) throws -> Void = { _ in }
    ) throws -> AttemptReport {
        let attempt = try launch(spec, stdin: stdin)
        return try collect(attempt, seconds: seconds, whenStarted: whenStarted)
    }

    /// Takes an attempt's messages to its end, acknowledging all.
    func collect(
        _ attempt: UInt64,
        _ begun: AttemptReport = AttemptReport(),
        seconds: Double = 20,
        whenStarted: (UInt64) throws -> Void = { _ in }
    ) throws -> AttemptReport {
        var report = begun
        while true {
            let message = try receive(seconds: seconds)
            if try report.take(message) { break }
            switch message {
            case .output(_, let stream, let offset, let bytes):
                try send(.outputAck(attempt: attempt, stream: stream, offset: offset + UInt64(bytes.count)))
            case .event:
                try send(.eventAck(attempt: attempt, meanings: [.stray]))
            case .started:
                try whenStarted(attempt)
            default:
                break
            }
        }
        try send(.outcomeAck(attempt: attempt))
        try expectReady()
        return report
    }

    /// Descriptors that the launcher has open.
    func openDescriptors() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
    }

    func sealed(_ bytes: [UInt8]) throws -> Int32 {
        let file = unsafe clinux_memfd("test")
        guard file >= 0 else { throw DriverError.failed("memfd_create", -file) }
        guard unsafe write(file, bytes, bytes.count) == bytes.count, clinux_seal(file) == 0,
            lseek(file, 0, SEEK_SET) == 0
        else { throw DriverError.failed("memfd", errno) }
        return file
    }

    private func isReadable(_ descriptor: Int32, _ seconds: Double) throws -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let ready = unsafe clinux_poll(&entry, 1, Int64(seconds * 1e9))
        guard ready >= 0 else { throw DriverError.failed("poll", -ready) }
        return ready > 0
    }
}

/// A spec that runs a line of shell.
func shell(_ script: String, environment: [String] = ["PATH=/usr/bin:/bin"]) -> LaunchSpec {
    LaunchSpec(
        attempt: 0,
        executable: "/bin/bash",
        arguments: ["bash", "-c", script],
        environment: environment,
        workingFolder: "/"
    )
}

/// Processes whose command line holds a word, anywhere on the machine.
func processes(holding word: String) throws -> [pid_t] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { name in
        guard let pid = pid_t(name), pid != getpid(),
            let line = FileManager.default.contents(atPath: "/proc/\(name)/cmdline"),
            String(decoding: line, as: UTF8.self).contains(word)
        else { return nil }
        return pid
    }
}

/// A filter written by hand: the given calls go to the launcher, other machines' are killed, the rest goes through.
func notifyingFilter(_ numbers: [Int32]) -> [UInt8] {
    let load: UInt16 = 0x20
    let jumpIfEqual: UInt16 = 0x15
    let answer: UInt16 = 0x06
    let known = ([Int32(CLINUX_RENDEZVOUS_SYSCALL)] + numbers).filter { $0 >= 0 }
    var program: [(UInt16, UInt8, UInt8, UInt32)] = [
        (load, 0, 0, 4), (jumpIfEqual, 1, 0, clinux_audit_arch), (answer, 0, 0, 0x8000_0000), (load, 0, 0, 0),
    ]
    for (index, number) in known.enumerated() {
        program.append((jumpIfEqual, UInt8(known.count - index), 0, UInt32(bitPattern: number)))
    }
    program += [(answer, 0, 0, 0x7fff_0000), (answer, 0, 0, 0x7fc0_0000)]
    return program.flatMap { code, yes, no, value in
        [UInt8(code), 0, yes, no] + (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }
}
