import Glibc

/// What a folder looked like, so that a later look tells whether anything in it has changed.
///
/// Two marks are equal as long as nothing was added, removed, renamed, written or given another mode. A file behind a
/// link is not looked at.
public struct FolderMark: Sendable, Equatable {
    /// One for each folder; nil where it cannot be read.
    private var folders: [Folder?]

    private struct Folder: Equatable {
        var inode: UInt64
        /// The latest change of the folder and of what is in it, in nanoseconds since 1970.
        var latest: Int64
        var entries: Int
    }

    /// Looks at some folders.
    /// - Parameter paths: The folders; one that is missing is a state like any other.
    public init(of paths: [String]) { folders = paths.map(Self.look) }

    private static func look(at path: String) -> Folder? {
        guard let folder = try? OpenDescriptor.open(path, O_RDONLY | O_DIRECTORY) else { return nil }
        guard let status = try? FileStatus.of(folder.number),
            var names = try? FolderEntries(of: folder.number)
        else { return nil }
        var mark = Folder(inode: status.inode, latest: status.changed, entries: 0)
        while let name = names.next() {
            mark.entries += 1
            if let entry = try? FileStatus.of(name.description, at: folder.number) {
                mark.latest = max(mark.latest, entry.changed)
            }
        }
        return mark
    }
}
