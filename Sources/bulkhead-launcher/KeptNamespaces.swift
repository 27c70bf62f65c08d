import BulkheadLaunch
import CLinux
import Glibc

/// The namespaces that a launcher makes once and every attempt of its enters: making a network namespace costs more
/// than a whole launch, and nothing of an attempt can stay in an empty one.
final class KeptNamespaces {
    /// The user namespace in which who is not root may make the others; it maps the launcher's own user alone.
    private var user: Descriptor?
    /// Without a network; belongs to the user namespace where there is one.
    private var network: Descriptor?

    /// The mode in which this program makes a user namespace for another process of itself, see `main.swift`.
    static let mode = "keep-namespaces"

    /// Nanoseconds that making them may take; the kernel needs a few milliseconds.
    private static let patience: Int64 = 10_000_000_000

    /// Makes what an attempt needs and is not there yet.
    ///
    /// - Parameter spec: The attempt's namespaces.
    /// - Returns: The descriptors of user and network namespace, -1 where it needs none.
    /// - Throws: What could not be made.
    func enter(_ spec: NamespaceSpec) throws(Refusal) -> (user: Int32, network: Int32) {
        let lacksUser = spec.inUserNamespace && user == nil
        if lacksUser || (spec.hasNetwork && network == nil) { try make(withUser: spec.inUserNamespace, spec) }
        return (
            spec.inUserNamespace ? user?.number ?? -1 : -1, spec.hasNetwork ? network?.number ?? -1 : -1
        )
    }

    private func make(withUser: Bool, _ spec: NamespaceSpec) throws(Refusal) {
        var ends: (Int32, Int32) = (-1, -1)
        let paired = unsafe withUnsafeMutableBytes(of: &ends) { raw in
            unsafe clinux_packet_pair(raw.assumingMemoryBound(to: Int32.self).baseAddress)
        }
        try check(paired, .namespaces, "a socket pair")
        let own = Descriptor(ends.0)
        let other = Descriptor(ends.1)
        let child = try check(
            Self.start(withUser: withUser, stdin: other.number),
            .fork,
            LaunchStage.fork.words
        )
        close(other.release())
        var entry = pollfd(fd: own.number, events: Int16(POLLIN), revents: 0)
        if unsafe clinux_poll(&entry, 1, Self.patience) <= 0 { _ = kill(child, SIGKILL) }
        var ended = clinux_ended()
        _ = unsafe clinux_wait(child, 0, &ended)
        let (result, packet, bytes) = ReadBuffer(capacity: 64).receive(own.number)
        try check(result, .namespaces, "the namespaces that the launcher keeps")
        try take(packet, bytes, withUser: withUser, spec)
    }

    private func take(
        _ packet: clinux_packet,
        _ bytes: [UInt8],
        withUser: Bool,
        _ spec: NamespaceSpec
    ) throws(Refusal) {
        var descriptors = PacketDescriptors(packet)
        if withUser { user = descriptors.first.take() }
        network = withUser ? descriptors.second.take() : descriptors.first.take()
        guard let failure = try? ChildReport.reports(in: bytes[...]).first else { return }
        guard case .failed(let stage, let errno, let item) = failure,
            let step = NamespaceStep(item: item), step == .user || spec.hasNetwork
        else { return }
        throw Refusal(stage: stage, errno: errno, detail: step.words(in: spec), step: step)
    }

    /// For a user namespace it executes this very program, so that nothing of the launcher's memory is in the
    /// process that, being dumpable, others of the same user could look into while it maps its user.
    private static func start(withUser: Bool, stdin: Int32) -> pid_t {
        let child = clinux_fork()
        guard child == 0 else { return child }
        _ = dup2(stdin, STDIN_FILENO)
        // The launcher's own rights would not outlive an exec: its bounding set is empty.
        if !withUser { _exit(NamespaceMaker.run(withUser: false)) }
        let arguments = CStrings(["bulkhead-launcher", mode])
        let environment = CStrings([])
        unsafe execve("/proc/self/exe", arguments.pointers, environment.pointers)
        _exit(127)
    }
}

/// The other side: the process that makes the namespaces, hands them over and ends.
enum NamespaceMaker {
    /// Makes a network namespace, in a user namespace where it is asked for, and sends both over stdin.
    ///
    /// - Parameter withUser: Whether to make a user namespace first.
    /// - Returns: The exit status.
    static func run(withUser: Bool) -> Int32 {
        var made: [Int32] = []
        var failure: ChildReport?
        do throws(Refusal) {
            if withUser {
                try makeUserNamespace()
                made.append(try opened("user"))
            }
        } catch {
            failure = .failed(stage: .namespaces, errno: error.errno, item: NamespaceStep.user.item)
        }
        if failure == nil {
            do throws(Refusal) {
                try check(clinux_unshare(clinux_new_network), .namespaces, "")
                made.append(try opened("net"))
            } catch {
                failure = .failed(stage: .namespaces, errno: error.errno, item: NamespaceStep.network.item)
            }
        }
        // An empty packet would mean the end.
        let bytes = failure?.bytes ?? [0]
        let sent = unsafe clinux_send_packet(STDIN_FILENO, bytes, bytes.count, made, made.count, 0)
        return sent < 0 ? EX_OSERR : 0
    }

    /// A user namespace in which the caller's own user and group mean themselves.
    static func makeUserNamespace() throws(Refusal) {
        let (uid, gid) = (geteuid(), getegid())
        try check(clinux_unshare(clinux_new_user), .namespaces, "unshare")
        // Without this an ordinary user may not map its group (user_namespaces(7)).
        try check(writeSmallFile("/proc/self/setgroups", "deny"), .namespaces, "setgroups")
        try check(writeSmallFile("/proc/self/uid_map", "\(uid) \(uid) 1"), .namespaces, "uid_map")
        try check(writeSmallFile("/proc/self/gid_map", "\(gid) \(gid) 1"), .namespaces, "gid_map")
    }

    private static func opened(_ name: String) throws(Refusal) -> Int32 {
        try check(unsafe clinux_openat(AT_FDCWD, "/proc/self/ns/\(name)", O_RDONLY, 0), .namespaces, name)
    }
}
