import BulkheadLaunch
import Glibc

/// C strings that live as long as their owner.
@safe final class CStrings {
    /// The strings and a final null, as `execve` wants them.
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    let count: Int

    init(_ texts: [String]) {
        count = texts.count
        unsafe pointers = .allocate(capacity: texts.count + 1)
        for (index, text) in texts.enumerated() {
            unsafe (pointers + index).initialize(to: strdup(text))
        }
        unsafe (pointers + texts.count).initialize(to: nil)
    }

    subscript(index: Int) -> UnsafePointer<CChar> {
        guard index < count, let text = unsafe pointers[index] else { fatalError("no string \(index)") }
        return unsafe UnsafePointer(text)
    }

    deinit {
        for index in 0..<count { unsafe free(pointers[index]) }
        unsafe pointers.deallocate()
    }
}

/// Everything that the child needs, laid out before the fork, so that it has nothing to prepare.
///
/// A class: the child only looks at it, and copies nothing.
final class ChildPlan {
    let spec: LaunchSpec
    let launcher: pid_t
    /// What emptying the bounding set gave, which the launcher did for all of its children: 0 or a negated errno.
    let boundingSet: Int32
    /// Sources of fd 0 to 3, then the status pipe.
    let stdin, stdout, stderr, events, status: Int32
    /// The namespaces that the launcher keeps, -1 where the attempt needs none.
    let userNamespace, networkNamespace: Int32
    /// The files of the attempt's cgroups, open for writing: a mount namespace does not show their paths.
    let cgroupDescriptors: [Int32]

    let executable: CStrings
    let arguments: CStrings
    let environment: CStrings
    let workingFolder: CStrings
    let rulePaths: CStrings
    let budget: CPUBudget?

    init(
        spec: LaunchSpec,
        budget: CPUBudget?,
        boundingSet: Int32,
        namespaces: (user: Int32, network: Int32),
        cgroups: [Int32],
        descriptors: [Int32]
    ) {
        self.spec = spec
        self.boundingSet = boundingSet
        self.budget = budget
        launcher = getpid()
        stdin = descriptors[0]
        stdout = descriptors[1]
        stderr = descriptors[2]
        events = descriptors[3]
        status = descriptors[4]
        (userNamespace, networkNamespace) = namespaces
        cgroupDescriptors = cgroups
        executable = CStrings([spec.executable])
        arguments = CStrings(spec.arguments)
        environment = CStrings(spec.environment)
        workingFolder = CStrings([spec.workingFolder])
        rulePaths = CStrings(spec.landlock?.rules.map(\.path) ?? [])
    }

    /// Reports a failed step of the way into namespaces, and ends the process.
    func fail(_ step: NamespaceStep, _ errno: Int32) -> Never {
        report(.failed(stage: .namespaces, errno: errno, item: step.item))
        _exit(127)
    }

    /// Tells the launcher, from a process whose status pipe is still where the launcher made it.
    func report(_ report: ChildReport) {
        let bytes = report.bytes
        _ = unsafe write(status, bytes, bytes.count)
    }

    /// What a step was about, in words for its error.
    func subject(of stage: LaunchStage, item: UInt32) -> String {
        switch stage {
        case .cgroup where Int(item) < spec.cgroup.procs.count: spec.cgroup.procs[Int(item)]
        case .namespaces: subjectOfNamespaces(item)
        case .landlock: subjectOfRule(Int(item))
        case .user: spec.user.map { "uid \($0.uid), gid \($0.gid)" } ?? "the supervisor's own user"
        case .workingFolder: spec.workingFolder
        case .exec: spec.executable
        default: stage.words
        }
    }

    private func subjectOfNamespaces(_ item: UInt32) -> String {
        guard let namespaces = spec.namespaces, let step = NamespaceStep(item: item) else {
            return LaunchStage.namespaces.words
        }
        let words = step.words(in: namespaces)
        guard case .mount = step, let user = spec.user else { return words }
        return "\(words) to uid \(user.uid)"
    }

    private func subjectOfRule(_ item: Int) -> String {
        let rules = spec.landlock?.rules ?? []
        if item < rules.count { return rules[item].path }
        return item == rules.count ? "/proc/self" : LaunchStage.landlock.words
    }
}
