import BulkheadCore
import Foundation

/// A walk from the root folder to a file, checking each folder and link on the way by ``PathRules``.
///
/// Each step is opened relative to the checked folder before it and without following links, so nobody can
/// swap a folder between its check and its use. Links are followed by hand, and are checked like all else.
struct PathWalk: ~Copyable {
    /// Where a walk ended.
    struct End: ~Copyable {
        /// The file or folder itself, opened with `O_PATH`.
        let descriptor: OpenDescriptor
        let status: FileStatus
        /// Its absolute path without links.
        let path: String
    }

    /// Links that a path may have on its way: the kernel's own bound.
    private static let linkLimit = 40

    private let original: String
    private let code: BulkheadError.Code
    private var folder: OpenDescriptor
    private var names: [String] = []
    /// What is still to be walked, the next step last.
    private var rest: [String]
    private var links = 0
    /// Whether the path's last name is a link.
    private var endsInLink = false

    private init(_ path: String, _ code: BulkheadError.Code, from root: consuming OpenDescriptor) {
        original = path
        self.code = code
        folder = root
        rest = Self.steps(
            PathName(path).isAbsolute ? path : FileManager.default.currentDirectoryPath + "/" + path
        )
    }

    private static func begin(_ path: String, _ code: BulkheadError.Code) throws(BulkheadError) -> PathWalk {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw BulkheadError(code, path.isEmpty ? "the path is empty" : "the path holds a NUL byte")
        }
        do throws(SystemFailure) {
            return PathWalk(path, code, from: try OpenDescriptor.open("/", Linux.pathOnly | O_DIRECTORY))
        } catch {
            throw unreachable("/", error, code)
        }
    }

    /// Walks to what a path names, which itself is not checked but for being there.
    /// - Parameters:
    ///   - path: The path, relative to the working folder unless it begins with a slash.
    ///   - code: The code of the errors.
    /// - Returns: What is there.
    /// - Throws: ``BulkheadError``: `notFound`, or the given code.
    static func walk(_ path: String, code: BulkheadError.Code) throws(BulkheadError) -> End {
        var walk = try begin(path, code)
        while let name = walk.rest.popLast() {
            try walk.checkFolder()
            if name == ".." {
                try walk.goUp()
            } else if let end = try walk.step(name) {
                return end
            }
        }
        let folder = walk.folder
        let status = try status(of: folder, walk.original, code)
        return End(descriptor: folder, status: status, path: "/" + walk.names.joined(separator: "/"))
    }

    /// The error for a path that cannot be reached.
    static func unreachable(
        _ path: String,
        _ failure: SystemFailure,
        _ code: BulkheadError.Code
    ) -> BulkheadError {
        switch failure.number {
        case ENOENT: BulkheadError(.notFound, "there is no \(path)")
        case ENOTDIR: BulkheadError(.notFound, "there is no \(path): something above it is no folder")
        case EACCES:
            BulkheadError(
                code,
                "\(path) cannot be read by user \(UserDirectory.describe(user: geteuid()))",
                cause: failure.description,
                advice: "give that user the right to read it and to pass the folders above it"
            )
        default: BulkheadError(code, "\(path) cannot be opened", cause: failure.description)
        }
    }

    private static func status(
        of descriptor: borrowing OpenDescriptor,
        _ path: String,
        _ code: BulkheadError.Code
    ) throws(BulkheadError) -> FileStatus {
        do throws(SystemFailure) {
            return try FileStatus.of(descriptor.number)
        } catch {
            throw unreachable(path, error, code)
        }
    }

    private static func steps(_ path: String) -> [String] {
        PathName(path).parts.filter { $0 != "." }.reversed()
    }

    private var here: String { "/" + names.joined(separator: "/") }

    /// Checks the folder that the walk is about to look into.
    private func checkFolder() throws(BulkheadError) {
        let status = try Self.status(of: folder, here, code)
        guard let violation = PathRules.violation(of: status, onTheWay: true) else { return }
        throw violation.error(at: here, status, code)
    }

    private mutating func goUp() throws(BulkheadError) {
        do throws(SystemFailure) {
            folder = try OpenDescriptor.open("..", at: folder.number, Linux.pathOnly | O_DIRECTORY)
        } catch {
            throw Self.unreachable(original, error, code)
        }
        _ = names.popLast()
    }

    private mutating func step(_ name: String) throws(BulkheadError) -> End? {
        let next: OpenDescriptor
        do throws(SystemFailure) {
            next = try OpenDescriptor.open(name, at: folder.number, Linux.pathOnly | O_NOFOLLOW)
        } catch {
            guard error.number != ENOENT || !endsInLink else { throw brokenLink(to: name) }
            throw Self.unreachable(original, error, code)
        }
        let status = try Self.status(of: next, original, code)
        if status.kind == .link {
            try follow(name, status)
            return nil
        }
        names.append(name)
        guard !rest.isEmpty else { return End(descriptor: next, status: status, path: here) }
        guard status.kind == .folder else { throw Self.unreachable(original, SystemFailure(ENOTDIR), code) }
        folder = next
        return nil
    }

    /// Something is there, so this is no `notFound`: a link that is broken is mended, not passed over.
    private func brokenLink(to name: String) -> BulkheadError {
        BulkheadError(
            code,
            "\(original) is a link to \(names.isEmpty ? "" : here)/\(name), which is not there",
            advice: "mend the link, or remove it"
        )
    }

    private mutating func follow(_ name: String, _ status: FileStatus) throws(BulkheadError) {
        let path = (names.isEmpty ? "/" : here + "/") + name
        if let violation = PathRules.violation(of: status) { throw violation.error(at: path, status, code) }
        links += 1
        if rest.isEmpty { endsInLink = true }
        guard links <= Self.linkLimit else { throw Self.unreachable(original, SystemFailure(ELOOP), code) }
        do throws(SystemFailure) {
            let target = try Self.target(of: name, in: folder.number)
            if PathName(target).isAbsolute {
                folder = try OpenDescriptor.open("/", Linux.pathOnly | O_DIRECTORY)
                names = []
            }
            rest += Self.steps(target)
        } catch {
            throw Self.unreachable(original, error, code)
        }
    }

    private static func target(of name: String, in folder: Int32) throws(SystemFailure) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlinkat(folder, name, &buffer, buffer.count)
        guard count >= 0 else { throw SystemFailure(errno) }
        let bytes = buffer.prefix(count).map(UInt8.init(bitPattern:))
        guard !bytes.isEmpty else { throw SystemFailure(ENOENT) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
