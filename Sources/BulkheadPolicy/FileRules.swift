public import BulkheadCore

/// The files that a preset opens to a handler, beyond what its policy and its launch add.
public struct FileRules: Sendable, Hashable {
    /// Folders whose files may be read and executed.
    public let readExecute: [String]
    /// Files that may be read.
    public let read: [String]
    /// Folders whose files may be read.
    public let readFolders: [String]
    /// Devices that may be read and written.
    public let devices: [String]
    /// The folder of settings that may be read but for the secrets.
    public let settings: String
    /// What only root may read below the settings folder; a trailing `*` stands for any ending.
    public let secrets: [String]

    /// What every confining preset opens.
    static let ordinary = FileRules(read: facts + ["/etc/localtime"])

    /// The same, and the resolver's file, which is often a link that leads out of `/etc`.
    static let networked = FileRules(read: facts + ["/etc/localtime", "/etc/resolv.conf"])

    /// What is true of the whole machine.
    private static let facts = ["/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems"]

    private init(read: [String]) {
        self.read = read
        readExecute = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt"]
        readFolders = ["/proc/sys/kernel"]
        devices = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"]
        settings = "/etc"
        secrets = ["shadow*", "gshadow*", "sudoers*", "ssh", "ssl/private"]
    }

    /// Where processes show themselves.
    public static let procFolder = "/proc"
    /// The same, to compare with.
    public static let procPath = PathName(procFolder)
    /// Where POSIX shared memory and semaphores lie.
    public static let sharedMemoryFolder = "/dev/shm"

    /// Whether a path below the settings folder is a secret.
    ///
    /// - Parameter path: The path relative to the folder, such as `ssl/private`.
    /// - Returns: Whether it is one of the secrets; what lies below one is not asked for.
    public func isSecret(_ path: String) -> Bool {
        secrets.contains { secret in
            secret.utf8.last == UInt8(ascii: "*")
                ? path.utf8.starts(with: secret.utf8.dropLast()) : PathName(path) == PathName(secret)
        }
    }

    /// Whether a path below the settings folder holds a secret somewhere below it.
    ///
    /// - Parameter path: The path relative to the folder, such as `ssl`.
    /// - Returns: Whether it must be given entry by entry.
    public func holdsSecret(_ path: String) -> Bool {
        secrets.contains { PathName($0).isBelow(PathName(path)) }
    }
}
