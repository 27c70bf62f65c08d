import BulkheadLaunch
import BulkheadSandbox

/// The handler's view of files, worked out from what it is allowed: nothing else is there.
///
/// Every path is followed as the host has it: its links are made anew, and what they lead to is shown at its own
/// place. What lies in something that is shown anyway, with the same rights, needs no mount.
struct FileLayout {
    private let files: FileView
    private var base = MountSpec.Base.empty
    private var links: [String: String] = [:]
    private var followed: [String: String?] = [:]
    private var shown: [String: Showing] = [:]
    private var hidden: Set<String> = []
    private var memory: [String: MountStep] = [:]

    private struct Showing {
        var access: BindAccess
        var isOptional: Bool
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
            isOptional: isOptional && before?.isOptional ?? true
        )
    }

    /// Hides a folder of the host, should it lie in something that is shown.
    mutating func hide(_ path: String) {
        let real = follow(path)
        if files.kind(real) == .folder { hidden.insert(real) }
    }

    /// Puts memory in a folder's place.
    mutating func putMemory(_ path: String, bytes: Int64, isOwned: Bool) {
        let inodes = min(max(bytes / Self.inodeBytes, Self.inodes.lowerBound), Self.inodes.upperBound)
        let real = follow(path)
        memory[real] = .memory(path: real, bytes: UInt64(bytes), inodes: UInt64(inodes), isOwned: isOwned)
    }

    /// Adds a link that the host need not have.
    mutating func putLink(_ path: String, to target: String) {
        links[path] = target
    }

    /// The view.
    ///
    /// - Parameter last: What is done after all else.
    /// - Returns: The mounts, parents before what lies in them.
    func spec(last: [MountStep]) -> MountSpec {
        var steps: [(path: String, step: MountStep)] = []
        for (path, showing) in shown
        where memory[path] == nil && isNeeded(showing.access, in: surroundings(of: path)) {
            let step = MountStep.bind(path: path, access: showing.access, optional: showing.isOptional)
            steps.append((path, step))
        }
        for path in hidden where shown[path] == nil && isVisible(path) {
            steps.append((path, .cover(path: path)))
        }
        for (path, step) in memory { steps.append((path, step)) }
        for (path, target) in links where !isVisible(path) {
            steps.append((path, .link(path: path, target: target)))
        }
        steps.sort {
            ($0.path.split(separator: "/").count, $0.path) < ($1.path.split(separator: "/").count, $1.path)
        }
        return MountSpec(base: base, steps: steps.map(\.step) + last)
    }

    private func isNeeded(_ access: BindAccess, in surroundings: Surroundings) -> Bool {
        switch (surroundings, access) {
        case (.nothing, _), (.hidden, _), (.shown, .device): true
        case (.shown(let given), _): given.rawValue < access.rawValue
        case (.host(let writable), _): access == .write && !writable
        }
    }

    private func isVisible(_ path: String) -> Bool {
        switch surroundings(of: path) {
        case .nothing, .hidden: false
        case .shown, .host: true
        }
    }

    private func surroundings(of path: String) -> Surroundings {
        var folder = path[...]
        while let slash = folder.lastIndex(of: "/"), slash != folder.startIndex {
            folder = folder[..<slash]
            if let showing = shown[String(folder)] { return .shown(showing.access) }
            if hidden.contains(String(folder)) { return .hidden }
        }
        switch base {
        case .empty: return .nothing
        case .host: return .host(writable: true)
        case .readOnlyHost: return .host(writable: false)
        }
    }

    /// The path without links, which are noted.
    private mutating func follow(_ path: String) -> String {
        var real = ""
        var rest = path.split(separator: "/")[...]
        var count = 0
        while let name = rest.popFirst() {
            if name == "." { continue }
            if name == ".." {
                real = real.lastIndex(of: "/").map { String(real[..<$0]) } ?? ""
                continue
            }
            let next = real + "/" + name
            guard count < Self.mostLinks, let target = link(next) else {
                real = next
                continue
            }
            count += 1
            links[next] = target
            if target.hasPrefix("/") { real = "" }
            rest = (target.split(separator: "/") + rest)[...]
        }
        return real.isEmpty ? "/" : real
    }

    private mutating func link(_ path: String) -> String? {
        if let known = followed[path] { return known }
        let target = files.link(path)
        followed[path] = .some(target)
        return target
    }
}
