import BulkheadCore

/// All that is known of a torture once it is over.
///
/// What clients were told, what handlers did, what was killed, and what the database holds: the checks see nothing else.
struct History: Sendable {
    /// A submit that was sent.
    struct Submit: Sendable {
        var id: String
        /// 200 or 201 with the run that it named; nil where no answer came or it was refused.
        var answer: (status: Int, run: Int64)?
        /// Whether the supervisor may have taken it: it said so, or it said nothing.
        var mayCount: Bool
    }

    /// A cancel or a removal that was sent.
    struct Call: Sendable {
        var id: String
        /// The answer's status; nil where none came.
        var status: Int?
        /// The run to which it applied, as far as the answer says.
        var run: Int64?
    }

    /// A task as a list showed it.
    struct Sighting: Sendable {
        /// The number of the list; a larger one came later.
        var list: Int
        var id: String
        var run: Int64
        var attempt: Int64
        var status: String
        /// What must not change any more where it is terminal.
        var text: String
    }

    /// What an attempt left in its side file.
    struct Effect: Sendable {
        var id: String
        var attempt: Int64
        /// `begin` for each start; `overlap` where another attempt of the task still lived.
        var lines: [String]
    }

    /// An attempt as the database has it.
    struct Attempt: Sendable {
        var id: String
        var attempt: Int64
        var run: Int64
        var outcome: String?
        var reason: String?
        var launcher: Mark?
        var stdoutEnd: Int64
        var stderrEnd: Int64
    }

    /// A process, told from another with its number by its start.
    struct Mark: Hashable, Sendable {
        var pid: Int32
        var start: UInt64
    }

    /// A stream of one attempt, as it is kept.
    struct Stream: Sendable {
        var id: String
        var attempt: Int64
        var name: String
        var pieces: [Piece]
    }

    /// Bytes, or the length of what is missing.
    struct Piece: Sendable {
        var offset: Int64
        var bytes: [UInt8]?
        var length: Int64
    }

    /// A pool as a supervisor showed it.
    struct PoolSighting: Sendable {
        var name: String
        var failures: Int64
        /// How far ahead of the moment of the look its back-off ends, in milliseconds.
        var backoffAhead: Int64?
    }

    /// What a supervisor holds at rest.
    struct Census: Sendable {
        var descriptors: Int
        var threads: Int
        var zombies: Int
        var launchers: Int
    }

    /// A message of the outbox as a controller got it.
    struct Final: Sendable {
        var messageID: String
        var id: String
        var run: Int64
        var status: String
        /// Whether it came after its acknowledgement had been answered.
        var isAfterAck = false
    }

    /// The types and what is promised for each.
    var types: [String: TortureType] = [:]
    var submits: [Submit] = []
    var cancels: [Call] = []
    var removals: [Call] = []
    var sightings: [Sighting] = []
    var effects: [Effect] = []
    /// The tasks at the end, by id.
    var tasks: [String: JSONValue] = [:]
    var attempts: [Attempt] = []
    var streams: [Stream] = []
    /// The same as the API gives it, for some tasks.
    var shownStreams: [Stream] = []
    /// What SQLite's own checks say of the file, apart from `ok`.
    var damage: [String] = []
    /// The bytes of output that the database counts, and those that are there.
    var countedBytes: Int64 = 0
    var keptBytes: Int64 = 0
    var spoolCap: Int64 = .max
    /// Database and log, in bytes.
    var fileBytes: Int64 = 0
    var killedLaunchers: Set<Mark> = []
    /// Attempts of which the handler's own process was killed, as `id.attempt`.
    var killedHandlers: Set<String> = []
    /// Whether a supervisor was told to stop what runs.
    var hasStopped = false
    /// The longest answers of /livez, in milliseconds.
    var livezMilliseconds: [Int64] = []
    /// What lives of attempts that are over, in words.
    var survivors: [String] = []
    /// At the beginning and at the end of the last supervisor, with nothing to do.
    var censuses: [Census] = []
    /// Processes that have nothing to do with Bulkhead and were hit.
    var hitBystanders: [String] = []
    /// In the order in which they were seen.
    var poolSightings: [PoolSighting] = []
    /// The longest back-off of the pools, in milliseconds.
    var longestBackoff: Int64 = 0
    /// Answers without a typed error, and ends of a supervisor that nobody caused, in words.
    var faults: [String] = []
    /// The finals that a controller got; nil where the outbox is off.
    var finals: [Final]?
}
