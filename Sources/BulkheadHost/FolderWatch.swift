public import BulkheadCore
import CLinux
import Foundation
import Synchronization

/// Tells when something changed in folders, once it has been quiet for a while.
///
/// A folder may be missing, removed and made anew: it is watched from the moment that it is there. A change is only a
/// hint to look again. Where the kernel cannot tell (no watches left, no right, a network file system), the
/// hint comes at regular times.
public final class FolderWatch: Sendable {
    /// How long nothing may have changed before it is looked at.
    public static let quiet: Duration = .milliseconds(200)

    /// One hint for any number of changes, for one reader, until ``stop()``.
    public let changes: AsyncStream<Void>

    private let hint: AsyncStream<Void>.Continuation
    private let stopper: Mutex<OpenDescriptor?>

    /// Begins to watch; a reader looks at the folders once after this.
    /// - Parameters:
    ///   - paths: The folders, relative to the working folder unless they begin with a slash.
    ///   - quiet: How long nothing may have changed before a change is told.
    /// - Throws: ``BulkheadError`` with the code `host`: there are no descriptors left.
    public init(paths: [String], quiet: Duration = FolderWatch.quiet) throws(BulkheadError) {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Void.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        changes = stream
        hint = continuation
        var ends: [Int32] = [-1, -1]
        let made = unsafe clinux_pipe(&ends, 0)
        guard made >= 0 else {
            throw BulkheadError(
                .host,
                "no pipe can be made for the watch of \(paths.joined(separator: ", "))",
                cause: SystemFailure(-made).description,
                advice: "raise the supervisor's limit of open files (LimitNOFILE, ulimit -n)"
            )
        }
        stopper = Mutex(OpenDescriptor(owning: ends[1]))
        let wake = OpenDescriptor(owning: ends[0])
        let loop = WatchLoop(paths: paths, quiet: quiet, stop: wake) { continuation.yield() }
        let thread = Thread {
            loop.run()
            continuation.finish()
        }
        thread.name = "folder-watch"
        thread.start()
    }

    deinit {
        stop()
    }

    /// Gives a hint of its own, for what may have changed elsewhere.
    public func lookAgain() { hint.yield() }

    /// Ends the watch and the stream of changes.
    public func stop() {
        // The loop sees the end of the pipe.
        stopper.withLock { $0 = nil }
    }

    /// Whether a file is still being written: somebody has it open for writing, or it was changed within
    /// ``quiet``.
    /// - Parameter path: The file; one that cannot be seen is not being written.
    /// - Returns: Whether it is too early to read it.
    public static func isBeingWritten(_ path: String) -> Bool {
        guard let status = try? FileStatus.of(path, 0), status.kind == .file else { return false }
        let age = Int64(Date().timeIntervalSince1970 * 1e9) - status.modified
        // A time in the future is some clock's error, not a change of this moment.
        if age >= 0, age < quiet.components.attoseconds / 1_000_000_000 { return true }
        return hasWriter(path)
    }

    /// Whether somebody has a file open for writing.
    /// - Parameter path: The file.
    /// - Returns: Whether that is so; false where it cannot be seen, as for another user's file.
    public static func hasWriter(_ path: String) -> Bool {
        FileLease.hasWriter(path) ?? false
    }
}
