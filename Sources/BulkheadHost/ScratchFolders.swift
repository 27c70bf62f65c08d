public import BulkheadCore
import Dispatch
import Foundation

/// The private working folders of handlers, and the folder of the copies that run.
///
/// Both lie in a folder of this state folder's own below the root, held by a lock: what a former supervisor of the
/// same state folder left is swept, and nobody else's is touched.
public final class ScratchFolders: Sendable {
    /// Absolute path of the folder for ``HandlerStore``, which handlers can read and not write.
    public let handlersFolder: String
    /// Absolute path of the folder that holds the working folders.
    public let tasksFolder: String

    private let lock: OpenDescriptor
    private let report: @Sendable (String) -> Void
    private let removals = DispatchQueue(label: "bulkhead.scratch-removal", qos: .utility)

    /// Makes the folders and takes their lock.
    /// - Parameters:
    ///   - root: The setting `scratch`; nil for the default, see ``defaultRoot(statePath:)``.
    ///   - state: The state folder, under which scratch folders may not lie.
    ///   - report: Told what could not be removed, as sentences, from any thread.
    /// - Throws: ``BulkheadError``: `invalidSetting` for a root that cannot serve, `unavailable` where another
    ///   supervisor uses a copy of the same state folder.
    public init(
        root: String?,
        state: StateFolder,
        report: @escaping @Sendable (String) -> Void
    ) throws(BulkheadError) {
        let root = try ScratchRoot.prepare(root ?? Self.defaultRoot(statePath: state.path), state: state.path)
        let own = root + "/" + state.identity
        do throws(SystemFailure) {
            lock = try ScratchRoot.makeFolder(own, mode: 0o711)
            handlersFolder = own + "/handlers"
            tasksFolder = own + "/tasks"
            _ = try ScratchRoot.makeFolder(handlersFolder, mode: 0o755)
            _ = try ScratchRoot.makeFolder(tasksFolder, mode: 0o711)
        } catch {
            throw ScratchRoot.cannotMake(own, error)
        }
        self.report = report
        guard flock(lock.number, LOCK_EX | LOCK_NB) == 0 else {
            throw BulkheadError(
                .unavailable,
                "the scratch folder \(own) is in use by another supervisor, whose state folder is a copy of"
                    + " \(state.path)",
                advice: "remove \(ShellWord.quote(state.path + "/identity")), so that this one gets its own"
            )
        }
    }

    /// Where scratch folders lie without the setting `scratch`.
    /// - Parameter statePath: The state folder; a service has `/var/lib/bulkhead`.
    /// - Returns: `/var/lib/bulkhead-scratch` for a service, else a folder of the user's own in `/var/tmp`.
    public static func defaultRoot(statePath: String) -> String {
        statePath == "/var/lib/bulkhead" ? "/var/lib/bulkhead-scratch" : "/var/tmp/bulkhead-\(geteuid())"
    }

    /// Makes an empty working folder, mode 0700.
    /// - Parameters:
    ///   - uid: The handler's user; nil for the supervisor's own.
    ///   - gid: The handler's group; nil for the supervisor's own.
    /// - Returns: Its absolute path.
    /// - Throws: ``BulkheadError`` with the code `host`.
    public func make(uid: UInt32? = nil, gid: UInt32? = nil) throws(BulkheadError) -> String {
        let path = tasksFolder + "/" + String(UInt64.random(in: 0 ... .max), radix: 36)
        do throws(SystemFailure) {
            try SystemFailure.checkErrno(unsafe mkdir(path, 0o700))
            do throws(SystemFailure) {
                let folder = try OpenDescriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
                try SystemFailure.checkErrno(fchmod(folder.number, 0o700))
                // -1 leaves a number as it is (chown(2)).
                try SystemFailure.checkErrno(fchown(folder.number, uid ?? .max, gid ?? .max))
            } catch {
                _ = unsafe rmdir(path)
                throw error
            }
        } catch {
            throw BulkheadError(
                .host,
                "no working folder can be made in \(tasksFolder)",
                cause: error.description,
                advice: "make room there, or move it with the setting scratch"
            )
        }
        return path
    }

    /// Removes a working folder in the background; what cannot be removed is reported.
    public func remove(_ path: String) {
        let folder = PathName(path)
        let name = folder.name
        guard folder == PathName(tasksFolder).appending(name), name != ".", name != ".." else {
            return report("\(path) is no scratch folder of ours, so it is not removed")
        }
        removals.async { [tasksFolder, report] in
            for warning in TreeRemoval.remove(name, in: tasksFolder) { report(warning) }
        }
    }

    /// Removes, in the background, the working folders that are there at this moment.
    /// - Parameter paths: The working folders that stay.
    public func sweep(keeping paths: Set<String> = []) {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: tasksFolder)
        } catch {
            return report("\(tasksFolder) cannot be read, so leftovers in it stay: \(error)")
        }
        for path in names.map({ tasksFolder + "/" + $0 }) where !paths.contains(path) { remove(path) }
    }

    /// Waits until everything that was to be removed by now has been tried.
    public func finishRemovals() async {
        await withCheckedContinuation { done in
            removals.async { done.resume() }
        }
    }
}

/// The folder below which scratch folders lie.
enum ScratchRoot {
    /// Makes it where it is missing, and checks that it can serve.
    /// - Parameters:
    ///   - path: The folder.
    ///   - state: The state folder's real path.
    /// - Returns: Its real path.
    /// - Throws: ``BulkheadError``.
    static func prepare(_ path: String, state: String) throws(BulkheadError) -> String {
        do throws(SystemFailure) {
            if unsafe mkdir(path, 0o711) == 0 { _ = try makeFolder(path, mode: 0o711) }
        } catch {
            throw cannotMake(path, error)
        }
        let real: String
        do {
            real = try PathRules.checkFolder(path)
        } catch  where error.code == .notFound {
            throw cannotMake(path, SystemFailure(ENOENT))
        }
        try checkPlace(real, state: state)
        try checkMount(real)
        if geteuid() == 0 { try checkPassage(real) }
        return real
    }

    /// Makes a folder with exactly this mode, whatever the umask; one that is there must be ours.
    static func makeFolder(_ path: String, mode: mode_t) throws(SystemFailure) -> OpenDescriptor {
        guard unsafe mkdir(path, mode) == 0 || errno == EEXIST else { throw SystemFailure(errno) }
        let folder = try OpenDescriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        guard try FileStatus.of(folder.number).uid == geteuid() else { throw SystemFailure(EPERM) }
        try SystemFailure.checkErrno(fchmod(folder.number, mode))
        return folder
    }

    static func cannotMake(_ path: String, _ failure: SystemFailure) -> BulkheadError {
        BulkheadError(
            .invalidSetting,
            "the scratch folder \(path) cannot be made",
            cause: failure.description,
            advice: "mend the rights above it or make room, or choose another with the setting scratch"
        )
    }

    private static func refusal(_ path: String, _ reason: String) -> BulkheadError {
        BulkheadError(
            .invalidSetting,
            "the scratch folder \(path) \(reason)",
            advice: "choose another with the setting scratch"
        )
    }

    private static func checkPlace(_ path: String, state: String) throws(BulkheadError) {
        if PathName(path).isIn(PathName(state)) {
            throw refusal(path, "lies in the state folder, which is closed to handlers")
        }
        if PathName(path).isIn("/run") {
            throw refusal(path, "lies in /run, which is memory and often forbids execution")
        }
    }

    private static func checkMount(_ path: String) throws(BulkheadError) {
        guard let status = try? FileStatus.of(path),
            let mount = MountTable.current().mount(numbered: status.mount)
        else { return }
        guard !mount.options.contains("noexec") else {
            throw refusal(
                path,
                "is on a file system that forbids execution (\(mount.point) is mounted noexec)"
            )
        }
    }

    /// Handlers that run as users of their own must get through to their working folders.
    private static func checkPassage(_ path: String) throws(BulkheadError) {
        var folder = ""
        for name in PathName(path).parts {
            folder += "/" + name
            guard let status = try? FileStatus.of(folder), status.mode & 0o001 == 0 else { continue }
            throw BulkheadError(
                .invalidSetting,
                "handlers cannot reach the scratch folder \(path): \(folder) has mode \(status.modeText)",
                advice: "run chmod o+x \(ShellWord.quote(folder)), or choose another with the setting scratch"
            )
        }
    }
}
