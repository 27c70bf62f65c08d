import CLinux
import Foundation
import Glibc
import Synchronization

/// A program that a test runs, as a user's shell would: clean signals, its own pipes, nothing else inherited.
final class ChildProcess: Sendable {
    /// How it ended and what it wrote.
    struct Result: Sendable {
        var code: Int32?
        var signal: Int32?
        var stdout: [UInt8]
        var stderr: [UInt8]

        var out: String { String(decoding: stdout, as: UTF8.self) }
        var err: String { String(decoding: stderr, as: UTF8.self) }
    }

    let pid: pid_t
    private let state = Mutex(State())

    private struct State {
        var stdout: [UInt8] = []
        var stderr: [UInt8] = []
        var openPipes = 2
        var status: Int32?
        var result: Result?
        var waiters: [CheckedContinuation<Result, Never>] = []
        var lineWaiters: [(text: String, continuation: CheckedContinuation<Bool, Never>)] = []
    }

    /// Starts a program that reads this from stdin and finds nothing else in its environment.
    init(
        _ executable: String,
        _ arguments: [String],
        stdin: [UInt8] = [],
        environment: [String: String],
        folder: String
    ) throws {
        let input = try Self.pipe()
        let output = try Self.pipe()
        let errors = try Self.pipe()
        pid = try Self.spawn(
            executable,
            [executable] + arguments,
            environment.map { "\($0.key)=\($0.value)" },
            folder: folder,
            descriptors: [input.read, output.write, errors.write]
        )
        for descriptor in [input.read, output.write, errors.write] { close(descriptor) }
        Thread.detachNewThread { Self.write(stdin, to: input.write) }
        Thread.detachNewThread { self.read(output.read) { $0.stdout += $1 } }
        Thread.detachNewThread { self.read(errors.read) { $0.stderr += $1 } }
        Thread.detachNewThread { self.waitForExit() }
    }

    /// Waits for its end and for the end of its pipes.
    func result() async -> Result {
        await withCheckedContinuation { continuation in
            let result = state.withLock { state -> Result? in
                if state.result == nil { state.waiters.append(continuation) }
                return state.result
            }
            if let result { continuation.resume(returning: result) }
        }
    }

    /// Waits until stderr holds a text.
    /// - Returns: Whether it came before the program's end.
    func says(_ text: String) async -> Bool {
        await withCheckedContinuation { continuation in
            let known = state.withLock { state -> Bool? in
                if Self.contains(state.stderr, text) { return true }
                if state.result != nil { return false }
                state.lineWaiters.append((text, continuation))
                return nil
            }
            if let known { continuation.resume(returning: known) }
        }
    }

    /// What it has written to stderr so far.
    var errorsSoFar: String { state.withLock { String(decoding: $0.stderr, as: UTF8.self) } }

    /// Whether it has ended.
    var hasEnded: Bool { state.withLock { $0.status != nil } }

    func send(_ signal: Int32) { kill(pid, signal) }

    // MARK: Threads

    private func read(_ descriptor: Int32, _ keep: @Sendable (inout State, ArraySlice<UInt8>) -> Void) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe Foundation.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            let ready = state.withLock { state in
                keep(&state, buffer[..<count])
                let found = state.lineWaiters.filter { Self.contains(state.stderr, $0.text) }
                state.lineWaiters.removeAll { Self.contains(state.stderr, $0.text) }
                return found
            }
            for waiter in ready { waiter.continuation.resume(returning: true) }
        }
        close(descriptor)
        finish { $0.openPipes -= 1 }
    }

    private func waitForExit() {
        var status: Int32 = 0
        while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let ended = status
        finish { $0.status = ended }
    }

    private func finish(_ change: @Sendable (inout State) -> Void) {
        let (waiters, lineWaiters, result) = state.withLock {
            state -> ([CheckedContinuation<Result, Never>], [CheckedContinuation<Bool, Never>], Result?) in
            change(&state)
            guard let status = state.status, state.openPipes == 0, state.result == nil else {
                return ([], [], nil)
            }
            let signal = status & 0x7f
            state.result = Result(
                code: signal == 0 ? status >> 8 & 0xff : nil,
                signal: signal == 0 ? nil : signal,
                stdout: state.stdout,
                stderr: state.stderr
            )
            defer {
                state.waiters = []
                state.lineWaiters = []
            }
            return (state.waiters, state.lineWaiters.map(\.continuation), state.result)
        }
        guard let result else { return }
        for waiter in waiters { waiter.resume(returning: result) }
        for waiter in lineWaiters { waiter.resume(returning: false) }
    }

    // MARK: System calls

    private static func contains(_ bytes: [UInt8], _ text: String) -> Bool {
        String(decoding: bytes, as: UTF8.self).contains(text)
    }

    private static func pipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        let result = unsafe clinux_pipe(&ends, O_CLOEXEC)
        guard result >= 0 else { throw POSIXError(.init(rawValue: -result) ?? .EIO) }
        return (ends[0], ends[1])
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        // A program that does not read its input closes the pipe; SIGPIPE must not end the tests.
        signal(SIGPIPE, SIG_IGN)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe Foundation.write(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            rest = rest.dropFirst(count)
        }
        close(descriptor)
    }

    private typealias Actions = UnsafeMutablePointer<posix_spawn_file_actions_t>

    /// glibc shows these two to those who define _GNU_SOURCE, which Swift does not.
    private static let inFolder = unsafe unsafeBitCast(
        symbol("posix_spawn_file_actions_addchdir_np"),
        to: (@convention(c) (Actions, UnsafePointer<CChar>) -> Int32).self
    )
    private static let closingFrom = unsafe unsafeBitCast(
        symbol("posix_spawn_file_actions_addclosefrom_np"),
        to: (@convention(c) (Actions, Int32) -> Int32).self
    )

    private static func symbol(_ name: String) -> UnsafeMutableRawPointer {
        guard let address = unsafe dlsym(dlopen(nil, RTLD_NOW), name) else {
            fatalError("the C library has no \(name)")
        }
        return unsafe address
    }

    private static func spawn(
        _ executable: String,
        _ arguments: [String],
        _ environment: [String],
        folder: String,
        descriptors: [Int32]
    ) throws -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        _ = unsafe inFolder(&actions, folder)
        for (number, descriptor) in descriptors.enumerated() {
            unsafe posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
        }
        _ = unsafe closingFrom(&actions, 3)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        unsafe sigemptyset(&none)
        unsafe sigfillset(&all)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        unsafe posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF)
        )
        var pid: pid_t = 0
        var argv = unsafe arguments.map { unsafe strdup($0) } + [nil]
        var envp = unsafe environment.map { unsafe strdup($0) } + [nil]
        defer {
            unsafe (argv + envp).forEach { unsafe free($0) }
        }
        let error = unsafe posix_spawn(&pid, executable, &actions, &attributes, &argv, &envp)
        guard error == 0 else { throw POSIXError(.init(rawValue: error) ?? .EIO) }
        return pid
    }
}
