import BulkheadCore

/// How far the log has grown that a checkpoint could not write back.
///
/// A reader of another program that keeps its snapshot keeps the log from being begun anew
/// (https://www.sqlite.org/wal.html#avoiding_excessively_large_wal_files). So submits end first, and at twice
/// that length output waits with its launchers; what is left of the log is for the ends of what runs.
enum LogPressure: Sendable, Equatable {
    /// It is as long as work makes it.
    case none
    /// Nothing new is taken.
    case long
    /// Output is not taken either.
    case full

    /// Bytes of a frame: a page and its header of 24 bytes (https://www.sqlite.org/fileformat2.html#walformat).
    private static let frameBytes = 4_120

    /// Judges what a checkpoint found.
    /// - Parameters:
    ///   - frames: Frames in the log.
    ///   - writtenBack: How many of them are in the main file; all of them, and the log can begin anew.
    ///   - bound: Bytes of log at which nothing new is taken.
    init(frames: Int, writtenBack: Int, bound: Int) {
        let bytes = frames * Self.frameBytes
        self =
            switch bytes {
            case _ where writtenBack >= frames: .none
            case (2 * bound)...: .full
            case bound...: .long
            default: .none
            }
    }

    private static let advice = "another program reads the database and does not end; end it (lsof names it)"
    private static let retrySeconds = 5

    /// Why a submit is refused; nil where it is not.
    var refusal: BulkheadError? {
        guard self != .none else { return nil }
        return BulkheadError(
            .noReserve,
            "the database's log cannot be written back and has grown to its bound",
            advice: Self.advice,
            retryAfterSeconds: Self.retrySeconds
        )
    }

    /// Why output is not taken now; nil where it is.
    var outputRefusal: BulkheadError? {
        guard self == .full else { return nil }
        return BulkheadError(
            .storage,
            "the database's log cannot be written back and has grown to its bound; output waits",
            advice: Self.advice,
            retryAfterSeconds: Self.retrySeconds
        )
    }
}
