import Foundation

/// The files of an open database, known by what they are and not by their names alone.
///
/// SQLite holds them open and never looks at their names again: what is committed after somebody has removed one
/// goes into a file that is gone with its last descriptor
/// (https://www.sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use).
struct StoreFiles: Sendable {
    /// One of the files, by what follows the database's path in its name.
    enum Part: String, Sendable, CaseIterable {
        case main = ""
        case log = "-wal"
        case index = "-shm"
    }

    /// What has become of a file's name.
    enum Change: String, Sendable {
        case removed
        case replaced
    }

    private struct Identity: Sendable, Equatable {
        var device: Int
        var number: Int
    }

    /// The database's path.
    let path: String
    private let identities: [Part: Identity]

    /// Notes which files there are, once the database is open.
    init(path: String) {
        self.path = path
        var identities: [Part: Identity] = [:]
        for part in Part.allCases {
            if let identity = try? Self.identity(of: path + part.rawValue) { identities[part] = identity }
        }
        self.identities = identities
    }

    /// What has become of the files since then; empty where each is in its place.
    func changes() -> [Part: Change] {
        var changes: [Part: Change] = [:]
        for (part, identity) in identities {
            do {
                let found = try Self.identity(of: path + part.rawValue)
                if found != identity { changes[part] = found == nil ? .removed : .replaced }
            } catch {
                // Where the disk does not say, nothing is known of a change.
                continue
            }
        }
        return changes
    }

    /// Which file has a name now; nil where none has it.
    private static func identity(of path: String) throws -> Identity? {
        do {
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            guard let device = attributes[.systemNumber] as? NSNumber,
                let number = attributes[.systemFileNumber] as? NSNumber
            else { throw CocoaError(.fileReadUnknown) }
            return Identity(device: device.intValue, number: number.intValue)
        } catch let error as CocoaError where [.fileReadNoSuchFile, .fileNoSuchFile].contains(error.code) {
            return nil
        }
    }
}
