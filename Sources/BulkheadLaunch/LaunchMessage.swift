/// A captured stream of a handler.
public enum OutputStream: UInt8, Sendable, Equatable, Hashable, CaseIterable {
    /// File descriptor 1.
    case stdout = 1
    /// File descriptor 2.
    case stderr = 2
}

/// What ended an attempt before it ended by itself.
public enum StopReason: UInt8, Sendable, Equatable, CaseIterable {
    /// Its time ran out; decided by the launcher.
    case timeout = 1
    /// Its tree used up its processor time; decided by the launcher.
    case cpu = 2
    /// A caller cancelled it.
    case cancelled = 3
    /// It wrote more than its policy lets it keep.
    case outputLimit = 4
    /// The supervisor is stopping.
    case supervisorStop = 5
    /// It met its memory limit.
    case memory = 6
    /// A denied system call ended it; decided by the launcher.
    case syscallDenied = 7

    /// Whether the tree is killed at once, without SIGTERM and grace.
    public var endsAtOnce: Bool { self == .cpu || self == .syscallDenied }
}

/// What a launcher is told once, before its first launch.
public struct Preparation: Sendable, Equatable {
    /// The supervisor's protocol version.
    public var version: UInt16
    /// Number of the slot that this launcher serves.
    public var slot: UInt32
    /// The slot's secret, exactly `LaunchLimits.secretBytes` long: proves each side to the other at adoption.
    public var secret: [UInt8]
    /// The launcher's name in the folder of launchers, whose descriptor comes with the packet.
    ///
    /// Under it the launcher listens for another supervisor, and leaves its record. Empty, without a descriptor: nobody can find it, and
    /// it ends its attempt with its supervisor.
    public var name: String

    /// Makes a preparation from its fields.
    public init(
        version: UInt16 = LaunchLimits.protocolVersion,
        slot: UInt32,
        secret: [UInt8],
        name: String = ""
    ) {
        self.version = version
        self.slot = slot
        self.secret = secret
        self.name = name
    }
}

/// The packet that announces a launch; its descriptors are the spec and the handler's stdin, both sealed, and, where there
/// is something to be held open to the attempt's end, that.
public struct LaunchHeader: Sendable, Equatable {
    /// Number of the attempt, repeated in every message about it.
    public var attempt: UInt64
    /// Bytes of the encoded `LaunchSpec` in the first descriptor.
    public var specBytes: UInt32

    /// Makes a header from its fields.
    public init(attempt: UInt64, specBytes: UInt32) {
        self.attempt = attempt
        self.specBytes = specBytes
    }
}

/// What a supervisor tells a launcher.
public enum SupervisorMessage: Sendable, Equatable {
    /// Comes first, once; answered by `ready`.
    case prepare(Preparation)
    /// Starts an attempt; carries the spec, stdin and what is to be held. Answered by `started` or `refused`.
    case launch(LaunchHeader)
    /// Ends the attempt: SIGTERM to the whole tree, the grace, SIGKILL.
    case stop(attempt: UInt64, reason: StopReason)
    /// Everything of the stream below this offset is committed.
    case outputAck(attempt: UInt64, stream: OutputStream, offset: UInt64)
    /// The outcome or the refusal is committed: the launcher forgets the attempt and answers `ready`, or exits if
    /// the outcome told of survivors.
    case outcomeAck(attempt: UInt64)
    /// What the oldest of the `event`s mean that were sent and not answered with this yet, at most
    /// `LaunchLimits.eventAckLines` of them.
    case eventAck(attempt: UInt64, meanings: [EventMeaning])
    /// Ends the attempt at once, with nobody to tell, and the launcher.
    case dismiss
    /// Answers `challenge`: another supervisor's random, and its proof.
    case adopt(nonce: [UInt8], proof: [UInt8])
    /// Answers `adopted`: everything below these offsets is committed. The launcher then sends again whatever else
    /// it has of its attempt, from `started` to the outcome, and all is as it was before.
    case resume(attempt: UInt64, stdout: UInt64, stderr: UInt64)
}

/// What a launcher tells its supervisor.
public enum LauncherMessage: Sendable, Equatable {
    /// It can take a launch: after `prepare` and after each `outcomeAck`.
    case ready(version: UInt16, pid: Int32)
    /// From here on the handler may run; comes before the exec, so that a launcher that dies behind it has told. `started`
    /// or `refused` follows.
    case executing(attempt: UInt64)
    /// The exec succeeded; `startTime` is field 22 of /proc/PID/stat, in clock ticks since boot.
    case started(attempt: UInt64, pid: Int32, startTime: UInt64)
    /// Bytes of a stream; `offset` is that of the first, counted from the attempt's start.
    case output(attempt: UInt64, stream: OutputStream, offset: UInt64, bytes: [UInt8])
    /// One line of fd 3 without its newline, of `length` bytes; `truncated`: it was longer than the bound, and
    /// `line` is its head.
    case event(attempt: UInt64, line: [UInt8], truncated: Bool, length: UInt64)
    /// A system call was denied; `count` is cumulative, and several denials share one message.
    case denied(attempt: UInt64, syscall: UInt32, count: UInt64)
    /// The handler exited by itself while processes of its tree lived; they are being ended. `holdsPipes`: one of them
    /// held stdout, stderr or fd 3 open. Sent at most once.
    case leftBehind(attempt: UInt64, processes: UInt32, holdsPipes: Bool)
    /// The attempt is over: exit seen, pipes drained, whole tree ended. Nothing of the attempt follows.
    case finished(attempt: UInt64, outcome: LaunchOutcome)
    /// The launch failed before the exec; takes the place of `started` and `finished`.
    case refused(attempt: UInt64, stage: LaunchStage, errno: Int32, detail: String)
    /// Comes first to whoever connects: the launcher's random.
    case challenge(nonce: [UInt8])
    /// The launcher's proof, and how its attempt stands.
    case adopted(proof: [UInt8], state: AttemptState)
}

extension LauncherMessage {
    /// The attempt that it is about; nil for what is about the launcher.
    public var attempt: UInt64? {
        switch self {
        case .ready, .challenge: nil
        case .adopted(_, let state): state.attempt
        case .started(let attempt, _, _), .output(let attempt, _, _, _), .event(let attempt, _, _, _),
            .denied(let attempt, _, _), .executing(let attempt), .leftBehind(let attempt, _, _),
            .finished(let attempt, _),
            .refused(let attempt, _, _, _):
            attempt
        }
    }

    /// Whether nothing of the attempt follows.
    public var endsAttempt: Bool {
        switch self {
        case .finished, .refused: true
        default: false
        }
    }
}
