import BulkheadCore
import Foundation
import Testing

@testable import BulkheadHost

/// A temporary folder of a test's own, removed at its end.
final class HostFolder: Sendable {
    /// A file system in memory, where there is one: on some disks each removal of a folder costs milliseconds.
    static let inMemory =
        FileManager.default.isWritableFile(atPath: "/dev/shm") ? "/dev/shm" : "/tmp"

    let path: String
    private let place: String

    init(in place: String = "/tmp") throws {
        self.place = place
        path = "\(place)/bulkhead-host-\(UInt64.random(in: 0 ... .max))"
        try SystemFailure.checkErrno(unsafe mkdir(path, 0o755))
        try setMode("", 0o755)
    }

    deinit {
        let name = String(path.dropFirst(place.utf8.count + 1))
        for warning in TreeRemoval.remove(name, in: place) { Issue.record("\(warning)") }
    }

    func callAsFunction(_ name: String) -> String { path + "/" + name }

    @discardableResult
    func folder(_ name: String, mode: mode_t = 0o755) throws -> String {
        try FileManager.default.createDirectory(atPath: self(name), withIntermediateDirectories: true)
        try setMode(name, mode)
        return self(name)
    }

    @discardableResult
    func file(_ name: String, _ content: String, mode: mode_t = 0o644) throws -> String {
        try file(name, bytes: Array(content.utf8), mode: mode)
    }

    @discardableResult
    func file(_ name: String, bytes: [UInt8], mode: mode_t = 0o644) throws -> String {
        try? FileManager.default.removeItem(atPath: self(name))
        try Data(bytes).write(to: URL(fileURLWithPath: self(name)))
        try setMode(name, mode)
        return self(name)
    }

    @discardableResult
    func link(_ name: String, to target: String) throws -> String {
        try SystemFailure.checkErrno(unsafe symlink(target, self(name)))
        return self(name)
    }

    func setMode(_ name: String, _ mode: mode_t) throws {
        try SystemFailure.checkErrno(unsafe chmod(self(name), mode))
    }

    func give(_ name: String, to uid: UInt32) throws {
        try SystemFailure.checkErrno(unsafe lchown(self(name), uid, .max))
    }
}

/// What the tests' user may do.
enum Rights {
    static let isRoot = geteuid() == 0
    static let needsRoot: Comment = "only root can give a file to another user"
    static let isNotRoot = geteuid() != 0
    static let bindsNotRoot: Comment = "root passes every folder whatever its mode"
    static let canMount =
        HostFeatures.effectiveCapabilities(status: ProcFile.text("/proc/self/status") ?? "") & (1 << 21) != 0
}

/// A program that a test runs to its end.
enum Program {
    struct Ended: Sendable {
        var status: Int32
        var wasKilled: Bool
    }

    /// Not by Foundation, which sees an end only when every child of the program has ended too.
    static func run(_ path: String, _ arguments: [String]) async throws -> Ended {
        let pid = try spawn(path, arguments)
        return await withCheckedContinuation { done in
            Thread.detachNewThread {
                var status: Int32 = 0
                while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
                let signal = status & 0x7F
                done.resume(
                    returning: Ended(
                        status: signal == 0 ? (status >> 8) & 0xFF : signal,
                        wasKilled: signal != 0
                    )
                )
            }
        }
    }

    static func spawn(_ path: String, _ arguments: [String]) throws -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for number: Int32 in 0...2 {
            unsafe posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_RDWR, 0)
        }
        var words = unsafe ([path] + arguments).map { unsafe strdup($0) } + [nil]
        defer { unsafe words.forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let failure = unsafe posix_spawn(&pid, path, &actions, nil, &words, environ)
        guard failure == 0 else { throw SystemFailure(failure) }
        return pid
    }
}

/// Expects one of Bulkhead's own errors and gives it.
func refusal<Value: ~Copyable>(
    _ body: () throws(BulkheadError) -> Value,
    sourceLocation: SourceLocation = #_sourceLocation
) -> BulkheadError? {
    do throws(BulkheadError) {
        _ = try body()
    } catch {
        return error
    }
    Issue.record("nothing was refused", sourceLocation: sourceLocation)
    return nil
}
