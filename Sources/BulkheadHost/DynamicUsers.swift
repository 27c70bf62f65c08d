public import BulkheadCore
import Foundation
import Synchronization

/// Users of their own for attempts: numbers that nobody else on the host uses at the same time.
///
/// Numbers are taken block by block, each block under a lock file, so that two supervisors of one host never give
/// the same number. The lock goes with each launch and is held as long as any launcher has it: what outlives its
/// supervisor keeps its number, and only a supervisor of the same state folder may have the block meanwhile. Within
/// the blocks the number that has rested longest comes first, since files that an attempt left in a `write` folder
/// still carry it.
public final class DynamicUsers: Sendable {
    /// Where the lock files of all supervisors lie, unless told otherwise.
    public static let locksFolder = "/run/bulkhead-dynamic-uids"

    private static let blockSize = 1024

    private struct State {
        var rested: [UInt32] = []
        var taken: Set<UInt32> = []
        var blocks: [UInt32: UserBlock] = [:]
    }

    private let range: ClosedRange<UInt32>
    private let owner: String
    private let locks: String
    private let state = Mutex(State())

    /// Makes a source of user numbers; nothing is locked yet.
    /// - Parameters:
    ///   - range: The setting `dynamic-uids`.
    ///   - owner: ``StateFolder/identity``.
    ///   - locks: The folder of lock files, the same for all supervisors of the host.
    public init(range: ClosedRange<UInt32>, owner: String, locks: String = DynamicUsers.locksFolder) {
        self.range = range
        self.owner = owner
        self.locks = locks
    }

    /// Takes a number, which is both user and group, until it is given back.
    /// - Returns: The number.
    /// - Throws: ``BulkheadError`` with the code `host`: all are taken, or the lock files cannot be had.
    public func take() throws(BulkheadError) -> UInt32 {
        try state.withLock { state throws(BulkheadError) in
            if state.rested.isEmpty { try lockBlock(&state) }
            let uid = state.rested.removeFirst()
            state.taken.insert(uid)
            return uid
        }
    }

    /// Gives a number back, once no process of that user lives any more.
    public func giveBack(_ uid: UInt32) {
        state.withLock { state in
            guard state.taken.remove(uid) != nil else { return }
            state.rested.append(uid)
        }
    }

    /// Takes a number that an attempt of an earlier supervisor has, so that no other gets it.
    /// - Parameter uid: The number.
    /// - Returns: Whether other supervisors are kept from giving it too.
    public func reclaim(_ uid: UInt32) -> Bool {
        guard range.contains(uid) else { return false }
        let first = firstOfBlock(with: uid)
        return state.withLock { state in
            if state.blocks[first] == nil {
                guard (try? makeLocksFolder()) != nil, let lock = try? lock(first) else { return false }
                addBlock(first, lock, &state)
            }
            state.rested.removeAll { $0 == uid }
            state.taken.insert(uid)
            return true
        }
    }

    /// What keeps a number from other supervisors, for the launcher under which a process of that user runs.
    /// - Parameter uid: A number that was taken.
    /// - Returns: Its block; nil where it is none of ours.
    public func block(of uid: UInt32) -> UserBlock? {
        guard range.contains(uid) else { return nil }
        return state.withLock { $0.blocks[firstOfBlock(with: uid)] }
    }

    private func firstOfBlock(with uid: UInt32) -> UInt32 {
        let block = UInt32(Self.blockSize)
        return range.lowerBound + (uid - range.lowerBound) / block * block
    }

    private func addBlock(_ first: UInt32, _ lock: UserBlock, _ state: inout State) {
        state.blocks[first] = lock
        let last = UInt32(min(UInt64(range.upperBound), UInt64(first) + UInt64(Self.blockSize) - 1))
        // A number that the host has given to somebody else is left alone.
        state.rested += (first...last).filter { UserDirectory.user(numbered: $0) == nil }
    }

    private func lockBlock(_ state: inout State) throws(BulkheadError) {
        try makeLocksFolder()
        for start in stride(
            from: UInt64(range.lowerBound),
            through: UInt64(range.upperBound),
            by: Self.blockSize
        ) {
            let first = UInt32(start)
            guard state.blocks[first] == nil else { continue }
            guard let lock = try lock(first) else { continue }
            addBlock(first, lock, &state)
            if !state.rested.isEmpty { return }
        }
        throw BulkheadError(
            .host,
            "all dynamic users from \(range.lowerBound) to \(range.upperBound) are taken",
            advice: "widen the setting dynamic-uids, or lower the pools' concurrency"
        )
    }

    private func makeLocksFolder() throws(BulkheadError) {
        guard unsafe mkdir(locks, 0o700) == 0 || errno == EEXIST else {
            throw failed(SystemFailure(errno))
        }
        try PathRules.checkFolder(locks, code: .host)
    }

    /// Locks a block; nil where another supervisor, or a launcher of another one's, has it.
    private func lock(_ first: UInt32) throws(BulkheadError) -> UserBlock? {
        do throws(SystemFailure) {
            return try UserBlock.lock("\(locks)/\(first)", for: owner)
        } catch {
            throw failed(error)
        }
    }

    private func failed(_ failure: SystemFailure) -> BulkheadError {
        BulkheadError(
            .host,
            "dynamic users cannot be locked in \(locks)",
            cause: failure.description,
            advice: "make \(locks) writable for the supervisor, or name a user in the policy"
        )
    }
}
