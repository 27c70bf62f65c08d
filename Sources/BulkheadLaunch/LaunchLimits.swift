/// Every bound of the launcher protocol, with its unit.
public enum LaunchLimits {
    /// Version of the protocol that both ends of this build speak.
    public static let protocolVersion: UInt16 = 1

    /// Version of the specs that both ends of this build know.
    ///
    /// A spec goes only from a supervisor to a launcher that it has started itself, so that this version may change
    /// where launchers of the version before are to be adopted.
    public static let specVersion: UInt16 = 2

    /// Bytes of one `output` packet's payload.
    public static let outputPacketBytes = 64 * 1024

    /// Bytes of one packet of any kind; a receive buffer of this size holds every message.
    ///
    /// Linux takes a packet of up to `SO_SNDBUF` − 32 bytes, which is 212,960 with the kernel's defaults.
    public static let packetBytes = 204_800

    /// Bytes of one fd 3 line when the spec does not say: the 64 KiB result limit and 4 KiB around it.
    public static let eventLineBytes = 68 * 1024

    /// Bytes of the longest fd 3 line that a spec may ask for: what fits one packet with its header.
    public static let eventLineCeiling = 196_608

    /// Bytes that are delivered of a line which is longer than the bound: `{"result":` and 4 KiB of what follows it.
    public static let eventHeadBytes = 10 + 4 * 1024

    /// Bytes of an encoded `LaunchSpec`.
    public static let specBytes = 2 * 1024 * 1024

    /// Bytes of one text in a spec: the kernel's bound for one argument (MAX_ARG_STRLEN).
    public static let textBytes = 128 * 1024

    /// Entries of any list in a spec: arguments, environment, rules, cgroup files.
    public static let listEntries = 4096

    /// Instructions of a filter: the kernel's BPF_MAXINSNS.
    public static let filterInstructions = 4096

    /// Bytes of a `refused` message's detail.
    public static let detailBytes = 4 * 1024

    /// Bytes of the slot's secret.
    public static let secretBytes = 32

    /// Descriptors that come with a `launch` packet at most: the spec, stdin, and what is to be held.
    public static let launchDescriptors = 3

    /// Bytes of one stream that may be unacknowledged before the launcher stops reading it.
    public static let windowBytes = 1024 * 1024

    /// Bytes of one stream that are read after the handler's exit, beyond the window.
    public static let drainBytes = 1024 * 1024

    /// Nanoseconds after the handler's exit for which open pipes are still read.
    public static let drainNanoseconds: UInt64 = 500_000_000

    /// Nanoseconds from the fork to a successful exec.
    public static let launchNanoseconds: UInt64 = 30_000_000_000

    /// Nanoseconds without the end of any process after which what SIGKILL did not end is reported as surviving.
    public static let sweepNanoseconds: UInt64 = 10_000_000_000

    /// Nanoseconds between two `denied` messages about one system call.
    public static let deniedNanoseconds: UInt64 = 50_000_000

    /// Denied calls after which an attempt is ended, when the spec does not say.
    public static let deniedCalls: UInt64 = 100_000

    /// System call numbers that are counted one by one; denials of others are only summed.
    public static let deniedNumbers = 256

    /// Bytes for which the pipes of a handler are asked.
    public static let pipeBytes = 256 * 1024

    /// Bytes of queued event lines beyond which fd 3 is not read.
    public static let eventQueueBytes = 256 * 1024

    /// Bytes of the random number that each side of an adoption draws.
    public static let nonceBytes = 32

    /// Bytes of a proof: an HMAC with SHA-256.
    public static let proofBytes = 32

    /// Bytes of a launcher's name in the folder of launchers, and of a task's id.
    public static let nameBytes = 64

    /// Nanoseconds for which a launcher waits for the next packet of somebody who wants to adopt it.
    public static let handshakeNanoseconds: UInt64 = 5_000_000_000

    /// Nanoseconds for which a launcher whose outcome is recorded waits for a supervisor.
    public static let recordedNanoseconds: UInt64 = 60_000_000_000

    /// Nanoseconds for which a launcher whose outcome cannot be recorded waits for a supervisor.
    public static let unrecordedNanoseconds: UInt64 = 24 * 3_600_000_000_000

    /// Nanoseconds between two tries to record an outcome, and between two looks whether it is still needed.
    public static let recordingNanoseconds: UInt64 = 1_000_000_000

    /// Bytes of event lines that no supervisor has understood yet.
    public static let pendingEventBytes = 1024 * 1024

    /// Event lines whose meaning one message tells at most.
    public static let eventAckLines = 256

    /// Bytes of event lines whose meaning one message tells, about: far less than may wait for their meaning.
    public static let eventAckBytes = 256 * 1024

    /// Event lines of no meaning that are kept, as many as a task has warnings.
    public static let strayEventLines = 32

    /// Bytes of the event lines of no meaning that are kept, about.
    public static let strayEventBytes = 256 * 1024

    /// Bytes of an outcome's record: both streams' windows and drains, the events, and what is around them.
    public static let recordBytes = 8 * 1024 * 1024
}
