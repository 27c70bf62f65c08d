import BulkheadCore
import BulkheadHost
import BulkheadPolicy
import Synchronization

/// A task type that can run.
struct CatalogEntry: Sendable {
    let type: TaskType
    let handler: HandlerFile
    let policy: Policy
    /// As the user knows it; nil where the built-in default holds.
    let policyFile: String?
    let sandbox: PreparedSandbox
    /// The files of handler and policy as they were before they were read.
    let files: [FileMark]

    /// Whether its files are still those that were read.
    var isCurrent: Bool { files.allSatisfy(\.isCurrent) }
    /// Whether somebody has the handler's file open for writing: until its end the type keeps the old one.
    var isBeingWritten: Bool { FolderWatch.hasWriter(handler.sourcePath) }

    /// What is worth knowing of its profile, with file and line.
    var profileRemarks: [String] { policy.sandbox.profile?.warnings.map(\.description) ?? [] }
}

/// Why a task type does not run.
struct CatalogRefusal: Sendable, Equatable {
    enum Cause: Sendable, Equatable {
        case handler
        case policy
        /// The file is not the one that its policy names by SHA-256.
        case changedHandler
    }

    /// The word of contract §3 for a task whose turn came.
    private var reason: ErrorReason {
        switch cause {
        case .handler: .noHandler
        case .policy: .policyInvalid
        case .changedHandler: .pluginChanged
        }
    }

    let type: TaskType
    let cause: Cause
    let problems: [String]

    /// What a submit is told.
    var error: BulkheadError {
        BulkheadError(
            .typeRefused,
            "tasks of type \(type) are refused: \(problems.joined(separator: "; "))",
            advice: "mend the file; it is taken up at once, without a restart"
        )
    }

    /// What a task says whose turn came too late.
    var taskError: TaskError {
        TaskError(
            reason,
            problems.joined(separator: "; ").cut(toBytes: Limits.messageBytes),
            hint: "mend the file and submit the task again"
        )
    }
}

/// All task types at one moment; a change of a file makes a new one.
struct Catalog: Sendable {
    enum Resolution: Sendable {
        case ready(CatalogEntry)
        case refused(CatalogRefusal)
        case unknown
    }

    var entries: [TaskType: CatalogEntry] = [:]
    var refusals: [TaskType: CatalogRefusal] = [:]
    var pools: [PoolName: PoolSettings] = [:]
    var reports: [PluginReport] = []
    /// The folders as they were before they were read; nil before that.
    var folders: FolderMark?
    /// Whether a file was still being written, so that it is to be looked at again soon.
    var isSettling = false
    /// Whether a handler or policy is a link, so that it may change where nobody watches.
    var hasLinks = false
    /// Tasks that may run at once in a pool that `pools.yaml` does not name.
    var defaultConcurrency = 1

    /// Whether it may become another one by what happens outside of its folders: an interpreter may be installed,
    /// a folder above given another mode, the file changed to which a link leads.
    var dependsOnElsewhere: Bool { hasLinks || !refusals.isEmpty }

    /// What a type is at this moment.
    func resolve(_ type: TaskType) -> Resolution {
        if let refusal = refusals[type] { return .refused(refusal) }
        if let entry = entries[type] { return .ready(entry) }
        return .unknown
    }

    /// How a pool is set up.
    func settings(of pool: PoolName) -> PoolSettings {
        pools[pool] ?? PoolSettings(concurrency: defaultConcurrency)
    }

    /// What a submit of an unknown type is told.
    func unknownType(_ type: TaskType) -> BulkheadError {
        let names = (Array(entries.keys) + Array(refusals.keys)).map(\.name)
        let nearest = NearestWord.question(type.name, among: names)
        return BulkheadError(
            .unknownType,
            "there is no handler for the type \(type)\(nearest)",
            advice:
                "put an executable of that name into the plugins folder; bulkhead plugins lists what is there"
        )
    }
}

/// Where everybody finds the catalog of this moment.
final class CatalogHolder: Sendable {
    private struct State {
        var catalog: Catalog?
        var replacement = Milestone()
    }

    private let state = Mutex(State())

    /// The catalog of this moment; an empty one before the first was read.
    var current: Catalog { state.withLock { $0.catalog } ?? Catalog() }

    /// The catalog of this moment, and when another one takes its place.
    var currentUntil: (catalog: Catalog, replaced: Milestone) {
        state.withLock { ($0.catalog ?? Catalog(), $0.replacement) }
    }

    /// Whether handlers and policies have been read at all.
    var isRead: Bool { state.withLock { $0.catalog != nil } }

    /// Puts a new one in its place.
    func replace(with new: Catalog) {
        let replaced = state.withLock { state in
            defer { state = State(catalog: new) }
            return state.replacement
        }
        replaced.reach()
    }
}
