import BulkheadCore
import Foundation
import GRDB

/// Saves a database one of whose files was removed or replaced while it was open, as long as the descriptors live.
///
/// With the main file in its place the log is written back into it, and then nothing else is needed. Otherwise, or where
/// another program's reader stands in the way, a whole copy is made and takes the place of the main file; a file of
/// somebody else's that lies there is left alone, and the copy beside it.
struct Rescue {
    /// What came of it.
    struct Outcome: Sendable {
        /// Whether all that was committed is on the disk under a name.
        var isWhole: Bool
        /// What happened, and what the user can do; the store ends with it.
        var error: BulkheadError
    }

    private enum Place {
        case main
        case beside(String)
    }

    let files: StoreFiles
    let changes: [StoreFiles.Part: StoreFiles.Change]
    let pool: DatabasePool
    /// The moment, for the name of a copy.
    let now: Timestamp

    private var path: String { files.path }

    func run() -> Outcome {
        do {
            switch try save() {
            case .main:
                return Outcome(
                    isWhole: true,
                    error: BulkheadError(
                        .storage,
                        "\(what); all that was committed has been saved in \(path)",
                        advice: "start the supervisor again; \(Self.rule)"
                    )
                )
            case .beside(let copy):
                return Outcome(
                    isWhole: true,
                    error: BulkheadError(
                        .storage,
                        "\(what); all that was committed has been saved in \(copy)",
                        advice:
                            "move that file to \(path) before the next start, or go on with the one that is there; "
                            + Self.rule
                    )
                )
            }
        } catch {
            return Outcome(isWhole: false, error: failure(error))
        }
    }

    private static let rule = "leave the files of the state folder alone while it runs"

    /// Of the log and the index a new connection of our own may have made others.
    private var what: String {
        let parts = StoreFiles.Part.allCases.compactMap { part in
            changes[part].map { change in
                "\(path)\(part.rawValue) was \((part == .main ? change : .removed).rawValue)"
            }
        }
        return parts.joined(separator: " and ") + " while the supervisor ran"
    }

    private func failure(_ cause: any Error) -> BulkheadError {
        let lost = changes[.main] == nil ? "the last commits are lost" : "its content is lost"
        return BulkheadError(
            .storage,
            "\(what), and it could not be saved: \(lost)",
            cause: BulkheadError(storing: cause, "it could not be copied").description,
            advice: "restore a backup, or start the supervisor again without it; \(Self.rule)"
        )
    }

    private func save() throws -> Place {
        if changes[.main] == nil, isWrittenBack() { return .main }
        // A crash from here on, or a failure, leaves a note without which the next start would begin as if nothing
        // had been.
        if changes[.main] == .removed { try note() }
        let copy = freeName()
        do {
            try writeCopy(to: copy)
        } catch {
            try? FileManager.default.removeItem(atPath: copy)
            throw error
        }
        guard changes[.main] != .replaced else { return .beside(copy) }
        try putInPlace(copy)
        return .main
    }

    private func note() throws {
        _ = try Quarantine(path: path).begin("its file was removed while the supervisor ran", now: now)
    }

    /// Writes the whole log back; false where a reader or the disk does not let all of it go.
    private func isWrittenBack() -> Bool {
        do {
            try pool.writeWithoutTransaction { db in _ = try db.checkpoint(.truncate) }
            return true
        } catch {
            return false
        }
    }

    private func writeCopy(to copy: String) throws {
        let target = try DatabaseQueue(path: copy)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: copy)
        try pool.writeWithoutTransaction { source in
            try target.writeWithoutTransaction { try source.backup(to: $0) }
        }
        try target.close()
        try FileHandle(forReadingFrom: URL(filePath: copy)).synchronize()
        try synchronizeFolder()
    }

    /// Gives the copy the main file's name; a log that lay beside the old one would be taken for its own.
    private func putInPlace(_ copy: String) throws {
        try note()
        let files = FileManager.default
        for part in StoreFiles.Part.allCases where files.fileExists(atPath: path + part.rawValue) {
            try files.removeItem(atPath: path + part.rawValue)
        }
        try files.moveItem(atPath: copy, toPath: path)
        try synchronizeFolder()
        try Quarantine(path: path).finish()
    }

    private func synchronizeFolder() throws {
        try FileHandle(forReadingFrom: URL(filePath: path).deletingLastPathComponent()).synchronize()
    }

    private func freeName() -> String {
        let name = path + ".saved-" + now.inFileName
        var free = name
        var number = 2
        while FileManager.default.fileExists(atPath: free) {
            free = "\(name)-\(number)"
            number += 1
        }
        return free
    }
}
