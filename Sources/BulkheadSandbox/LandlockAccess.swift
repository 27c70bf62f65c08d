/// Rights over files that Landlock tells apart (`LANDLOCK_ACCESS_FS_*` of linux/landlock.h).
public struct LandlockAccess: OptionSet, Sendable, Hashable {
    /// The bits, as the kernel takes them.
    public let rawValue: UInt64

    /// Makes a set of rights from the kernel's bits.
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// Execute a file.
    public static let execute = LandlockAccess(rawValue: 1 << 0)
    /// Open a file for writing.
    public static let writeFile = LandlockAccess(rawValue: 1 << 1)
    /// Open a file for reading.
    public static let readFile = LandlockAccess(rawValue: 1 << 2)
    /// List a folder.
    public static let readFolder = LandlockAccess(rawValue: 1 << 3)
    /// Remove folders and files, and make folders, files, sockets, pipes and links.
    public static let change = LandlockAccess(rawValue: 0x17B0)
    /// Make devices.
    public static let makeDevices = LandlockAccess(rawValue: 0x0840)
    /// Link or move a file from one folder to another; ABI 2.
    public static let refer = LandlockAccess(rawValue: 1 << 13)
    /// Cut a file; ABI 3.
    public static let truncate = LandlockAccess(rawValue: 1 << 14)
    /// Control a device; ABI 5.
    public static let deviceControl = LandlockAccess(rawValue: 1 << 15)
    /// Connect to a Unix socket by its path; ABI 9.
    public static let resolveUnix = LandlockAccess(rawValue: 1 << 16)

    /// The rights that a rule for a file, not a folder, may give.
    static let forFiles: LandlockAccess = [.execute, .writeFile, .readFile, .truncate, .deviceControl]
    /// Reading below a folder.
    static let read: LandlockAccess = [.readFile, .readFolder]
    /// Reading, writing, making and removing below a folder.
    static let write: LandlockAccess = [
        .readFile, .readFolder, .writeFile, .change, .refer, .truncate, .resolveUnix,
    ]

    /// Every right that a kernel's Landlock can withhold.
    ///
    /// - Parameter abi: Its ABI number; 0 is none.
    /// - Returns: The rights.
    public static func known(toABI abi: Int) -> LandlockAccess {
        guard abi >= 1 else { return [] }
        var access: LandlockAccess = [
            .execute, .writeFile, .readFile, .readFolder, .change, .makeDevices,
        ]
        if abi >= 2 { access.insert(.refer) }
        if abi >= 3 { access.insert(.truncate) }
        if abi >= 5 { access.insert(.deviceControl) }
        if abi >= 9 { access.insert(.resolveUnix) }
        return access
    }
}

/// What Landlock keeps within a sandbox besides files (`LANDLOCK_SCOPE_*` of linux/landlock.h); ABI 6.
public struct LandlockScope: OptionSet, Sendable, Hashable {
    /// The bits, as the kernel takes them.
    public let rawValue: UInt64

    /// Makes a set from the kernel's bits.
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// No connection to an abstract Unix socket outside.
    public static let abstractSockets = LandlockScope(rawValue: 1)
    /// No signal to a process outside.
    public static let signals = LandlockScope(rawValue: 2)
}
