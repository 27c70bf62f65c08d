/// The steps from a launch message to the handler's first instruction, in the order in which they are taken.
public enum LaunchStage: UInt8, Sendable, Equatable, CaseIterable {
    /// Reading and checking the spec and its descriptors.
    case spec = 1
    /// Making pipes and the child process.
    case fork = 2
    /// Resetting signal mask and dispositions.
    case signals = 3
    /// Leading a session of its own.
    case session = 4
    /// Putting stdin, stdout, stderr and fd 3 in their places.
    case stdio = 5
    /// Setting resource limits.
    case limits = 6
    /// Entering the attempt's cgroups.
    case cgroup = 7
    /// Entering namespaces.
    case namespaces = 8
    /// Dropping groups, capabilities and user.
    case user = 9
    /// Entering the working folder.
    case workingFolder = 10
    /// Setting `no_new_privs`.
    case noNewPrivileges = 11
    /// Building and entering the Landlock domain.
    case landlock = 12
    /// Closing every other descriptor.
    case descriptors = 13
    /// Installing the seccomp filter.
    case filter = 14
    /// Taking the filter's notification descriptor.
    case listener = 15
    /// Executing the handler.
    case exec = 16

    /// The step in plain words, fit for "the launch failed while …".
    public var words: String {
        switch self {
        case .spec: "reading the launch specification"
        case .fork: "starting a process"
        case .signals: "resetting signals"
        case .session: "starting a session"
        case .stdio: "connecting stdin, stdout, stderr and the event channel"
        case .limits: "setting resource limits"
        case .cgroup: "entering the control group"
        case .namespaces: "entering namespaces"
        case .user: "changing to the handler's user"
        case .workingFolder: "entering the working folder"
        case .noNewPrivileges: "setting no_new_privs"
        case .landlock: "applying the file rules"
        case .descriptors: "closing inherited descriptors"
        case .filter: "installing the system call filter"
        case .listener: "taking the filter's listener"
        case .exec: "executing the handler"
        }
    }
}
