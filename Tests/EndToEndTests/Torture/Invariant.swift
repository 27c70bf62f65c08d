/// What must hold whatever ends whenever.
enum Invariant: String, Sendable, CaseIterable {
    /// An acknowledged submit or cancel is never lost, and the database is sound.
    case acknowledged = "I1"
    /// At most one live handler per task, and each attempt runs once.
    case oneHandler = "I2"
    /// A run ends once, with what really happened, and stays so.
    case terminal = "I3"
    /// A final message is there from the end of its run until it is acknowledged, under one id.
    case finals = "I4"
    /// Output is contiguous by offset, or a gap says how much is missing.
    case output = "I5"
    /// What is kept stays within its bounds.
    case bounds = "I6"
    /// Only a submit begins a run; a loss never does.
    case runs = "I7"
    /// The supervisor answers /livez within a second.
    case alive = "I8"
    /// Nothing of an attempt outlives it.
    case survivors = "I9"
    /// Descriptors, threads and zombies come back to where they were.
    case leaks = "I10"
    /// Nobody else's process is signalled.
    case bystanders = "I11"
    /// A pool's failures and its back-off survive a restart.
    case pools = "I12"
    /// Every error is typed, and nothing ends by itself.
    case errors = "I13"
}

/// Something that must not be.
struct Violation: Sendable, Equatable, CustomStringConvertible {
    var invariant: Invariant
    var text: String

    var description: String { "\(invariant.rawValue) \(text)" }
}
