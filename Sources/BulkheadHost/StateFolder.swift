public import BulkheadCore
import Foundation
import Synchronization

/// The supervisor's state folder: private to its user, and held by one supervisor at a time.
public final class StateFolder: Sendable {
    /// Bytes that `runtime.json` may have.
    public static let runtimeBytes = 1 << 20

    /// Absolute path without links.
    public let path: String
    /// 16 hexadecimal digits that stay with this folder for its life; what we keep elsewhere for it, such as
    /// scratch folders and control groups, lies in folders named after it.
    public let identity: String

    /// Where the database lies.
    public var databasePath: String { path + "/bulkhead.sqlite" }

    private let lock: Mutex<OpenDescriptor?>

    private init(path: String, identity: String, lock: consuming OpenDescriptor) {
        self.path = path
        self.identity = identity
        self.lock = Mutex(lock)
    }

    /// Makes the folder where it is missing, checks it, and takes its lock.
    /// - Parameter path: The folder, relative to the working folder unless it begins with a slash.
    /// - Returns: The folder, locked until ``release()`` or the end of the process.
    /// - Throws: ``BulkheadError``: `invalidSetting` for a folder that cannot serve, `unavailable` where another
    ///   supervisor has it, `storage` where it cannot be written.
    public static func open(_ path: String) throws(BulkheadError) -> StateFolder {
        try make(path)
        let real = try PathRules.checkFolder(path)
        try check(real, as: path)
        let lock = try takeLock(real)
        try probe(real)
        return StateFolder(path: real, identity: try identity(in: real), lock: lock)
    }

    /// Gives the folder free for another supervisor.
    public func release() {
        lock.withLock { $0 = nil }
    }

    /// Reads `runtime.json`.
    /// - Returns: Its bytes; nil where there is none.
    /// - Throws: ``BulkheadError`` with the code `storage`.
    public func readRuntime() throws(BulkheadError) -> [UInt8]? {
        try PrivateFile.read(path + "/runtime.json", limit: Self.runtimeBytes)
    }

    /// Replaces `runtime.json` as a whole; after a crash the old or the new one is there.
    /// - Parameter bytes: The new content.
    /// - Throws: ``BulkheadError`` with the code `storage`.
    public func writeRuntime(_ bytes: [UInt8]) throws(BulkheadError) {
        try PrivateFile.replace("runtime.json", in: path, with: bytes)
    }

    /// Removes `runtime.json`, when there is nothing to say.
    /// - Throws: ``BulkheadError`` with the code `storage`.
    public func removeRuntime() throws(BulkheadError) {
        try PrivateFile.remove("runtime.json", in: path)
    }
}

extension StateFolder {
    /// Types of file systems over a network, where locks and SQLite's shared memory do not hold.
    static let networkTypes: Set<String> = [
        "nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "ceph", "coda", "9p", "lustre",
        "gfs2",
        "ocfs2", "gpfs", "beegfs", "orangefs", "glusterfs", "davfs", "vboxsf", "vmhgfs", "prl_fs",
        "fuse.sshfs",
        "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "fuse.davfs2", "fuse.curlftpfs",
        "fuse.vmhgfs-fuse", "fuse.gcsfuse", "fuse.mount-s3", "fuse.juicefs",
    ]

    private static func make(_ path: String) throws(BulkheadError) {
        var made = PathName(path).isAbsolute ? "/" : ""
        let names = PathName(path).parts.filter { $0 != "." }
        for (index, name) in names.enumerated() {
            made += name
            let mode: mode_t = index == names.count - 1 ? 0o700 : 0o755
            // A folder above may exist where we may not make one, so only the last one's failure counts.
            let failure = unsafe mkdir(made, mode) == 0 ? 0 : errno
            if index == names.count - 1, failure != 0, failure != EEXIST {
                throw cannotMake(path, SystemFailure(failure))
            }
            made += "/"
        }
    }

    private static func cannotMake(_ path: String, _ failure: SystemFailure) -> BulkheadError {
        BulkheadError(
            failure.number == ENOSPC || failure.number == EDQUOT ? .storage : .invalidSetting,
            "the state folder \(path) cannot be made",
            cause: failure.description,
            advice: advice(for: failure, path)
        )
    }

    private static func advice(for failure: SystemFailure, _ path: String) -> String {
        switch failure.number {
        case ENOSPC, EDQUOT: "make room on that file system, or choose another folder with --state"
        case EROFS: "choose a folder on a writable file system with --state"
        default:
            "give user \(UserDirectory.describe(user: geteuid())) the right, or choose another with --state"
        }
    }

    private static func check(_ real: String, as path: String) throws(BulkheadError) {
        let status: FileStatus
        do throws(SystemFailure) {
            status = try FileStatus.of(real)
        } catch {
            throw PathWalk.unreachable(path, error, .invalidSetting)
        }
        guard status.uid == geteuid() else {
            throw BulkheadError(
                .invalidSetting,
                "the state folder \(path) belongs to user \(UserDirectory.describe(user: status.uid)), and this"
                    + " supervisor runs as \(UserDirectory.describe(user: geteuid()))",
                advice: "start it as that user, or choose another folder with --state"
            )
        }
        guard status.mode & 0o077 == 0 else {
            throw BulkheadError(
                .invalidSetting,
                "the state folder \(path) is open to others (mode \(status.modeText))",
                advice: "run chmod 0700 \(ShellWord.quote(path))"
            )
        }
        if let type = MountTable.current().mount(numbered: status.mount)?.type { try checkType(type, path) }
    }

    /// Refuses file systems on which two hosts could write one database.
    static func checkType(_ type: String, _ path: String) throws(BulkheadError) {
        guard networkTypes.contains(type) else { return }
        throw BulkheadError(
            .invalidSetting,
            "the state folder \(path) is on a network file system (\(type)), where neither its lock nor its"
                + " database can be relied on",
            advice: "choose a folder on a local disk with --state"
        )
    }

    private static func takeLock(_ path: String) throws(BulkheadError) -> OpenDescriptor {
        do throws(SystemFailure) {
            let lock = try OpenDescriptor.open(path + "/lock", O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
            if flock(lock.number, LOCK_EX | LOCK_NB) == 0 {
                try SystemFailure.checkErrno(ftruncate(lock.number, 0))
                do throws(SystemFailure) {
                    try lock.writeAll(Array("\(getpid())\n".utf8))
                } catch  where error.number == ENOSPC || error.number == EDQUOT {
                    // The number only helps whoever finds the folder taken.
                }
                return lock
            }
            guard errno == EWOULDBLOCK else { throw SystemFailure(errno) }
        } catch {
            throw cannotWrite(path, error)
        }
        let holder = ProcFile.words(path + "/lock").first
        throw BulkheadError(
            .unavailable,
            "the state folder \(path) is taken by another supervisor" + (holder.map { " (pid \($0))" } ?? ""),
            advice:
                "stop that one\(holder.map { " with kill \($0)" } ?? ""), or choose another folder with --state"
        )
    }

    /// Sees that the folder can be written.
    ///
    /// A full disk is no reason not to start where there is a database: room is held in it for what ends.
    private static func probe(_ path: String) throws(BulkheadError) {
        let hasDatabase = FileManager.default.fileExists(atPath: path + "/bulkhead.sqlite")
        let name = path + "/.probe"
        defer { _ = unsafe unlink(name) }
        do throws(SystemFailure) {
            let file = try OpenDescriptor.open(name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
            try file.writeAll([UInt8](repeating: 0, count: 4096))
            try file.synchronize()
        } catch {
            if hasDatabase, error.number == ENOSPC || error.number == EDQUOT { return }
            throw cannotWrite(path, error)
        }
    }

    private static func cannotWrite(_ path: String, _ failure: SystemFailure) -> BulkheadError {
        BulkheadError(
            .storage,
            "the state folder \(path) cannot be written",
            cause: failure.description,
            advice: advice(for: failure, path)
        )
    }

    private static func identity(in path: String) throws(BulkheadError) -> String {
        if let bytes = try PrivateFile.read(path + "/identity", limit: 64) {
            let text = String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
            let digits = text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
            if text.utf8.count == 16, digits { return text }
        }
        let digits = String(UInt64.random(in: 0 ... .max), radix: 16)
        let fresh = String(repeating: "0", count: 16 - digits.count) + digits
        try PrivateFile.replace("identity", in: path, with: Array("\(fresh)\n".utf8))
        return fresh
    }
}
