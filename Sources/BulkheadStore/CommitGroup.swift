import BulkheadCore
import GRDB

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
