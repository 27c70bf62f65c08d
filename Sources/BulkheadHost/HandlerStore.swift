public import BulkheadCore
import Foundation
import Synchronization

/// Checks handlers and keeps the verified copies that run.
///
/// A script cannot be run by a close-on-exec descriptor, and a path can be swapped between check and exec. So a
/// handler is opened once, and the bytes of that open file, hashed while they are copied, are what runs.
public final class HandlerStore: Sendable {
    /// The fixed search path of handlers, on which `#!/usr/bin/env NAME` is resolved too.
    public static let searchPath = [
        "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
    ]

    private static let headBytes = 64 << 10

    private let copies: HandlerCopies
    private let interpreters: Interpreters
    private let known = Mutex(KnownDigests())
    /// Copies that attempts run, and how many of them.
    private let held = Mutex<[String: Int]>([:])

    /// Makes the folder of copies where it is missing.
    /// - Parameters:
    ///   - copiesFolder: Absolute path of the folder, which handlers can read and not write; see
    ///     ``ScratchFolders/handlersFolder``.
    ///   - searchPath: Folders in which `env` finds interpreters.
    /// - Throws: ``BulkheadError``: the folder cannot be made, or breaks the rule of owner and mode.
    public init(
        copiesFolder: String,
        searchPath: [String] = HandlerStore.searchPath
    ) throws(BulkheadError) {
        copies = try HandlerCopies(folder: copiesFolder)
        interpreters = Interpreters(searchPath: searchPath)
    }

    /// Checks a handler and makes sure that a copy of it lies ready.
    ///
    /// A link is followed where it and what it names obey the rule. An unchanged file is not read again.
    /// - Parameter path: The handler's path.
    /// - Returns: The checked handler.
    /// - Throws: ``BulkheadError``: `notFound`, or `typeRefused` with what is wrong and how to mend it; `host`
    ///   where the copy cannot be made.
    public func take(path: String) throws(BulkheadError) -> HandlerFile {
        let file = try PathRules.openFile(path)
        let status = try Self.status(of: file, path)
        try Self.check(status, path)
        let head = try Self.head(of: file, path)
        let execution = try interpreters.execution(of: head, size: status.size, path: path)
        let name = PathName(path).name
        let digest: String
        if let known = knownDigest(path, name, status) {
            digest = known
        } else {
            digest = try copy(file, status, name, path)
        }
        return HandlerFile(
            name: name,
            sourcePath: path,
            digest: digest,
            size: status.size,
            copyPath: copies.path(digest: digest, name: name),
            kind: execution.kind,
            interpreter: execution.interpreter,
            needsSecondExec: execution.needsSecondExec
        )
    }

    /// Whether a handler's copy is still there and as it was left; cheap enough for each launch.
    public func isReady(_ handler: HandlerFile) -> Bool {
        copies.holds(digest: handler.digest, name: handler.name, size: handler.size)
    }

    /// Makes sure, before a launch, that a handler's copy is there: one that something has cleaned away is made anew.
    ///
    /// - Parameter handler: The handler as it was checked.
    /// - Throws: ``BulkheadError``: `conflict` where its file is no longer what was checked, `notFound` where it has gone,
    ///   else as ``take(path:)``.
    public func restore(_ handler: HandlerFile) throws(BulkheadError) {
        guard !isReady(handler) else { return }
        let again = try take(path: handler.sourcePath)
        guard again.digest == handler.digest else {
            throw BulkheadError(
                .conflict,
                "\(handler.sourcePath) is not what was checked: its SHA-256 is \(again.digest), and was \(handler.digest)",
                advice: "submit the task again, which runs the file that is there now"
            )
        }
    }

    /// Keeps a copy, whatever becomes of its file, until it is released as often as it was held.
    public func hold(_ digest: String) {
        held.withLock { $0[digest, default: 0] += 1 }
    }

    /// Ends a hold; the next prune may remove the copy.
    public func release(_ digest: String) {
        held.withLock { held in
            let left = (held[digest] ?? 0) - 1
            held[digest] = left > 0 ? left : nil
        }
    }

    /// Removes the copies that nothing uses any more: no attempt runs them.
    /// - Parameter digests: The copies that stay, those of the catalog.
    /// - Returns: What could not be removed, as sentences.
    public func prune(keeping digests: Set<String>) -> [String] {
        let digests = digests.union(held.withLock { $0.keys })
        known.withLock { $0.keep(digests) }
        return copies.prune(keeping: digests)
    }

    private static func status(
        of file: borrowing OpenDescriptor,
        _ path: String
    ) throws(BulkheadError) -> FileStatus {
        do throws(SystemFailure) {
            return try FileStatus.of(file.number)
        } catch {
            throw PathWalk.unreachable(path, error, .typeRefused)
        }
    }

    private static func check(_ status: FileStatus, _ path: String) throws(BulkheadError) {
        guard status.mode & 0o111 != 0 else {
            throw BulkheadError(
                .typeRefused,
                "\(path) is not executable (mode \(status.modeText))",
                advice:
                    "run chmod +x \(ShellWord.quote(path)), or move it out of the folder if it is no handler"
            )
        }
        guard status.size > 0 else {
            throw BulkheadError(.typeRefused, "\(path) is empty", advice: "put the handler's program there")
        }
        guard status.size <= UInt64(Limits.handlerBytes) else {
            let limit = Quantities.text(bytes: Int64(Limits.handlerBytes))
            throw BulkheadError(
                .typeRefused,
                "\(path) has \(status.size) bytes, more than the \(limit) that a handler may have",
                advice: "keep its data in files of their own and let its policy read them"
            )
        }
    }

    private static func head(
        of file: borrowing OpenDescriptor,
        _ path: String
    ) throws(BulkheadError) -> [UInt8] {
        do throws(SystemFailure) {
            var head: [UInt8] = []
            while head.count < headBytes {
                let piece = try file.read(atMost: headBytes - head.count)
                guard !piece.isEmpty else { break }
                head += piece
            }
            return head
        } catch {
            throw PathWalk.unreachable(path, error, .typeRefused)
        }
    }

    private func knownDigest(_ path: String, _ name: String, _ status: FileStatus) -> String? {
        guard let digest = known.withLock({ $0.digest(path, status) }),
            copies.holds(digest: digest, name: name, size: status.size)
        else { return nil }
        return digest
    }

    private func copy(
        _ file: borrowing OpenDescriptor,
        _ status: FileStatus,
        _ name: String,
        _ path: String
    ) throws(BulkheadError) -> String {
        let digest = try copies.add(file, size: status.size, name: name, source: path)
        guard try Self.status(of: file, path) == status else {
            throw BulkheadError(
                .typeRefused,
                "\(path) was changed while it was read",
                advice: "wait until its writer is done"
            )
        }
        let now = Int64(Date().timeIntervalSince1970 * 1e9)
        known.withLock { $0.note(path, status, digest, now: now) }
        return digest
    }
}

/// The digests of files that have not changed since they were read.
struct KnownDigests {
    /// Nanoseconds for which a changed file is hashed anew each time: file systems tell changes apart only by
    /// the kernel's tick, so a second change may look like the first.
    static let settleNanoseconds: Int64 = 2_000_000_000

    private var files: [String: (status: FileStatus, digest: String)] = [:]

    func digest(_ path: String, _ status: FileStatus) -> String? {
        guard let file = files[path], file.status == status else { return nil }
        return file.digest
    }

    mutating func keep(_ digests: Set<String>) {
        files = files.filter { digests.contains($0.value.digest) }
    }

    /// Keeps a digest, unless the file was changed too recently before `now` (nanoseconds since 1970).
    mutating func note(_ path: String, _ status: FileStatus, _ digest: String, now: Int64) {
        files[path] = now - status.changed > Self.settleNanoseconds ? (status, digest) : nil
    }
}
