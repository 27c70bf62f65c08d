import BulkheadCore
import Glibc

/// How the command ends, as its caller's shell sees it (contract §8).
enum ExitStatus: Int32 {
    case done = 0
    /// The task failed, was interrupted or cancelled; a policy that was checked is wrong.
    case taskFailed = 1
    case wrongUsage = 2
    case notFound = 3
    /// The supervisor refused: 409, 422, 429, 507.
    case refused = 4
    /// No supervisor, no right to its socket, or one that takes no work now.
    case unavailable = 69
    case ownFault = 70
    case timedOut = 124

    /// Ends the process.
    func end() -> Never { exit(rawValue) }
}

/// The end of a verb that did not do what it was asked for.
struct Failure: Error {
    var status: ExitStatus
    /// What standard error says; nil where everything has been said.
    var message: String?

    init(_ status: ExitStatus, _ message: String? = nil) {
        self.status = status
        self.message = message
    }
}

extension ExitStatus {
    /// The exit code for an answer of the supervisor that is not a success.
    init(httpStatus: Int) {
        switch httpStatus {
        case 400, 411, 413, 415, 431: self = .wrongUsage
        case 404: self = .notFound
        case 409, 422, 429, 507: self = .refused
        case 401, 403, 503: self = .unavailable
        default: self = .ownFault
        }
    }

    /// The exit code for an error that this process met itself.
    init(_ code: BulkheadError.Code) {
        switch code {
        case .malformed, .tooLarge, .invalidSetting: self = .wrongUsage
        case .notFound: self = .notFound
        case .conflict, .wrongState, .unknownType, .typeRefused, .queueFull, .noReserve: self = .refused
        case .forbidden, .unavailable: self = .unavailable
        case .host, .storage, .internal: self = .ownFault
        }
    }
}

extension Failure {
    /// The end that an error means.
    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as BulkheadError: self.init(ExitStatus(error.code), error.description)
        default: self.init(.ownFault, "\(error)")
        }
    }
}
