import BulkheadCore
import BulkheadLaunch
import BulkheadSandbox

/// The handler's view of files, worked out from what it is allowed: nothing else is there.
///
/// Every path is followed as the host has it: its links are made anew, and what they lead to is shown at its own
/// place. What lies in something that is shown anyway, with the same rights, needs no mount.
struct FileLayout {
    private let files: FileView
    private var base = MountSpec.Base.empty
    private var links: [PathName: String] = [:]
    private var followed: [PathName: String?] = [:]
    private var shown: [PathName: Showing] = [:]
    private var hidden: Set<PathName> = []
    private var memory: [PathName: MountStep] = [:]

    private struct Showing {
        var access: BindAccess
        var isOptional: Bool
        var isOffered = false

        func step(_ path: PathName) -> MountStep {
            isOffered
                ? .offer(path: path.text, access: access)
                : .bind(path: path.text, access: access, optional: isOptional)
        }
    }

    /// What a path lies in.
    private enum Surroundings: Equatable {
        /// Nothing of the host.
        case nothing
        /// Something that is shown.
        case shown(BindAccess)
        /// The host as it is, devices and all.
        case host(writable: Bool)
        /// An empty folder in the place of a hidden one.
        case hidden
    }

    /// Links that are followed for one path, as many as the kernel does (path_resolution(7)).
    private static let mostLinks = 40
    /// Bytes of memory for each entry that it may have.
    private static let inodeBytes: Int64 = 4096
    /// Entries that any memory may have: as few as the smallest needs, and as many as cost the kernel a gigabyte.
    private static let inodes: ClosedRange<Int64> = 64...1_048_576

    init(files: FileView) {
        self.files = files
    }

    /// Shows a path of the host; the root folder means the host as it is.
    mutating func show(_ path: String, _ access: BindAccess, isOptional: Bool = false) {
        let real = follow(path)
        guard real != "/" else {
            base = access == .write || base == .host ? .host : .readOnlyHost
            return
        }
        let before = shown[real]
        shown[real] = Showing(
            access: before.map { $0.access.rawValue > access.rawValue ? $0.access : access } ?? access,
            isOptional: isOptional && before?.isOptional ?? true,
            isOffered: before?.isOffered ?? false
        )
    }

    /// Shows a path of the host even to a user whom the folders above it are closed to.
    mutating func offer(_ path: String, _ access: BindAccess) {
        show(path, access)
        shown[follow(path)]?.isOffered = true
    }

    /// Hides a folder of the host, should it lie in something that is shown.
    mutating func hide(_ path: String) {
        let real = follow(path)
        if files.kind(real.text) == .folder { hidden.insert(real) }
    }

    /// Puts memory in a folder's place.
    mutating func putMemory(_ path: String, bytes: Int64, isOwned: Bool) {
        let inodes = min(max(bytes / Self.inodeBytes, Self.inodes.lowerBound), Self.inodes.upperBound)
        let real = follow(path)
        memory[real] = .memory(
            path: real.text,
            bytes: UInt64(bytes),
            inodes: UInt64(inodes),
            isOwned: isOwned
        )
    }

    /// Adds a link that the host need not have.
    mutating func putLink(_ path: String, to target: String) {
        links[PathName(path)] = target
    }

    /// The view.
    ///
    /// - Parameter last: What is done after all else.
    /// - Returns: The mounts, parents before what lies in them.
    func spec(last: [MountStep]) -> MountSpec {
        var steps: [(path: PathName, step: MountStep)] = []
        for (path, showing) in shown
        where memory[path] == nil && isNeeded(showing.access, in: surroundings(of: path)) {
            steps.append((path, showing.step(path)))
        }
        for path in hidden where shown[path] == nil && isVisible(path) {
            steps.append((path, .cover(path: path.text)))
        }
        for (path, step) in memory { steps.append((path, step)) }
        for (path, target) in links where !isVisible(path) {
            steps.append((path, .link(path: path.text, target: target)))
        }
        steps.sort { ($0.path.parts.count, $0.path) < ($1.path.parts.count, $1.path) }
        return MountSpec(base: base, steps: steps.map(\.step) + last)
    }

    private func isNeeded(_ access: BindAccess, in surroundings: Surroundings) -> Bool {
        switch (surroundings, access) {
        case (.nothing, _), (.hidden, _), (.shown, .device): true
        case (.shown(let given), _): given.rawValue < access.rawValue
        case (.host(let writable), _): access == .write && !writable
        }
    }

    private func isVisible(_ path: PathName) -> Bool {
        switch surroundings(of: path) {
        case .nothing, .hidden: false
        case .shown, .host: true
        }
    }

    private func surroundings(of path: PathName) -> Surroundings {
        var above = path.folder
        while let folder = above, folder != "/" {
            if let showing = shown[folder] { return .shown(showing.access) }
            if hidden.contains(folder) { return .hidden }
            above = folder.folder
        }
        switch base {
        case .empty: return .nothing
        case .host: return .host(writable: true)
        case .readOnlyHost: return .host(writable: false)
        }
    }

    /// The path without links, which are noted.
    private mutating func follow(_ path: String) -> PathName {
        var real: PathName = "/"
        var rest = PathName(path).parts[...]
        var count = 0
        while let name = rest.popFirst() {
            if name == "." { continue }
            if name == ".." {
                real = real.folder ?? "/"
                continue
            }
            let next = real.appending(name)
            guard count < Self.mostLinks, let target = link(next) else {
                real = next
                continue
            }
            count += 1
            links[next] = target
            if PathName(target).isAbsolute { real = "/" }
            rest = (PathName(target).parts + rest)[...]
        }
        return real
    }

    private mutating func link(_ path: PathName) -> String? {
        if let known = followed[path] { return known }
        let target = files.link(path.text)
        followed[path] = .some(target)
        return target
    }
}
