import BulkheadCore
import GRDB
import Synchronization

/// What goes into one transaction, and what becomes of it.
extension CommitWriter {
    /// Tells a mutation's caller that it is durable.
    typealias Success = @Sendable () -> Void

    /// A change of the database that waits for its commit.
    struct Mutation: Sendable {
        var purpose: CommitPurpose
        var bytes: Int
        var run: @Sendable (Database) throws -> Success
        var fail: @Sendable (BulkheadError) -> Void
    }

    /// What became of a transaction.
    enum Outcome {
        case committed([Success], totalChanges: Int, bytesHeld: Int64, hasRoomAgain: Bool)
        case thrown(any Error)
        case fault(StorageFault, any Error)
    }

    /// What one transaction takes while the disk is full, so that it fits into the part of the log that is held.
    struct GroupSize {
        var mutations: Int
        var bytes: Int

        init(onFullDisk log: Int64) {
            mutations = max(Int(log >> 18), 1)
            bytes = Int(log / 8)
        }

        /// Parts a group in its order; each mutation that takes something in is a part of its own.
        func parts(of group: [Mutation]) -> [[Mutation]] {
            var parts: [[Mutation]] = []
            var bytes = 0
            for mutation in group {
                let last = parts.last ?? []
                let isAlone = mutation.purpose == .growth || last.last?.purpose == .growth
                if last.isEmpty || isAlone || last.count >= mutations || bytes >= self.bytes {
                    parts.append([])
                    bytes = 0
                }
                parts[parts.count - 1].append(mutation)
                bytes += mutation.bytes
            }
            return parts
        }
    }
}

/// Committing a group, and what comes of it.
extension CommitWriter {
    /// Commits a group; where it cannot be, each of its mutations alone, as far as it may run again.
    func commit(_ group: [Mutation], mayRunAgain: Bool) {
        if let end {
            for mutation in group { mutation.fail(end) }
            return
        }
        let start = ContinuousClock.now
        let outcome = transact(group)
        let took = start.duration(to: .now)
        switch outcome {
        case .committed(let successes, let totalChanges, let held, let hasRoomAgain):
            // What was committed after another thread had begun to save may not be among what was saved.
            guard !state.withLock(\.isBeingRescued), confirmFiles() else {
                let error = rescueIfNeeded()?.error ?? end ?? ReadGate.closed
                for mutation in group { mutation.fail(error) }
                return
            }
            state.withLock { $0.measures.note(mutations: group.count, took: took) }
            for success in successes { success() }
            tellGrowth(held)
            if hasRoomAgain { growth.yield() }
            feed.tell()
            guard end == nil else { return }
            writeBackIfDue(totalChanges: totalChanges, bytes: group.reduce(0) { $0 + $1.bytes })
        case .fault(.passing, let error as DatabaseError)
        where error.resultCode == .SQLITE_FULL && mayRunAgain:
            // What has no room costs the others nothing; from its front, the log has some.
            reserve?.noteFull()
            writeBackLog()
            for mutation in group { commit([mutation], mayRunAgain: false) }
        case .fault(let fault, let error): fail(group, fault, error)
        case .thrown(let error) where group.count == 1:
            group[0].fail(BulkheadError(storing: error, "a change of the database was not possible"))
        case .thrown:
            for mutation in group { commit([mutation], mayRunAgain: mayRunAgain) }
        }
    }

    private func fail(_ group: [Mutation], _ fault: StorageFault, _ error: any Error) {
        state.withLock { $0.measures.failures += 1 }
        if fault == .lasting { stop(error, "the database could not be written") }
        let isFull = (error as? DatabaseError)?.resultCode == .SQLITE_FULL
        var error = BulkheadError(storing: error, "the database could not be written")
        if isFull { error.code = .noReserve }
        for mutation in group { mutation.fail(error) }
    }

    private func transact(_ group: [Mutation]) -> Outcome {
        do {
            return try transact(group, givingUp: 0)
        } catch let lack as DiskReserve.Lack {
            return .thrown(lack.error)
        } catch {
            guard let fault = StorageFault(error) else { return .thrown(error) }
            let isWrite = (error as? DatabaseError)?.extendedResultCode == .SQLITE_IOERR_WRITE
            if isWrite, let refusal = reserve?.refusalOfWrites() { return .fault(.passing, refusal) }
            return .fault(fault, error)
        }
    }

    /// Runs a group in one transaction, and again with more of the ballast where it lacks pages.
    private func transact(_ group: [Mutation], givingUp pages: Int) throws -> Outcome {
        let purpose: CommitPurpose = group.contains { $0.purpose == .growth } ? .growth : .relief
        var successes: [Success] = []
        successes.reserveCapacity(group.count)
        var held: Int64 = 0
        var room: DiskReserve.Room?
        let totalChanges: Int
        do {
            totalChanges = try pool.writeWithoutTransaction { db in
                try db.inTransaction(.immediate) {
                    let taken = pages > 0 ? try Ballast.free(pages, db) : 0
                    for mutation in group { successes.append(try mutation.run(db)) }
                    let ledger = try Ledger.read(db)
                    held = ledger.bytesHeld
                    room = try reserve?.secure(db, ledger, rowsTaken: taken, for: purpose)
                    return .commit
                }
                return db.totalChangesCount
            }
        } catch let lack as DiskReserve.Lack where pages < Self.mostPagesGivenUp {
            return try transact(group, givingUp: 2 * pages + lack.pages)
        }
        return .committed(
            successes,
            totalChanges: totalChanges,
            bytesHeld: held,
            hasRoomAgain: room.flatMap { reserve?.note($0) } ?? false
        )
    }

    private func tellGrowth(_ held: Int64) {
        let isLess = bytesHeld.withLock { last in
            defer { last = held }
            return held < last
        }
        if isLess { growth.yield() }
    }
}
