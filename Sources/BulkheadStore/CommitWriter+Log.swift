import BulkheadCore
import GRDB
import Synchronization

/// Bringing what is committed from the log into the main file.
extension CommitWriter {
    /// Writes the whole log back into the main file, once no mutation can come any more.
    ///
    /// SQLite does so itself only where the last connection that is closed may write, and here that one is
    /// a reader. What a lock keeps from being written back stays in the log, where the next start finds it.
    /// - Returns: Whether all of it is written back.
    /// - Throws: `DatabaseError` where the disk can no longer be trusted, ``BulkheadError`` where a file is gone.
    func writeBack() throws -> Bool {
        guard try isToBeWrittenBack() else { return false }
        do {
            // Room that is held on the disk stays with the log.
            let mode: Database.CheckpointMode = reserve == nil ? .truncate : .passive
            let log = try pool.writeWithoutTransaction { db in try db.checkpoint(mode) }
            return log.checkpointedFrameCount >= log.walFrameCount
        } catch  where StorageFault(error) == .passing {
            return false
        }
    }

    /// Writes the log back once it has grown far enough.
    func writeBackIfDue(totalChanges: Int, bytes: Int) {
        let isDue = checkpointer.withLock { $0.noteGroup(totalChanges: totalChanges, bytes: bytes) }
        // A log that was too long is looked at after every group, so that work goes on as soon as it can; and on a
        // full disk it must not grow at all.
        guard isDue || pressure != .none || reserve?.shortage != nil else { return }
        writeBackLog()
    }

    /// Writes back what no reader still needs, so that the log can begin anew.
    func writeBackLog() {
        do {
            let log = try pool.writeWithoutTransaction { db in try db.checkpoint(.passive) }
            reserve?.noteWrittenBack()
            logPressure.withLock { pressure in
                pressure = LogPressure(
                    frames: log.walFrameCount,
                    writtenBack: log.checkpointedFrameCount,
                    bound: logBound
                )
            }
        } catch {
            // The log keeps everything, so a checkpoint that met a lock or a full disk comes again later.
            guard StorageFault(error) == .lasting else { return }
            let isWrite = (error as? DatabaseError)?.extendedResultCode == .SQLITE_IOERR_WRITE
            if isWrite, reserve?.refusalOfWrites() != nil { return }
            stop(error, "the database's log could not be written back")
        }
    }
}
