import BulkheadCore
import CLinux
import Dispatch
import Foundation
import Glibc
import Synchronization

/// The one thread from which launchers are started, and which never ends.
///
/// Children of a Swift task's or a Dispatch thread inherit a blocked signal mask, and whatever the kernel ties
/// to the starting thread ends with it. `Process.run` is serialised here as well: it copies descriptors.
final class LauncherStarter: Sendable {
    /// The process's only one.
    static let shared = LauncherStarter()

    private let jobs = Mutex<[@Sendable () -> Void]>([])
    private let posted = DispatchSemaphore(value: 0)

    private init() {
        LaunchGate.raiseLimit()
        let thread = Thread { self.run() }
        thread.name = "launchers"
        thread.start()
    }

    /// Runs a job on the thread, after those posted before.
    func post(_ job: @escaping @Sendable () -> Void) {
        jobs.withLock { $0.append(job) }
        posted.signal()
    }

    private func run() -> Never {
        while true {
            posted.wait()
            let job = jobs.withLock { $0.removeFirst() }
            job()
        }
    }
}

/// A launcher as a process: Foundation started it, its pidfd tells its end.
final class LauncherProcess: Sendable {
    /// Bytes of a launcher's stderr that are kept.
    private static let wordsBytes = 4096

    /// Tells the launcher from every other process.
    let mark: ProcessMark
    /// The supervisor's end of the control socket; belongs to the port that is made of it.
    let socket: Int32

    private let handle: ProcessHandle
    private let words: Int32
    private let foundation: Foundation.Process
    private let reaped: DispatchGroup

    /// Starts a launcher; for `LauncherStarter`'s thread alone.
    ///
    /// - Parameter executable: The path of `bulkhead-launcher`.
    /// - Throws: `BulkheadError` with code `host` when descriptors, memory or processes are short.
    init(starting executable: String) throws(BulkheadError) {
        try LaunchGate.check()
        // A spawn that fails leaks two descriptors inside Foundation, so what can be seen beforehand is.
        try Self.check(executable)
        var ends: [Int32] = [-1, -1]
        let paired = unsafe clinux_packet_pair(&ends)
        guard paired >= 0 else { throw .system("socketpair", "no launcher can be started", errno: -paired) }
        defer { close(ends[1]) }
        let words: Int32
        do {
            words = try Self.makeWords()
        } catch {
            close(ends[0])
            throw error
        }
        let process = Self.process(executable, control: ends[1], words: words)
        let reaped = DispatchGroup()
        reaped.enter()
        process.terminationHandler = { _ in reaped.leave() }
        do {
            try process.run()
            guard let mark = ProcessIdentity.mark(of: process.processIdentifier),
                let handle = ProcessHandle(mark)
            else { throw BulkheadError(.host, "a launcher ended as soon as it had started") }
            self.mark = mark
            self.handle = handle
        } catch {
            close(ends[0])
            close(words)
            throw error as? BulkheadError
                ?? BulkheadError(.host, "\(executable) cannot be started", cause: "\(error)")
        }
        self.socket = ends[0]
        self.words = words
        self.foundation = process
        self.reaped = reaped
    }

    deinit {
        close(words)
    }

    private static func process(_ executable: String, control: Int32, words: Int32) -> Foundation.Process {
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        process.environment = [:]
        process.arguments = []
        process.standardInput = FileHandle(fileDescriptor: control, closeOnDealloc: false)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle(fileDescriptor: words, closeOnDealloc: false)
        return process
    }

    private static func check(_ executable: String) throws(BulkheadError) {
        var status = clinux_stat()
        let found = unsafe clinux_stat(AT_FDCWD, executable, 0, &status)
        guard found >= 0 else {
            throw .system("statx", "there is no launcher at \(executable)", errno: -found)
        }
        guard UInt32(status.mode) & UInt32(S_IFMT) == UInt32(S_IFREG), unsafe access(executable, X_OK) == 0
        else {
            throw BulkheadError(.host, "the launcher at \(executable) is not an executable file")
        }
    }

    /// A launcher's stderr: memory of a fixed size, so that last words can be read when it has gone, nothing
    /// blocks it, and it never holds the supervisor's own stderr open.
    private static func makeWords() throws(BulkheadError) -> Int32 {
        let made = unsafe clinux_memfd("bulkhead-launcher-stderr")
        guard made >= 0 else { throw .system("memfd_create", "no launcher can be started", errno: -made) }
        guard ftruncate(made, off_t(wordsBytes)) == 0, clinux_seal_size(made) >= 0 else {
            let error = errno
            close(made)
            throw .system("ftruncate", "no launcher can be started", errno: error)
        }
        return made
    }

    /// Whether the process has ended, reaped or not.
    var hasEnded: Bool { handle.hasEnded }

    /// Whether Foundation has reaped it; a hint, since its exit notices can be late.
    var isReaped: Bool { reaped.wait(timeout: .now()) == .success }

    /// Sends SIGKILL to exactly this process.
    func kill() {
        _ = handle.send(SIGKILL)
    }

    /// How it ended and what it wrote to stderr last, once it has been reaped; nil when there is nothing to say.
    var lastWords: String? {
        var bytes = [UInt8](repeating: 0, count: Self.wordsBytes)
        let count = unsafe pread(words, &bytes, bytes.count, 0)
        let said = bytes.prefix(max(count, 0)).prefix { $0 != 0 }
        let text = String(decoding: said, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        var parts: [String] = []
        if isReaped, foundation.terminationReason == .uncaughtSignal {
            parts.append("signal \(foundation.terminationStatus) ended it")
        } else if isReaped, foundation.terminationStatus != 0 {
            parts.append("it exited with \(foundation.terminationStatus)")
        }
        if !text.isEmpty { parts.append("its last words: \(text)") }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }
}
