public import BulkheadCore
import Foundation

/// The rule of owner and mode that handlers, policy files, settings and every folder above them obey: they
/// belong to root or to the supervisor's user, and nobody else can write them.
///
/// A sticky folder such as `/tmp` may be writable by others where something lies below it: what is below must
/// itself belong to root or to us, and in a sticky folder nobody else can rename or remove that.
public enum PathRules {
    /// Opens a regular file for reading once it and every folder and link on the way obey the rule.
    ///
    /// The way is walked folder by folder on open descriptors, so what was checked is what is opened.
    /// - Parameters:
    ///   - path: Where the file is.
    ///   - secret: Whether it must not even be readable by others (mode 0600).
    ///   - code: The code of the error for a file that breaks the rule.
    /// - Returns: The open file.
    /// - Throws: ``BulkheadError``: `notFound`, or the given code with what is wrong and how to mend it.
    public static func openFile(
        _ path: String,
        secret: Bool = false,
        code: BulkheadError.Code = .typeRefused
    ) throws(BulkheadError) -> OpenDescriptor {
        let end = try PathWalk.walk(path, code: code)
        switch end.status.kind {
        case .file: break
        case .folder: throw BulkheadError(code, "\(path) is a folder, not a file")
        case .link, .other:
            throw BulkheadError(
                code,
                "\(path) is no regular file",
                advice: "put a regular file there, or remove it"
            )
        }
        if let violation = violation(of: end.status, secret: secret) {
            throw violation.error(at: path, end.status, code)
        }
        do throws(SystemFailure) {
            // Non-blocking, and through the descriptor that was checked rather than by name.
            return try OpenDescriptor.open(end.descriptor.procPath, O_RDONLY | O_NONBLOCK | O_NOCTTY)
        } catch {
            throw PathWalk.unreachable(path, error, code)
        }
    }

    /// Reads a whole file that obeys the rule, such as a policy, `pools.yaml`, the settings or the token file.
    /// - Parameters:
    ///   - path: Where the file is.
    ///   - limit: Bytes that it may have at most.
    ///   - secret: Whether it must not even be readable by others (mode 0600).
    ///   - code: The code of the error for a file that breaks the rule.
    /// - Returns: The file's bytes.
    /// - Throws: ``BulkheadError``: `notFound`, `tooLarge`, or the given code with what is wrong and how to mend
    ///   it.
    public static func readFile(
        _ path: String,
        limit: Int,
        secret: Bool = false,
        code: BulkheadError.Code = .typeRefused
    ) throws(BulkheadError) -> [UInt8] {
        let file = try openFile(path, secret: secret, code: code)
        do throws(SystemFailure) {
            if let bytes = try file.readAll(limit: limit) { return bytes }
        } catch {
            throw PathWalk.unreachable(path, error, code)
        }
        throw BulkheadError(
            .tooLarge,
            "\(path) is larger than \(Quantities.text(bytes: Int64(limit))), the most that such a file may have"
        )
    }

    /// Checks that a folder and every folder and link on the way to it obey the rule.
    ///
    /// The folder itself may not be writable by others even when it is sticky: they could put files there.
    /// - Parameters:
    ///   - path: Where the folder is.
    ///   - code: The code of the error for a folder that breaks the rule.
    /// - Returns: Its absolute path without links.
    /// - Throws: ``BulkheadError``: `notFound`, or the given code with what is wrong and how to mend it.
    @discardableResult
    public static func checkFolder(
        _ path: String,
        code: BulkheadError.Code = .invalidSetting
    ) throws(BulkheadError) -> String {
        let end = try PathWalk.walk(path, code: code)
        guard end.status.kind == .folder else {
            throw BulkheadError(code, "\(path) is a file, not a folder")
        }
        if let violation = violation(of: end.status) { throw violation.error(at: path, end.status, code) }
        return end.path
    }
}

extension PathRules {
    /// What can be wrong with one file, folder or link.
    enum Violation: Equatable {
        case foreignOwner
        case groupWritable
        case worldWritable
        case notSecret
    }

    /// Decides whether one step of a path obeys the rule.
    /// - Parameters:
    ///   - status: What the file system says about it.
    ///   - secret: Whether group and others may have no right at all.
    ///   - onTheWay: Whether something below it is checked too, which makes a sticky folder safe.
    ///   - user: The supervisor's user.
    /// - Returns: What is wrong, nil when nothing is.
    static func violation(
        of status: FileStatus,
        secret: Bool = false,
        onTheWay: Bool = false,
        user: UInt32 = geteuid()
    ) -> Violation? {
        guard status.uid == 0 || status.uid == user else { return .foreignOwner }
        // A link has no mode of its own: who may replace it is the matter of the folder that holds it.
        guard status.kind != .link else { return nil }
        if onTheWay, status.kind == .folder, status.isSticky { return nil }
        if status.mode & 0o002 != 0 { return .worldWritable }
        if status.mode & 0o020 != 0 { return .groupWritable }
        return secret && status.mode & 0o077 != 0 ? .notSecret : nil
    }
}

extension PathRules.Violation {
    /// Says what is wrong with the path, and the command that mends it.
    func error(at path: String, _ status: FileStatus, _ code: BulkheadError.Code) -> BulkheadError {
        let word = ShellWord.quote(path)
        return switch self {
        case .foreignOwner: foreignOwner(path, word, status, code)
        case .worldWritable:
            BulkheadError(
                code,
                "\(path) is writable by everybody (mode \(status.modeText))",
                advice: "run chmod \(status.mode & 0o020 == 0 ? "o-w" : "go-w") \(word)"
            )
        case .groupWritable:
            BulkheadError(
                code,
                "\(path) is writable by group \(UserDirectory.describe(group: status.gid))"
                    + " (mode \(status.modeText))",
                advice: "run chmod g-w \(word)"
            )
        case .notSecret:
            BulkheadError(
                code,
                "\(path) can be read by others (mode \(status.modeText))",
                advice: "run chmod 0600 \(word)"
            )
        }
    }

    private func foreignOwner(
        _ path: String,
        _ word: String,
        _ status: FileStatus,
        _ code: BulkheadError.Code
    ) -> BulkheadError {
        let user = geteuid()
        let ours = user == 0 ? "root" : "\(UserDirectory.describe(user: user)) or root"
        let name = UserDirectory.user(numbered: user)?.name ?? "\(user)"
        let change = status.kind == .link ? "chown -h" : "chown"
        return BulkheadError(
            code,
            "\(path) belongs to user \(UserDirectory.describe(user: status.uid)), not to \(ours)",
            advice: "run \(user == 0 ? "" : "sudo ")\(change) \(ShellWord.quote(name)) \(word)"
        )
    }
}
