import BulkheadCore
import Foundation
import GRDB
import Glibc
import Synchronization

/// What a commit is for, which decides what it may have of a full disk.
enum CommitPurpose: Sendable {
    /// It takes in something new: a submit, a beginning, output. It never touches the reserve.
    case growth
    /// It ends, notes or gives up what is there already; the reserve is held for these.
    case relief
}

/// Room on the disk for the ends of what runs, taken from the file system before it is needed.
///
/// So a disk that others fill keeps no result, no acknowledgement and no rotation from being written. A commit is
/// safe once it is in the log, and others can follow for ever while the log can be written back; so there are two
/// files to see to:
///
/// - The log has ``StoreSettings/logReserve`` bytes on the disk from the start, and is never cut below that. SQLite
///   takes the zeros behind the last frame for the log's end (https://www.sqlite.org/fileformat2.html#walformat).
///   While the disk is short the log is written back after every group, so that the next one begins at its front.
/// - Of the main file every page is on the disk before a commit counts it, so writing back only overwrites. In it
///   the table `ballast` holds pages for the finals of what runs, for the terminal reserve and for the rows that
///   change with them. Where a relief finds no page it gets those of the ballast, and after them those of
///   the oldest output. Growth is refused where the file cannot grow, and until the ballast is whole again.
///
/// On file systems that write a changed block to another place (btrfs, ZFS, bcachefs) nothing can be held so; there
/// `doctor` says that nothing is promised.
final class DiskReserve: Sendable {
    /// The main file and the log.
    ///
    /// POSIX drops a process's locks on a file with the first descriptor of it that is closed, SQLite's own too
    /// (https://www.sqlite.org/howtocorrupt.html#posix_close_bug): these stay open until the pool has closed.
    let database: FileHandle
    let log: FileHandle
    let settings: StoreSettings
    let logWanted: Int64
    let state = Mutex(State())

    struct State {
        var logHeld: Int64 = 0
        /// Pages of the main file that are on the disk, all from the first on.
        var securedPages = 0
        var room = Room()
        /// Whether the rows of the ballast have been counted; from then on every commit that changes them says so.
        var isCounted = false
        var wantedRows = 0
        var shortage: BulkheadError?
        var isPossible = true
        var isClosed = false
    }

    /// What a transaction leaves in the main file.
    struct Room: Sendable, Equatable {
        /// Pages that the main file has.
        var pages = 0
        /// Rows of the ballast.
        var rows = 0
    }

    /// A relief found no page: what it lacks.
    struct Lack: Error {
        var pages: Int
        var error: BulkheadError
    }

    /// Holds what can be held; a disk that is full already is no error.
    /// - Parameters:
    ///   - settings: Where the files lie, and what is to be held.
    ///   - pool: The open database.
    /// - Throws: An error of Foundation's or SQLite's.
    convenience init(_ settings: StoreSettings, _ pool: DatabasePool) throws {
        try self.init(settings)
        do {
            let (rows, pages) = try pool.read { (try Ballast.rows($0), try Ballast.pages($0).all) }
            state.withLock { state in
                state.room = Room(pages: pages, rows: rows)
                state.isCounted = true
            }
            if let number = allocate(pages: pages) {
                // Some page has never been written. It is not known which, so it is left as it is.
                _ = note(number)
                state.withLock { $0.securedPages = pages }
            }
            _ = note(try pool.write { try secure($0, try Ledger.read($0), for: .relief) })
        } catch let error as DatabaseError where error.resultCode == .SQLITE_FULL {
            noteFull()
        } catch is Lack {
            // It is noted, and tried again.
        }
    }

    private init(_ settings: StoreSettings) throws {
        self.settings = settings
        database = try FileHandle(forUpdating: URL(filePath: settings.path))
        log = try FileHandle(forUpdating: URL(filePath: settings.path + "-wal"))
        for file in [database, log] { _ = fcntl(file.fileDescriptor, F_SETFD, FD_CLOEXEC) }
        let size = try FileManager.default.attributesOfFileSystem(forPath: settings.path)[.systemSize]
        logWanted = settings.logReserve(onDiskOf: (size as? NSNumber)?.int64Value ?? .max)
    }

    /// Why nothing new can be taken; nil where it can.
    var shortage: BulkheadError? { state.withLock(\.shortage) }

    /// Bytes of the log that ought to be held.
    var logBytes: Int64 { logWanted }

    /// Pages that the ballast lacks.
    var missingPages: Int {
        state.withLock { max($0.wantedRows - $0.room.rows, 0) * Ballast.pagesPerRow }
    }

    /// What is held, and what ought to be.
    var measures: ReserveMeasures {
        state.withLock { state in
            let rows = min(state.room.rows, state.wantedRows)
            return ReserveMeasures(
                heldBytes: state.isPossible ? state.logHeld + Int64(rows * Ballast.bytesPerRow) : 0,
                wantedBytes: logWanted + Int64(state.wantedRows * Ballast.bytesPerRow),
                shortage: state.shortage?.cause
            )
        }
    }

    /// Sees at the end of a transaction that what it leaves can be written back, and that the reserve is whole.
    /// - Parameters:
    ///   - db: The transaction.
    ///   - ledger: The counters as it leaves them.
    ///   - taken: Rows of the ballast that it has given up.
    ///   - purpose: What it is for.
    /// - Returns: What it leaves, for ``note(_:)`` once it is committed.
    /// - Throws: ``BulkheadError`` with the code `noReserve`, or ``Lack`` of a relief; then it is to be rolled back.
    func secure(
        _ db: Database,
        _ ledger: Ledger,
        rowsTaken taken: Int = 0,
        for purpose: CommitPurpose
    ) throws -> Room {
        let wanted = settings.ballastRows(ledger)
        let counted = state.withLock { state in
            state.wantedRows = wanted
            return state.isCounted ? state.room.rows - taken : nil
        }
        var room = Room(rows: try counted ?? Ballast.rows(db))
        var refusal = holdLog()
        if room.rows < wanted {
            refusal = try refill(db, &room, to: wanted) ?? refusal
        }
        room.pages = try Ballast.allPages(db)
        if let number = allocate(pages: room.pages) {
            let error = note(number)
            guard purpose == .relief else { throw error }
            throw Lack(pages: room.pages - state.withLock(\.securedPages), error: error)
        }
        if shortage != nil, refusal == nil, let number = allocate(pages: room.pages + Self.pagesAhead) {
            // What fits into the pages that there are may go on, but nothing is over.
            _ = note(number)
        }
        guard let refusal else { return room }
        let error = note(refusal)
        if purpose == .growth { throw error }
        return room
    }

    /// Notes what a commit has left.
    /// - Returns: Whether there is room again that there was not before.
    func note(_ room: Room) -> Bool {
        state.withLock { state in
            state.room = room
            state.isCounted = true
            guard state.shortage != nil, room.rows >= state.wantedRows, state.logHeld >= logWanted,
                state.securedPages >= room.pages + Self.pagesAhead
            else { return false }
            state.shortage = nil
            return true
        }
    }

    /// Notes that SQLite itself met a full disk.
    func noteFull() { _ = note(ENOSPC) }

    /// Notes that SQLite may have cut the main file to the pages that are counted.
    func noteWrittenBack() {
        state.withLock { $0.securedPages = min($0.securedPages, $0.room.pages) }
    }

    /// Why the file system takes no write at this moment, where that is no fault of the disk.
    ///
    /// It is full, a quota is used up, or it has become read-only: a write that is refused so has changed nothing.
    /// - Returns: The error; nil where the file system says none of it.
    func refusalOfWrites() -> BulkheadError? {
        // So far beyond the end that it has to find a block.
        guard let end = try? Int64(log.seekToEnd()) else { return nil }
        let number = allocate(log, from: end, bytes: Int64(Checkpointer.pageBytes) + 1)
        switch number {
        case ENOSPC, EDQUOT: return note(number)
        case EROFS:
            return BulkheadError(
                .storage,
                "the state folder's file system takes no writes",
                cause: Self.words(number),
                advice: "make it writable again; what runs goes on meanwhile, and nothing is acknowledged",
                retryAfterSeconds: BulkheadError.storageRetrySeconds
            )
        default: return nil
        }
    }

    /// Empties the log and keeps its room; for a log that is written back whole and that nobody writes any more.
    ///
    /// A log without a header is an empty one, so another copy of the main file can be put in the place of this one
    /// without this log being taken for its own.
    /// - Throws: An error of Foundation's.
    func wipeLog() throws {
        try log.seek(toOffset: 0)
        try log.write(contentsOf: Data(count: LogCheck.headerBytes))
        try log.synchronize()
    }

    /// Closes the files, once; only when the pool has closed.
    /// - Throws: An error of Foundation's.
    func close() throws {
        let isOver = state.withLock { state in
            defer { state.isClosed = true }
            return state.isClosed
        }
        guard !isOver else { return }
        try log.close()
        try database.close()
    }
}
