import BulkheadCore
import BulkheadLaunch
import BulkheadSandbox

/// What one launch has to itself: its folder, its user, its cgroups, and what holds it.
struct LaunchPlace: Sendable {
    /// What is given back after the attempt.
    var holdings: Holdings
    var user: LaunchUser?
    var cgroup: CgroupSpec
    var namespaces: NamespaceSpec?
    var files: LandlockPlan
    var enforcement: [String]
    var warnings: [String]
}

/// Why a place for a launch could not be made.
struct PlaceError: Error, Sendable {
    var message: String
    var advice: String?
    /// Whether time may mend it: the task then waits instead of failing.
    var isPassing: Bool
    /// Why the task fails where time does not.
    var reason = ErrorReason.launchFailed

    init(_ error: BulkheadError, isPassing: Bool) {
        message = error.cause.map { "\(error.message): \($0)" } ?? error.message
        advice = error.advice
        self.isPassing = isPassing
    }

    init(_ message: String, advice: String?) {
        self.message = message
        self.advice = advice
        isPassing = false
    }
}
