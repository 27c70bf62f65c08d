import BulkheadCore
import BulkheadHost
import BulkheadLaunch
import Foundation

/// A launch that ended before the handler's first instruction: at which step, and what the kernel said.
struct LaunchRefusal: Sendable {
    let stage: LaunchStage
    let errno: Int32
    let detail: String

    /// The errors that time mends: EINTR (somebody's kill before the exec), EAGAIN, ENOMEM, ENFILE, EMFILE, ETXTBSY
    /// (errno(3)).
    private static let passing: Set<Int32> = [4, 11, 12, 23, 24, 26]
    /// What execve(2) says of a file that cannot be executed: ENOENT for a missing interpreter, E2BIG, ENOEXEC,
    /// EACCES, EINVAL, ELIBBAD, ELOOP.
    private static let notExecutable: Set<Int32> = [2, 7, 8, 13, 20, 22, 40, 80]

    /// Whether the same launch may succeed later, with nothing changed.
    var isPassing: Bool {
        switch stage {
        // EPROTONOSUPPORT: a launcher of another version, until the supervisor is restarted as that version.
        case .spec where errno == 93: true
        // ENOSPC and EUSERS: as many namespaces as there may be (namespaces(7)).
        case .namespaces where errno == 28 || errno == 87: true
        default: Self.passing.contains(errno)
        }
    }

    /// Whether the handler's file is the reason.
    var handlerIsToBlame: Bool { stage == .exec && Self.notExecutable.contains(errno) }

    /// What happened, with the step and the error's number and text.
    var message: String {
        let text =
            "\(POSIXError.Code(rawValue: errno).map { POSIXError($0).localizedDescription } ?? "error") (errno \(errno))"
        let place = detail.isEmpty ? "" : " (\(detail))"
        return "the launch failed while \(stage.words)\(place): \(text)"
    }

    /// What the user can do.
    func hint(under terms: AttemptTerms) -> String? {
        switch stage {
        case .exec where errno == 2:
            "the file or its interpreter does not exist; look at the first line of \(terms.handlerFile)"
        case .exec where handlerIsToBlame:
            "\(terms.handlerFile) is no program that this machine can execute"
        case .spec where errno == 93:
            "the programs were replaced by another version; restart the supervisor"
        case .landlock, .namespaces:
            "each path under sandbox.read and sandbox.write of its policy must exist when the task starts, and be open to its user"
        default: nil
        }
    }
}
