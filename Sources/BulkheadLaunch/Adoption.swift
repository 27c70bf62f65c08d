/// The value with which supervisor and launcher prove to each other that they hold the slot's secret.
///
/// The launcher says its random first (`challenge`); the supervisor answers with its own and a code over both
/// (`adopt`); the launcher answers with another code over both (`adopted`). Each direction has a label and an
/// order of its own, so that neither can be answered with what the other said, nor with what was said before.
public struct AdoptionHandshake: Sendable, Equatable {
    private let secret: [UInt8]
    private let launcherNonce: [UInt8]
    private let supervisorNonce: [UInt8]

    /// Makes the handshake of one connection.
    ///
    /// - Parameters:
    ///   - secret: The slot's secret.
    ///   - launcherNonce: The launcher's random, `LaunchLimits.nonceBytes` long.
    ///   - supervisorNonce: The supervisor's random, as long.
    public init(secret: [UInt8], launcherNonce: [UInt8], supervisorNonce: [UInt8]) {
        self.secret = secret
        self.launcherNonce = launcherNonce
        self.supervisorNonce = supervisorNonce
    }

    /// The supervisor's proof.
    public var supervisorProof: [UInt8] {
        code("bulkhead adoption 1: supervisor", launcherNonce, supervisorNonce)
    }

    /// The launcher's proof.
    public var launcherProof: [UInt8] {
        code("bulkhead adoption 1: launcher", supervisorNonce, launcherNonce)
    }

    /// Whether somebody is a supervisor with the secret; never with a short secret or a short random.
    public func accepts(supervisorProof proof: [UInt8]) -> Bool {
        isWhole && HMAC.matches(proof, supervisorProof)
    }

    /// Whether somebody is the launcher with the secret; never with a short secret or a short random.
    public func accepts(launcherProof proof: [UInt8]) -> Bool {
        isWhole && HMAC.matches(proof, launcherProof)
    }

    private var isWhole: Bool {
        secret.count == LaunchLimits.secretBytes && launcherNonce.count == LaunchLimits.nonceBytes
            && supervisorNonce.count == LaunchLimits.nonceBytes
    }

    private func code(_ label: String, _ first: [UInt8], _ second: [UInt8]) -> [UInt8] {
        // Both randoms have one length, so the parts cannot be read in another way.
        HMAC.code(of: Array(label.utf8) + [0] + first + second, key: secret)
    }
}

/// What a launcher says of its attempt to the supervisor that adopts it.
public struct AttemptState: Sendable, Equatable {
    /// The handler's own process.
    public struct Process: Sendable, Equatable {
        /// Its number.
        public var pid: Int32
        /// Field 22 of /proc/PID/stat, in clock ticks since boot.
        public var startTime: UInt64

        /// Makes a process from its fields.
        public init(pid: Int32, startTime: UInt64) {
            self.pid = pid
            self.startTime = startTime
        }
    }

    /// How far one stream has come.
    public struct Stream: Sendable, Equatable {
        /// Bytes that were read from it.
        public var produced: UInt64
        /// The offset below which a supervisor has said that all is committed.
        public var acknowledged: UInt64
        /// Bytes that were dropped before that was said.
        public var dropped: UInt64

        /// Makes a place from its fields.
        public init(produced: UInt64, acknowledged: UInt64, dropped: UInt64) {
            self.produced = produced
            self.acknowledged = acknowledged
            self.dropped = dropped
        }
    }

    /// The task, as the launch told it.
    public var task: String
    /// Number of the attempt.
    public var attempt: UInt64
    /// The handler's process; nil before the exec.
    public var process: Process?
    /// How far stdout has come.
    public var stdout: Stream
    /// How far stderr has come.
    public var stderr: Stream
    /// Connections that were closed since they could not prove who they are.
    public var refusedVisitors: UInt64

    /// Makes a state from its fields.
    public init(
        task: String,
        attempt: UInt64,
        process: Process?,
        stdout: Stream,
        stderr: Stream,
        refusedVisitors: UInt64
    ) {
        self.task = task
        self.attempt = attempt
        self.process = process
        self.stdout = stdout
        self.stderr = stderr
        self.refusedVisitors = refusedVisitors
    }
}
