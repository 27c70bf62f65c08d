import CLinux
import Glibc

/// What a plan asks of the file system: kinds of paths, and the entries of a folder.
public struct FileView: Sendable {
    /// What a path is.
    public enum Kind: Sendable, Hashable {
        /// A folder.
        case folder
        /// A symbolic link; only ``FileView/entries`` tells it from what it leads to.
        case link
        /// Anything else that can be opened.
        case file
    }

    /// An entry of a folder.
    public struct Entry: Sendable, Hashable {
        /// Its name.
        public let name: String
        /// What it is.
        public let kind: Kind
        /// Whether its mode lets everybody read it.
        public let isPublic: Bool

        /// Makes an entry.
        ///
        /// - Parameters:
        ///   - name: Its name.
        ///   - kind: What it is.
        ///   - isPublic: Whether its mode lets everybody read it.
        public init(name: String, kind: Kind, isPublic: Bool) {
            self.name = name
            self.kind = kind
            self.isPublic = isPublic
        }
    }

    /// What a path leads to, links followed; nil where there is nothing.
    public let kind: @Sendable (String) -> Kind?
    /// The entries of a folder, by name; empty where it cannot be read.
    public let entries: @Sendable (String) -> [Entry]
    /// What a symbolic link says; nil where the path is none.
    public let link: @Sendable (String) -> String?

    /// Makes a view from its questions.
    ///
    /// - Parameters:
    ///   - kind: What a path leads to.
    ///   - entries: The entries of a folder.
    ///   - link: What a symbolic link says.
    public init(
        kind: @escaping @Sendable (String) -> Kind?,
        entries: @escaping @Sendable (String) -> [Entry],
        link: @escaping @Sendable (String) -> String? = { _ in nil }
    ) {
        self.kind = kind
        self.entries = entries
        self.link = link
    }

    /// The file system of this host.
    public static let host = FileView(
        kind: { status(of: $0, flags: 0)?.kind },
        entries: { folder in
            names(in: folder).compactMap { name in
                status(of: folder + "/" + name, flags: AT_SYMLINK_NOFOLLOW).map {
                    Entry(name: name, kind: $0.kind, isPublic: $0.isPublic)
                }
            }
        },
        link: { path in
            // PATH_MAX.
            var target = [CChar](repeating: 0, count: 4096)
            let count = unsafe readlink(path, &target, target.count)
            guard count >= 0 else { return nil }
            return String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    )

    private static func status(of path: String, flags: Int32) -> (kind: Kind, isPublic: Bool)? {
        var status = clinux_stat()
        guard unsafe clinux_stat(AT_FDCWD, path, flags, &status) == 0 else { return nil }
        switch mode_t(status.mode) & S_IFMT {
        case S_IFDIR: return (.folder, status.mode & 0o005 == 0o005)
        case S_IFLNK: return (.link, true)
        default: return (.file, status.mode & 0o004 != 0)
        }
    }

    private static func names(in folder: String) -> [String] {
        guard let stream = unsafe opendir(folder) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
                unsafe field.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
