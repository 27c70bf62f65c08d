import Foundation

/// Removes a folder with all that is in it, however hostile.
///
/// No link is followed, no mount is crossed, and a handful of descriptors suffices for any depth: a folder inside is
/// emptied of its files, its own sub-folders are moved up into the top folder, and it is removed; so nothing is
/// ever deeper than two steps, and neither recursion nor a growing stack is needed.
struct TreeRemoval: ~Copyable {
    /// What could not be removed and is told by name; the rest is counted.
    private static let toldFailures = 8

    private let top: OpenDescriptor
    private let path: String
    private let home: FileStatus
    /// Moved-up folders get names that nothing in the tree can have on purpose.
    private let prefix = ".bulkhead-\(UInt64.random(in: 0 ... .max))-"
    private var moved: UInt64 = 0
    /// Names in the top folder that stay.
    private var stuck: Set<FileName> = []
    private var failures: [String] = []
    private var failureCount = 0

    /// Removes a file, or a folder with all that is in it.
    /// - Parameters:
    ///   - name: Its name in the folder that holds it.
    ///   - folder: The path of the folder that holds it, which nobody else can write.
    /// - Returns: What could not be removed, as sentences; empty when nothing is left.
    static func remove(_ name: String, in folder: String) -> [String] {
        do throws(SystemFailure) {
            let holder = try OpenDescriptor.open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            let entry = FileName(name)
            if [0, ENOENT].contains(entry.unlink(in: holder.number)) { return [] }
            let home = try FileStatus.of(holder.number)
            var removal = TreeRemoval(
                top: try open(entry, in: holder.number, on: home),
                path: "\(folder)/\(name)",
                home: home
            )
            try removal.empty()
            let last = entry.unlink(in: holder.number, AT_REMOVEDIR)
            if last != 0, removal.failures.isEmpty { removal.fail([], SystemFailure(last)) }
            return removal.report()
        } catch {
            return error.number == ENOENT ? [] : ["\(folder)/\(name) cannot be removed: \(reason(error))"]
        }
    }

    private init(top: consuming OpenDescriptor, path: String, home: FileStatus) {
        self.top = top
        self.path = path
        self.home = home
    }

    /// Opens a folder for emptying, giving its owner the rights that this needs.
    private static func open(
        _ name: FileName,
        in folder: Int32,
        on home: FileStatus
    ) throws(SystemFailure) -> OpenDescriptor {
        let handle = try OpenDescriptor.open(name, at: folder, Linux.pathOnly | O_DIRECTORY | O_NOFOLLOW)
        let status = try FileStatus.of(handle.number)
        // A mount is no part of the tree, also where it shows a folder of the same file system.
        guard status.device == home.device, status.mount == home.mount else { throw SystemFailure(EXDEV) }
        if status.mode & 0o700 != 0o700 {
            // Through the descriptor, since chmod by name could follow a link that was put there since.
            try SystemFailure.checkErrno(unsafe chmod(handle.procPath, 0o700))
        }
        return try OpenDescriptor.open(".", at: handle.number, O_RDONLY | O_DIRECTORY)
    }

    /// Empties the top folder, pass by pass: a pass may meet folders that an earlier one moved up.
    private mutating func empty() throws(SystemFailure) {
        var removed = true
        while removed {
            removed = false
            var entries = try FolderEntries(of: top.number)
            while let name = entries.next() {
                guard !stuck.contains(name) else { continue }
                do throws(SystemFailure) {
                    try removeEntry(name)
                    removed = true
                } catch {
                    stuck.insert(name)
                    fail([name], error)
                }
            }
        }
    }

    private mutating func removeEntry(_ name: FileName) throws(SystemFailure) {
        let failure = name.unlink(in: top.number)
        guard failure != 0 else { return }
        guard Self.mayBeFolder(failure) else { throw SystemFailure(failure) }
        let folder: OpenDescriptor
        do throws(SystemFailure) {
            folder = try Self.open(name, in: top.number, on: home)
        } catch {
            throw error.number == ENOTDIR ? SystemFailure(failure) : error
        }
        try flatten(folder, named: name)
        let last = name.unlink(in: top.number, AT_REMOVEDIR)
        guard last == 0 else { throw SystemFailure(last) }
    }

    /// Removes a folder's files and moves its sub-folders up.
    private mutating func flatten(
        _ folder: borrowing OpenDescriptor,
        named name: FileName
    ) throws(SystemFailure) {
        var stays: Set<FileName> = []
        var progress = true
        while progress {
            progress = false
            var entries = try FolderEntries(of: folder.number)
            while let entry = entries.next() {
                guard !stays.contains(entry) else { continue }
                var failure = entry.unlink(in: folder.number)
                if Self.mayBeFolder(failure) { failure = moveUp(entry, from: folder.number) }
                if failure == 0 {
                    progress = true
                } else {
                    stays.insert(entry)
                    fail([name, entry], SystemFailure(failure))
                }
            }
        }
    }

    /// Linux answers EISDIR for a folder, and EPERM on some file systems.
    private static func mayBeFolder(_ failure: Int32) -> Bool {
        failure == EISDIR || failure == EPERM
    }

    private mutating func moveUp(_ entry: FileName, from folder: Int32) -> Int32 {
        moved += 1
        let name = FileName(prefix + "\(moved)")
        let failure = entry.move(from: folder, to: top.number, as: name)
        // To move a folder one must be able to write it, since its entry for the one above changes.
        guard failure == EACCES else { return failure }
        do throws(SystemFailure) {
            _ = try Self.open(entry, in: folder, on: home)
        } catch {
            return error.number
        }
        return entry.move(from: folder, to: top.number, as: name)
    }

    private mutating func fail(_ names: [FileName], _ failure: SystemFailure) {
        failureCount += 1
        guard failures.count < Self.toldFailures else { return }
        let place = ([path] + names.map(\.description)).joined(separator: "/")
        failures.append("\(place) cannot be removed: \(Self.reason(failure))")
    }

    private static func reason(_ failure: SystemFailure) -> String {
        switch failure.number {
        case EXDEV, EBUSY: "something is mounted there; unmount it"
        case EPERM: "\(failure); if lsattr shows it as immutable, run chattr -i on it"
        default: failure.description
        }
    }

    private func report() -> [String] {
        let rest = failureCount - failures.count
        return rest > 0 ? failures + ["\(rest) more below \(path) cannot be removed"] : failures
    }
}
