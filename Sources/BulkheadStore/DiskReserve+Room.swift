import BulkheadCore
import Foundation
import GRDB
import Glibc
import Synchronization

/// Getting room from the file system.
extension DiskReserve {
    /// Pages by which the main file is made longer than is needed at the moment, so that this is not done each time.
    static let pagesAhead = 64
    /// Rows by which the ballast grows beyond what is wanted at the moment, likewise.
    private static let rowsAhead = 8

    /// Brings the ballast to its size, and first finds the pages for it.
    /// - Returns: The number of the error where there are none.
    func refill(_ db: Database, _ room: inout Room, to wanted: Int) throws -> Int32? {
        var refusal: Int32?
        for rows in [wanted + Self.rowsAhead, wanted] {
            let pages = try Ballast.pages(db)
            let lack = (rows - room.rows) * Ballast.pagesPerRow + Ballast.pagesOfAccount
            refusal = allocate(pages: pages.all + max(lack - pages.free, 0))
            guard refusal == nil else { continue }
            try Ballast.add(rows - room.rows, db)
            room.rows = rows
            return nil
        }
        // What is free already is better held than left to whoever comes first.
        let free = try Ballast.pages(db).free - Ballast.pagesOfAccount
        let rows = min(wanted - room.rows, free / Ballast.pagesPerRow)
        if rows > 0 {
            try Ballast.add(rows, db)
            room.rows += rows
        }
        return room.rows < wanted ? refusal : nil
    }

    /// Holds the log's room where it is not held yet.
    /// - Returns: The number of the error where there is none.
    func holdLog() -> Int32? {
        guard state.withLock(\.logHeld) < logWanted else { return nil }
        let end = Int64(clamping: (try? log.seekToEnd()) ?? 0)
        let number = end < logWanted ? allocate(log, from: end, bytes: logWanted - end) : 0
        guard number == 0 else { return number }
        state.withLock { $0.logHeld = logWanted }
        return nil
    }

    /// Sees that so many pages of the main file are on the disk.
    /// - Returns: The number of the error where they are not.
    func allocate(pages: Int) -> Int32? {
        let secured = state.withLock(\.securedPages)
        guard pages > secured else { return nil }
        var number: Int32 = 0
        for ahead in [Self.pagesAhead, 0] {
            let bytes = (pages + ahead - secured) * Checkpointer.pageBytes
            number = allocate(database, from: Int64(secured * Checkpointer.pageBytes), bytes: Int64(bytes))
            guard number == 0 else { continue }
            state.withLock { $0.securedPages = pages + ahead }
            return nil
        }
        return number
    }

    func allocate(_ file: FileHandle, from offset: Int64, bytes: Int64) -> Int32 {
        var number: Int32
        repeat {
            number = posix_fallocate(file.fileDescriptor, off_t(offset), off_t(bytes))
        } while number == EINTR
        guard number == EOPNOTSUPP || number == EINVAL else { return number }
        state.withLock { $0.isPossible = false }
        return 0
    }

    func note(_ number: Int32) -> BulkheadError {
        let error = BulkheadError(
            .noReserve,
            "the disk of the state folder is full, and the room held on it is for the ends of what runs",
            cause: Self.words(number),
            advice: "free space on the file system of \(settings.path)",
            retryAfterSeconds: BulkheadError.storageRetrySeconds
        )
        state.withLock { $0.shortage = error }
        return error
    }

    static func words(_ number: Int32) -> String {
        switch number {
        case ENOSPC: "No space left on device"
        case EDQUOT: "Disk quota exceeded"
        case EROFS: "Read-only file system"
        case EFBIG: "File too large"
        default: "error \(number)"
        }
    }
}
