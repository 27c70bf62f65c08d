import BulkheadLaunch
import CLinux
import Glibc

/// Whether /proc has the lists of children (CONFIG_PROC_CHILDREN); looked up once.
let kernelListsChildren = unsafe access("/proc/self/task/\(getpid())/children", R_OK) == 0

/// Everything that descends from one handler: found, signalled, ended, reaped.
///
/// The launcher is a subreaper: whoever loses its parent becomes its child. So all descendants of the launcher are
/// the handler's tree, and the tree has ended when the launcher has no child left.
final class ProcessTree {
    /// What reaping found.
    enum Reaped {
        /// The handler's own process has ended.
        case leader(Ending)
        /// Children are left, none of which has ended.
        case waiting
        /// More children may have ended.
        case busy
        /// No child is left.
        case none
    }

    /// The handler's own process, from the moment in which its pid is known.
    private(set) var leader: pid_t?
    /// The first process of its pid namespace, with which all of that ends.
    private(set) var first: pid_t?
    private(set) var leaderIsReaped = false
    private var firstIsReaped = false
    /// Who was killed one by one, and in how many passes somebody new was among them.
    private var killedBeforeFirst: Set<pid_t> = []
    private var passesBeforeFirst = 0
    private var patienceEnds: UInt64?
    /// Processes that were reaped.
    private(set) var reapedCount = 0
    private(set) var userMicroseconds: UInt64 = 0
    private(set) var systemMicroseconds: UInt64 = 0
    private(set) var maxRSSBytes: UInt64 = 0

    private let launcher = getpid()
    private let isNamespaced: Bool
    private let buffer = ReadBuffer(capacity: 16384)

    private static let reapBatch = 256
    /// Trees up to this size are killed without being stopped first.
    private static let smallTree = 16
    /// Passes in which processes of a namespace are killed one by one that were not there before.
    private static let passesBeforeFirst = 3
    /// Nanoseconds for which the ends of those are waited for: on a busy machine they take a while.
    private static let patienceBeforeFirst: UInt64 = 500_000_000

    /// Makes the tree of one process.
    ///
    /// - Parameter leader: The handler's process; nil where it is yet to be born in a namespace.
    init(leader: pid_t?) {
        self.leader = leader
        isNamespaced = leader == nil
    }

    /// Takes note of the processes that a child has started beside itself.
    func bear(first: pid_t, leader: pid_t) {
        self.first = first
        self.leader = leader
    }

    /// Nanoseconds of processor time of every process that was reaped.
    var reapedNanoseconds: UInt64 { (userMicroseconds + systemMicroseconds) * 1000 }

    /// Reaps whatever has ended; stops at the leader, which its caller must handle first.
    func reap() -> Reaped {
        for _ in 0..<Self.reapBatch {
            var ended = clinux_ended()
            let flags = Int32(CLINUX_WAIT_NO_HANG | CLINUX_WAIT_PEEK)
            guard unsafe clinux_wait(0, flags, &ended) == 0 else { return .none }
            guard ended.pid != 0 else { return .waiting }
            // The group of a leader that is still a zombie can be nobody else's.
            if let leader, ended.pid == leader { _ = Glibc.kill(-leader, SIGKILL) }
            _ = unsafe clinux_wait(ended.pid, Int32(CLINUX_WAIT_NO_HANG), &ended)
            count(ended)
            guard ended.pid == leader else { continue }
            leaderIsReaped = true
            return .leader(ended.signaled ? .signaled(signal: ended.value) : .exited(code: ended.value))
        }
        return .busy
    }

    /// Waits for one child's end.
    func reap(_ child: pid_t) {
        var ended = clinux_ended()
        if unsafe clinux_wait(child, 0, &ended) == 0 { count(ended) }
    }

    private func count(_ ended: clinux_ended) {
        reapedCount += 1
        userMicroseconds += ended.user_microseconds
        systemMicroseconds += ended.system_microseconds
        if ended.pid == first { firstIsReaped = true }
        // The processes that prepare a namespace are copies of the launcher; what is beyond its own size was an
        // orphan's that the first process had reaped.
        guard !isNamespaced || ended.pid == leader || ended.max_rss_bytes > clinux_own_max_rss() else {
            return
        }
        maxRSSBytes = max(maxRSSBytes, ended.max_rss_bytes)
    }

    /// Whether the leader has ended and was not reaped yet.
    func leaderHasEnded() -> Bool {
        guard let leader, !leaderIsReaped else { return false }
        var ended = clinux_ended()
        let flags = Int32(CLINUX_WAIT_NO_HANG | CLINUX_WAIT_PEEK)
        return unsafe clinux_wait(leader, flags, &ended) == 0 && ended.pid == leader
    }

    /// How the leader ended, which is about to; it is not reaped by this.
    func leaderEnding() -> Ending? {
        var ended = clinux_ended()
        guard !leaderIsReaped, let leader, unsafe clinux_wait(leader, Int32(CLINUX_WAIT_PEEK), &ended) == 0,
            ended.pid == leader
        else { return nil }
        return ended.signaled ? .signaled(signal: ended.value) : .exited(code: ended.value)
    }

    /// The leader's entry in /proc, zombies included; nil once it is reaped.
    func leaderStat() -> ProcessStat? {
        leaderIsReaped ? nil : leader.flatMap { stat(of: $0) }
    }

    /// Nanoseconds of processor time of the processes that live.
    func livingNanoseconds() -> UInt64 {
        let ticks = walk().reduce(UInt64(0)) { $0 + $1.cpuTicks }
        return ticks * (1_000_000_000 / UInt64(max(1, sysconf(Int32(_SC_CLK_TCK)))))
    }

    /// SIGTERM to each process once, and SIGCONT to those that are stopped, so that they can obey.
    func terminate() {
        clinux_raise_priority()
        defer { clinux_restore_priority() }
        if let leader, !leaderIsReaped { _ = Glibc.kill(-leader, SIGTERM) }
        for process in walk() where process.pid != first {
            if process.group != leader || leaderIsReaped { signal(process, SIGTERM) }
            if process.isStopped { signal(process, SIGCONT) }
        }
    }

    /// One pass of SIGKILL over everything that is found.
    ///
    /// A tree that forks as fast as it is killed is stopped first: what is stopped forks no more, so that the
    /// passes converge. A thousand busy processes would leave the launcher a thousandth of a processor, so it goes
    /// before them, as far as it may, until nothing is left.
    ///
    /// With a pid namespace the kernel does it all: it kills whoever is in there when the first process ends, and
    /// lets that be reaped when nobody is left. But it forgets what those have used, which the first process counts as
    /// long as it reaps them itself: so they go first, where they are few.
    func kill() {
        if let first {
            // Not reaped as long as the handler, which is killed with it, is not.
            if !firstIsReaped, !killOthers(than: first) { _ = Glibc.kill(first, SIGKILL) }
            return
        }
        clinux_raise_priority()
        if let leader, !leaderIsReaped { _ = Glibc.kill(-leader, SIGKILL) }
        var found = walk()
        if found.count > Self.smallTree { found = walk(stopping: true) }
        for process in found { signal(process, SIGKILL) }
    }

    /// One pass over a small tree that does not grow for long.
    ///
    /// - Parameter first: Who is to live until they have ended.
    /// - Returns: Whether there is anything to wait for.
    private func killOthers(than first: pid_t) -> Bool {
        let now = monotonicNow()
        let patienceEnds = patienceEnds ?? now + Self.patienceBeforeFirst
        self.patienceEnds = patienceEnds
        guard passesBeforeFirst < Self.passesBeforeFirst, now < patienceEnds else { return false }
        let found = walk().filter { $0.pid != first && !$0.isZombie }
        guard !found.isEmpty, found.count <= Self.smallTree else { return false }
        if !killedBeforeFirst.isSuperset(of: found.map(\.pid)) { passesBeforeFirst += 1 }
        killedBeforeFirst.formUnion(found.map(\.pid))
        for process in found { signal(process, SIGKILL) }
        return true
    }

    /// Nothing is left to end, or nothing that can be.
    func endSweep() {
        clinux_restore_priority()
    }

    /// How many processes are left.
    func survivors() -> Int { walk().count }

    /// How many processes of the handler's beside the leader have not ended.
    func others() -> Int { walk().count { $0.pid != leader && $0.pid != first && !$0.isZombie } }

    /// Signals a process of ours and no other.
    ///
    /// A child of the launcher keeps its number until the launcher reaps it. Any other may be reaped by its parent
    /// and its number given away: a pidfd holds the process, and its parent is looked at again after that.
    private func signal(_ process: ProcessStat, _ signal: Int32) {
        guard process.parent != launcher else {
            _ = Glibc.kill(process.pid, signal)
            return
        }
        let opened = clinux_pidfd_open(process.pid)
        guard opened >= 0 else { return }
        let held = Descriptor(opened)
        guard let parent = stat(of: process.pid)?.parent else { return }
        if parent == process.parent || parent == launcher || parent == first {
            _ = clinux_pidfd_send_signal(held.number, signal)
        }
    }
}

/// Finding the tree in /proc.
extension ProcessTree {
    /// Every descendant of the launcher, parents before children; where they are stopped as they are found, the
    /// children that are then listed are all that they will have.
    fileprivate func walk(stopping: Bool = false) -> [ProcessStat] {
        var found: [ProcessStat] = []
        var next = children(of: launcher, threads: 1)
        while let (pid, parent) = next.popLast() {
            // The number may have been given away since it was listed.
            guard let process = stat(of: pid), process.parent == parent || process.parent == launcher else {
                continue
            }
            if stopping { signal(process, SIGSTOP) }
            found.append(process)
            next += children(of: pid, threads: process.threads)
        }
        return found
    }

    /// Children belong to the thread that forked them.
    private func children(of parent: pid_t, threads: Int32) -> [(pid: pid_t, parent: pid_t)] {
        guard kernelListsChildren else { return childrenByParent(parent) }
        let names = threads == 1 ? ["\(parent)"] : names(in: "/proc/\(parent)/task")
        return names.flatMap { thread -> [(pid: pid_t, parent: pid_t)] in
            guard let list = smallFile("/proc/\(parent)/task/\(thread)/children", buffer) else { return [] }
            return list.split(separator: UInt8(ascii: " ")).compactMap { word in
                pid_t(String(decoding: word, as: UTF8.self)).map { ($0, parent) }
            }
        }
    }

    /// For kernels that are built without CONFIG_PROC_CHILDREN.
    private func childrenByParent(_ parent: pid_t) -> [(pid: pid_t, parent: pid_t)] {
        names(in: "/proc").compactMap { name in
            guard let pid = pid_t(name), stat(of: pid)?.parent == parent else { return nil }
            return (pid, parent)
        }
    }

    private func names(in folder: String) -> [String] {
        guard let stream = unsafe opendir(folder) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.utf8.first != UInt8(ascii: ".") { names.append(name) }
        }
        return names
    }

    fileprivate func stat(of pid: pid_t) -> ProcessStat? {
        let opened = unsafe clinux_openat(AT_FDCWD, "/proc/\(pid)/stat", O_RDONLY, 0)
        guard opened >= 0 else { return nil }
        let file = Descriptor(opened)
        return buffer.read(file.number, limit: buffer.capacity).flatMap { ProcessStat($0[...]) }
    }
}
