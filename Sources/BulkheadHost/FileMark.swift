/// What a file looked like, so that a later look tells whether it was written, replaced, removed or given another mode.
///
/// A link counts as what it leads to.
public struct FileMark: Sendable, Equatable {
    private let path: String
    /// Nil where there was no file.
    private let seen: Seen?

    private struct Seen: Equatable {
        var device: UInt64
        var inode: UInt64
        var size: UInt64
        /// The last change of content, mode, owner or name, in nanoseconds since 1970.
        var changed: Int64
    }

    /// Looks at a file.
    /// - Parameter path: The file; that there is none is a state like any other.
    public init(of path: String) {
        self.path = path
        seen = (try? FileStatus.of(path, 0)).map {
            Seen(device: $0.device, inode: $0.inode, size: $0.size, changed: $0.changed)
        }
    }

    /// Whether the file still looks so.
    public var isCurrent: Bool { FileMark(of: path) == self }
}
