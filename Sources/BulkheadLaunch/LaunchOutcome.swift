/// How the handler's own process ended, as `waitid` said it.
public enum Ending: Sendable, Equatable {
    /// It exited with this code, 0 to 255.
    case exited(code: Int32)
    /// This signal killed it.
    case signaled(signal: Int32)
}

/// Everything that a launcher knows at the end of an attempt.
public struct LaunchOutcome: Sendable, Equatable {
    /// How the handler's own process ended.
    public var ending: Ending
    /// What ended the attempt; nil if the exit came before any stop was sent.
    public var stop: StopReason?
    /// Number of the system call whose denial ended the attempt.
    public var killedBySyscall: UInt32?
    /// Bytes that the handler wrote to stdout: the stream's final offset.
    public var stdoutBytes: UInt64 = 0
    /// Bytes that the handler wrote to stderr: the stream's final offset.
    public var stderrBytes: UInt64 = 0
    /// Bytes of stdout that the launcher dropped while no supervisor was there.
    public var stdoutDroppedBytes: UInt64 = 0
    /// Bytes of stderr that the launcher dropped while no supervisor was there.
    public var stderrDroppedBytes: UInt64 = 0
    /// Whether a pipe was still open at the end of the drain, so that bytes in it may be missing.
    public var drainIncomplete = false
    /// Lines of fd 3 that were longer than the bound.
    public var eventLinesTruncated: UInt64 = 0
    /// Lines of fd 3 that the launcher dropped while no supervisor was there.
    public var eventLinesDropped: UInt64 = 0
    /// Denied calls in all.
    public var deniedTotal: UInt64 = 0
    /// Denied calls of numbers that no `denied` message named, since there were too many of them.
    public var deniedUnnamed: UInt64 = 0
    /// Processes of the tree that the kernel's out-of-memory killer ended.
    public var oomKills: UInt64 = 0
    /// Processes that SIGKILL did not end within `LaunchLimits.sweepNanoseconds`.
    public var survivors: UInt32 = 0
    /// Nanoseconds from the exec to the exit, monotonic.
    public var wallNanoseconds: UInt64 = 0
    /// Microseconds of user time of the whole tree.
    public var userMicroseconds: UInt64 = 0
    /// Microseconds of system time of the whole tree.
    public var systemMicroseconds: UInt64 = 0
    /// Bytes of the largest resident set of any one process of the tree.
    public var maxRSSBytes: UInt64 = 0

    /// Makes an outcome with this ending and nothing else to say.
    public init(ending: Ending, stop: StopReason? = nil) {
        self.ending = ending
        self.stop = stop
    }

    /// The final offset of a stream.
    public func bytes(of stream: OutputStream) -> UInt64 {
        switch stream {
        case .stdout: stdoutBytes
        case .stderr: stderrBytes
        }
    }
}
