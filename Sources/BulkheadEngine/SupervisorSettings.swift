public import BulkheadCore
import BulkheadStore

/// What the end of a supervisor means for the attempts that run.
public enum StopMode: String, Sendable, CaseIterable {
    /// Their launchers go on with them, and the next supervisor adopts them.
    case leave
    /// They are stopped, by SIGTERM and after their grace by SIGKILL.
    case stop
}

/// What a supervisor is started with; every path is absolute.
public struct SupervisorSettings: Sendable {
    /// The product's version, for `status`.
    public var version: String
    /// The folder of handlers.
    public var pluginsFolder: String
    /// The folder of policies.
    public var policiesFolder: String
    /// The folder of the database and the lock.
    public var stateFolder: String
    /// The folder below which scratch folders and handler copies lie; nil is the default of its user.
    public var scratchFolder: String?
    /// The program `bulkhead-launcher`.
    public var launcherExecutable: String
    /// Bytes of output that may be kept.
    public var spoolCap: Int64 = 64 << 20
    /// Bytes of the cap below which no submit is taken.
    public var terminalReserve: Int64 = 1 << 20
    /// Whether messages are kept until a controller acknowledges them.
    public var outboxIsOn = false
    /// Bytes that a result may have.
    public var resultLimit = Limits.resultBytes
    /// The users that attempts get where a policy says `user: dynamic` and the supervisor is root.
    public var dynamicUsers: ClosedRange<UInt32> = 2_000_000_000...2_000_065_535
    /// How long a stop waits for running attempts before it leaves or stops them.
    public var drain: Duration = .zero
    /// The only type whose handler is taken, for who tries one out; nil is all that the folder has.
    public var onlyType: TaskType?
    /// Told at the end of each attempt what its record does not tell.
    public var observe: (@Sendable (AttemptObservation) -> Void)?
    /// How long terminal tasks are kept.
    public var retention = RetentionRule()
    /// Clock, jitter and ids.
    public var clocks = Clocks.system

    /// Makes settings with the defaults of everything that has one.
    public init(
        version: String,
        pluginsFolder: String,
        policiesFolder: String,
        stateFolder: String,
        launcherExecutable: String
    ) {
        self.version = version
        self.pluginsFolder = pluginsFolder
        self.policiesFolder = policiesFolder
        self.stateFolder = stateFolder
        self.launcherExecutable = launcherExecutable
    }
}

extension SupervisorSettings {
    /// What of them is the store's.
    func store(at path: String) -> StoreSettings {
        var store = StoreSettings(path: path, spoolCap: spoolCap, outboxOn: outboxIsOn)
        store.terminalReserve = terminalReserve
        store.resultLimit = resultLimit
        return store
    }
}
