/// Every bound on what comes from outside, with its unit; contract §10 promises these numbers.
public enum Limits {
    /// Bytes of a task's params as sent.
    public static let paramsBytes = 1 << 20
    /// Bytes of a task's metadata as sent.
    public static let metadataBytes = 16 << 10
    /// Bytes of a result's value as sent, unless the setting `result-limit` says otherwise.
    public static let resultBytes = 64 << 10
    /// Bytes that an event line may have above the result limit.
    public static let eventLineSlackBytes = 4 << 10
    /// Bytes of a cut result that are kept as its head.
    public static let resultHeadBytes = 4 << 10
    /// Bytes by which the head of a cut result may exceed the result limit, as JSON writes it, where that is
    /// smaller than a head.
    public static let resultHeadSlackBytes = 1 << 10
    /// Warnings kept of a task; the rest are counted.
    public static let warnings = 32
    /// Bytes of one warning.
    public static let warningBytes = 512
    /// Progress updates stored per second and task; the last one always is.
    public static let progressPerSecond = 4
    /// Bytes of an error's or a progress report's message.
    public static let messageBytes = 4 << 10
    /// Bytes of an error's hint.
    public static let hintBytes = 2 << 10
    /// Names of denied system calls kept of a task.
    public static let deniedNames = 64
    /// Denied calls of one attempt beyond which it is ended.
    public static let deniedCalls: UInt64 = 100_000
    /// Bytes of a caller's name.
    public static let callerBytes = 128
    /// Tasks of one batch.
    public static let batchTasks = 1_000
    /// Bytes of a batch's body.
    public static let batchBytes = 16 << 20
    /// Bytes of any other request's body.
    public static let bodyBytes = 2 << 20
    /// Arrays and objects that JSON may nest.
    public static let jsonDepth = 64
    /// Bytes of a request's headers.
    public static let headerBytes = 32 << 10
    /// Header fields of a request.
    public static let headerFields = 1_000
    /// Connections open at once.
    public static let connections = 1_024
    /// Bytes of a policy file.
    public static let policyFileBytes = 256 << 10
    /// Bytes of an OCI profile.
    public static let profileBytes = 4 << 20
    /// Arguments that a policy may add.
    public static let arguments = 128
    /// Variables that a policy may add to the environment.
    public static let environmentVariables = 256
    /// Bytes of one argument or variable: what the kernel takes (MAX_ARG_STRLEN, with its closing NUL).
    public static let argumentBytes = (128 << 10) - 1
    /// Paths that a policy's `read` or `write` may list.
    public static let policyPaths = 256
    /// Bytes of a path: what the kernel takes (PATH_MAX, with its closing NUL).
    public static let pathBytes = (4 << 10) - 1
    /// Entries of a policy's list of system calls.
    public static let syscallEntries = 1_024
    /// The lowest and the highest priority of a task.
    public static let priority = -1_000_000...1_000_000
    /// Tasks of one pool that may run at once.
    public static let concurrency = 65_536
    /// Tasks of one pool that may be queued.
    public static let queuedTasks = 100_000_000
    /// Retries of a run that a policy may ask for.
    public static let retries = 1_000
    /// Bytes of a handler file that is copied and run.
    public static let handlerBytes = 1 << 30
    /// Attempts shown of a task, the latest ones.
    public static let attemptsShown = 16
    /// Characters that the unique beginning of an id needs.
    public static let idPrefixCharacters = 6
    /// Tasks of one page of a list.
    public static let listPage = 1_000
    /// Bytes of output in one page.
    public static let outputPageBytes = 4 << 20
    /// Seconds that one call may wait for a task.
    public static let waitSeconds = 3_600
    /// Bytes of one page of a list, beyond which it ends early and its cursor goes on.
    public static let listBytes = 16 << 20
    /// Seconds in which a client sends a request's headers, and that a connection may be idle.
    public static let idleSeconds = 30
    /// Seconds in which a client sends a request's body.
    public static let requestSeconds = 60
    /// Seconds in which a client takes what has been written to it.
    public static let answerSeconds = 60
    /// Seconds for what a connection still has to send or take once it is to be closed.
    public static let lingerSeconds = 5
    /// Bytes of a final message above its result: error message, hint and names of denied calls.
    public static let finalOverheadBytes = 16 << 10
    /// Messages of one page of the outbox.
    public static let outboxPage = 1_000
    /// Names that one call may acknowledge.
    public static let acknowledgedMessages = 10_000
    /// Entries that each list of one page of a snapshot has.
    public static let snapshotPage = 1_000
    /// Gaps of one stream that a snapshot lists.
    public static let snapshotGaps = 64
    /// Streams of events and messages that one address serves at once.
    public static let eventStreams = 128
    /// Events or messages that a stream reads at once.
    public static let streamPage = 64
    /// Bytes of output that a stream reads at once: what a slow client costs, about.
    public static let streamPageBytes = 128 << 10
    /// Seconds after which a stream that has nothing to say says that it is alive.
    public static let heartbeatSeconds = 15

    /// Bytes of the largest final message.
    public static func finalBytes(resultLimit: Int) -> Int64 { Int64(resultLimit + finalOverheadBytes) }
}
