import BulkheadLaunch

/// How a launcher with an attempt lives on without a supervisor: until when it waits for one, and what it has done.
struct Solitude {
    /// Whether the outcome lies in the record.
    private(set) var isRecorded = false
    /// Whether there is to be no wait for a supervisor: once the outcome is recorded, nothing is left to do.
    var isAskedToEnd = false
    private var nextTry: UInt64 = 0
    private var until: UInt64?

    /// When something is due, for an attempt that has ended or not.
    func deadline(hasEnded: Bool) -> UInt64? {
        guard hasEnded else { return nil }
        return [nextTry, until].compactMap(\.self).min()
    }

    /// Whether the wait for a supervisor is over.
    func isOver(at now: UInt64) -> Bool {
        isRecorded && isAskedToEnd || until.map { now >= $0 } ?? false
    }

    /// Whether the outcome is to be written now.
    func wantsRecord(at now: UInt64) -> Bool { !isRecorded && now >= nextTry }

    /// Whether it is time to see if anybody still needs the record.
    mutating func wantsLook(at now: UInt64) -> Bool {
        guard isRecorded, now >= nextTry else { return false }
        nextTry = now + LaunchLimits.recordingNanoseconds
        return true
    }

    /// The record was written, or could not be.
    mutating func tried(succeeded: Bool, at now: UInt64) {
        isRecorded = succeeded
        nextTry = now + LaunchLimits.recordingNanoseconds
        if succeeded {
            until = now + LaunchLimits.recordedNanoseconds
        } else if until == nil {
            until = now + LaunchLimits.unrecordedNanoseconds
        }
    }
}
