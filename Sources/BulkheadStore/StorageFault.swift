import BulkheadCore
import Foundation
import GRDB

/// What an error of SQLite means for the store as a whole.
enum StorageFault: Sendable, Equatable {
    /// The disk, the lock or the memory does not allow it now; the next commit may succeed.
    case passing
    /// What is on the disk can no longer be trusted: the writer stops for good.
    case lasting

    /// Sorts what a transaction ended with; nil where the fault lies with one mutation and not with the store.
    init?(_ error: any Error) {
        guard let error = error as? DatabaseError else { return nil }
        switch error.extendedResultCode {
        // The pages of the log's index are made by writing to them, so a full disk is met there first.
        case .SQLITE_IOERR_NOMEM, .SQLITE_IOERR_SHMSIZE, .SQLITE_CORRUPT_VTAB: self = .passing
        case .SQLITE_READONLY_DBMOVED: self = .lasting
        default:
            switch error.resultCode {
            case .SQLITE_IOERR, .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .lasting
            case .SQLITE_FULL, .SQLITE_READONLY, .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_CANTOPEN,
                .SQLITE_NOMEM, .SQLITE_PERM, .SQLITE_AUTH, .SQLITE_PROTOCOL, .SQLITE_NOLFS,
                .SQLITE_INTERRUPT:
                self = .passing
            default: return nil
            }
        }
    }
}

extension BulkheadError {
    /// Seconds after which a commit that met a full disk or a lock is worth another try.
    static let storageRetrySeconds = 5

    /// Puts an error of the database into the product's words.
    /// - Parameters:
    ///   - error: What was thrown; an error of ours goes through unchanged.
    ///   - doing: What could not be done, such as `the database could not be written`.
    init(storing error: any Error, _ doing: String) {
        if let own = error as? BulkheadError {
            self = own
            return
        }
        if let damage = error as? Damage {
            self.init(.storage, doing, cause: "it is damaged: \(damage.reason)")
            return
        }
        guard let error = error as? DatabaseError else {
            let isOfFiles = error is CocoaError || error is POSIXError
            self.init(isOfFiles ? .storage : .internal, doing, cause: "\(error)")
            return
        }
        self.init(.storage, doing, cause: Self.cause(of: error), advice: Self.advice(for: error))
        switch error.resultCode {
        case .SQLITE_FULL, .SQLITE_BUSY, .SQLITE_LOCKED: retryAfterSeconds = Self.storageRetrySeconds
        case .SQLITE_CONSTRAINT, .SQLITE_MISUSE, .SQLITE_ERROR: code = .internal
        default: break
        }
    }

    private static func cause(of error: DatabaseError) -> String {
        let words =
            switch error.extendedResultCode {
            // SQLite's own words, a disk I/O error, would send people looking for a broken disk.
            case .SQLITE_IOERR_SHMSIZE: "the disk has no room for the index of the database's log"
            default: error.message ?? "SQLite says no more"
            }
        return "\(words) (\(error.extendedResultCode))"
    }

    private static func advice(for error: DatabaseError) -> String? {
        switch (error.resultCode, error.extendedResultCode) {
        case (.SQLITE_FULL, _), (_, .SQLITE_IOERR_SHMSIZE), (_, .SQLITE_IOERR_SHMOPEN):
            "free space on the file system of the state folder"
        case (.SQLITE_BUSY, _), (.SQLITE_LOCKED, _):
            "another program holds the database; end it"
        case (.SQLITE_READONLY, _), (.SQLITE_CANTOPEN, _), (.SQLITE_PERM, _):
            "see that the state folder exists, belongs to the supervisor's user and can be written"
        case (.SQLITE_IOERR, _):
            "look into the kernel's log for faults of the disk, then start the supervisor again"
        case (.SQLITE_CORRUPT, _), (.SQLITE_NOTADB, _):
            "the file is damaged: start the supervisor again, which moves it aside and begins a new one"
        default: nil
        }
    }
}

extension DatabaseError {
    /// The error for a stored value that no version of Bulkhead has written.
    static func damaged(_ what: String) -> DatabaseError {
        DatabaseError(resultCode: .SQLITE_CORRUPT, message: "\(what) holds what was never written to it")
    }
}
