import BulkheadCore
import Foundation

extension Timestamp {
    /// The moment at which this is read.
    static var ofWallClock: Timestamp {
        Timestamp(milliseconds: Int64(Date.now.timeIntervalSince1970 * 1_000))
    }

    /// The moment as a part of a file's name: 2026-11-21T06:45:33.120Z as 20261121T064533Z.
    var inFileName: String { description.prefix(19).filter { $0 != "-" && $0 != ":" } + "Z" }
}

/// Moves a damaged database aside, whole and once, so that a new one can begin in its place.
///
/// A file beside the database says that it is damaged, since when, and where it goes. It is on the disk before
/// anything is moved, and is removed when the new database knows of the loss: so a crash in between, and damage
/// that was found while the supervisor ran, are taken up by the next start.
struct Quarantine {
    private static let largestNote = 65_536

    /// The database's file.
    let path: String

    private var notePath: String { path + ".damaged" }
    private var files: FileManager { .default }

    /// What a note says.
    struct Note: Equatable {
        var loss: HistoryLoss
        /// Whether the damaged files are where they belong.
        var isMoved = false
    }

    /// The note that lies there; nil where there is none.
    ///
    /// One that cannot be read is one all the same: the database is not to be trusted.
    func note(now: Timestamp) throws -> Note? {
        guard files.fileExists(atPath: notePath) else { return nil }
        let bytes = try [UInt8](Data(contentsOf: URL(filePath: notePath)).prefix(Self.largestNote))
        guard let value = try? JSONParser.parse(bytes), let file = value["file"]?.string,
            !file.contains("/"), let at = value["at"]?.string.flatMap({ try? Timestamp($0) })
        else { return Note(loss: loss("a note that cannot be read said that it is damaged", now: now)) }
        let reason = value["reason"]?.string ?? "it is damaged"
        return Note(
            loss: HistoryLoss(at: at, file: file, reason: reason),
            isMoved: value["moved"]?.bool ?? false
        )
    }

    /// Notes that the database is damaged, unless it is noted already.
    func begin(_ reason: String, now: Timestamp) throws -> Note {
        if let note = try note(now: now) { return note }
        let note = Note(loss: loss(reason, now: now))
        try write(note)
        return note
    }

    /// Moves the database and its log to where the note says.
    func move(_ note: Note) throws -> Note {
        guard !note.isMoved else { return note }
        let folder = URL(filePath: path).deletingLastPathComponent().path
        let target = folder + "/" + note.loss.file
        // The log first: without its main file it cannot be taken for another database's.
        for suffix in ["-wal", ""] where files.fileExists(atPath: path + suffix) {
            try files.moveItem(atPath: path + suffix, toPath: target + suffix)
        }
        try? files.removeItem(atPath: path + "-shm")
        var moved = note
        moved.isMoved = true
        try write(moved)
        return moved
    }

    /// Forgets the note, once the new database knows of the loss.
    func finish() throws {
        try files.removeItem(atPath: notePath)
        try synchronizeFolder()
    }

    /// What can be seen of the files themselves, before they are opened; a header of the log that can be proved is put
    /// right.
    /// - Returns: What is wrong; nil where nothing is.
    func damageOfFiles() throws -> String? {
        guard files.fileExists(atPath: path + "-wal") else { return nil }
        var log = try Data(contentsOf: URL(filePath: path + "-wal"))
        guard !log.isEmpty else { return nil }
        if let header = LogCheck.mendedHeader(of: log) {
            log.replaceSubrange(..<header.count, with: header)
            let file = try FileHandle(forWritingTo: URL(filePath: path + "-wal"))
            try file.write(contentsOf: header)
            try file.synchronize()
            try file.close()
        }
        // The main file has its first page before there is a log.
        let bytes = (try? files.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
        return bytes == 0 ? "its main file is gone and its log is there" : LogCheck.damage(in: log)
    }

    private func loss(_ reason: String, now: Timestamp) -> HistoryLoss {
        let name = URL(filePath: path).lastPathComponent + ".corrupt-" + now.inFileName
        let folder = URL(filePath: path).deletingLastPathComponent().path
        var free = name
        var number = 2
        while ["", "-wal"].contains(where: { files.fileExists(atPath: folder + "/" + free + $0) }) {
            free = "\(name)-\(number)"
            number += 1
        }
        return HistoryLoss(at: now, file: free, reason: reason)
    }

    private func write(_ note: Note) throws {
        let value: JSONValue = .object([
            "at": .string(note.loss.at.description), "file": .string(note.loss.file),
            "reason": .string(note.loss.reason), "moved": .bool(note.isMoved),
        ])
        let place = URL(filePath: notePath)
        try Data(value.bytes).write(to: place, options: .atomic)
        try files.setAttributes([.posixPermissions: 0o600], ofItemAtPath: notePath)
        try FileHandle(forReadingFrom: place).synchronize()
        try synchronizeFolder()
    }

    private func synchronizeFolder() throws {
        let folder = URL(filePath: path).deletingLastPathComponent()
        try FileHandle(forReadingFrom: folder).synchronize()
    }
}
