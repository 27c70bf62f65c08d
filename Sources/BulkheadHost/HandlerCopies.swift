import BulkheadCore
import BulkheadLaunch
import Foundation

/// The folder of verified copies: `SHA256/NAME`, mode 0555, in folders of mode 0755.
struct HandlerCopies {
    let folder: String

    private static let pieceBytes = 256 << 10
    /// Times that a copy is looked at for a writer before it is given up, a millisecond apart.
    private static let writerChecks = 1_000

    init(folder: String) throws(BulkheadError) {
        self.folder = folder
        do throws(SystemFailure) {
            try Self.makeFolder(folder)
        } catch {
            throw BulkheadError(
                .host,
                "the folder of handler copies \(folder) cannot be made",
                cause: error.description,
                advice: "mend the rights above it, or move it with the setting scratch"
            )
        }
        try PathRules.checkFolder(folder)
    }

    func path(digest: String, name: String) -> String {
        "\(folder)/\(digest)/\(name)"
    }

    /// Whether a copy is there, with the owner, mode and size that it was left with.
    func holds(digest: String, name: String, size: UInt64) -> Bool {
        guard let status = try? FileStatus.of(path(digest: digest, name: name)) else { return false }
        return status.kind == .file && status.uid == geteuid() && status.mode == 0o555 && status.size == size
    }

    /// Copies an open file, hashing it on the way.
    ///
    /// A copy that is there already stays if its bytes are the same, since a launch may be about to use it;
    /// else the new one takes its place.
    /// - Parameters:
    ///   - file: The open file; it is read from its beginning.
    ///   - size: Its size when it was checked.
    ///   - name: The name of the copy.
    ///   - source: Its path, for messages.
    /// - Returns: The digest.
    /// - Throws: ``BulkheadError``.
    func add(
        _ file: borrowing OpenDescriptor,
        size: UInt64,
        name: String,
        source: String
    ) throws(BulkheadError) -> String {
        let new = "\(folder)/.new-\(UInt64.random(in: 0 ... .max))"
        defer { _ = unsafe unlink(new) }
        do throws(SystemFailure) {
            let (digest, count) = try Self.write(file, to: new)
            if count == size {
                try place(new, digest, name, size)
                return digest
            }
        } catch {
            throw BulkheadError(
                .host,
                "\(source) could not be copied to \(folder)",
                cause: error.description,
                advice: "make room or mend the rights there, or move it with the setting scratch"
            )
        }
        throw BulkheadError(
            .typeRefused,
            "\(source) was changed while it was read",
            advice: "wait until its writer is done"
        )
    }

    /// Removes all copies but these, and what a broken-off copying left.
    func prune(keeping digests: Set<String>) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { !digests.contains($0) }.flatMap { TreeRemoval.remove($0, in: folder) }
    }

    private static func write(
        _ file: borrowing OpenDescriptor,
        to path: String
    ) throws(SystemFailure) -> (digest: String, count: UInt64) {
        guard lseek(file.number, 0, SEEK_SET) == 0 else { throw SystemFailure(errno) }
        let copy = try OpenDescriptor.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
        var hash = SHA256()
        var count: UInt64 = 0
        while true {
            let piece = try file.read(atMost: pieceBytes)
            guard !piece.isEmpty else { break }
            count += UInt64(piece.count)
            // A file that grows for ever ends here; its size then differs from what was checked.
            guard count <= UInt64(Limits.handlerBytes) else { break }
            hash.update(piece)
            try copy.writeAll(piece)
        }
        try SystemFailure.checkErrno(fchmod(copy.number, 0o555))
        return (hash.finish(), count)
    }

    private func place(
        _ new: String,
        _ digest: String,
        _ name: String,
        _ size: UInt64
    ) throws(SystemFailure) {
        let final = path(digest: digest, name: name)
        if holds(digest: digest, name: name, size: size), try Self.same(new, final) { return }
        try Self.makeFolder("\(folder)/\(digest)")
        try SystemFailure.checkErrno(unsafe rename(new, final))
        try Self.waitForWriters(of: final)
    }

    private static func same(_ one: String, _ other: String) throws(SystemFailure) -> Bool {
        let first = try OpenDescriptor.open(one, O_RDONLY | O_NOFOLLOW)
        let second = try OpenDescriptor.open(other, O_RDONLY | O_NOFOLLOW)
        while true {
            let piece = try first.read(atMost: pieceBytes)
            guard try second.read(atMost: pieceBytes) == piece else { return false }
            if piece.isEmpty { return true }
        }
    }

    /// Waits for the children that other threads were just forking: between fork and exec they hold the copy
    /// open for writing, and an exec of it in that moment would meet ETXTBSY.
    private static func waitForWriters(of path: String) throws(SystemFailure) {
        for _ in 0..<writerChecks {
            guard FileLease.hasWriter(path) == true else { return }
            usleep(1_000)
        }
        throw SystemFailure(ETXTBSY)
    }

    /// Makes a folder that others can read and pass, whatever the umask; one that is there must be ours.
    private static func makeFolder(_ path: String) throws(SystemFailure) {
        guard unsafe mkdir(path, 0o755) == 0 || errno == EEXIST else { throw SystemFailure(errno) }
        let made = try OpenDescriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        guard try FileStatus.of(made.number).uid == geteuid() else { throw SystemFailure(EPERM) }
        try SystemFailure.checkErrno(fchmod(made.number, 0o755))
    }
}
