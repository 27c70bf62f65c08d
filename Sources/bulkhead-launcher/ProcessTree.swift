import BulkheadLaunch
import CLinux
import Glibc

/// Whether /proc has the lists of children (CONFIG_PROC_CHILDREN); looked up once.
let kernelListsChildren = unsafe access("/proc/self/task/\(getpid())/children", R_OK) == 0

/// A process of the tree, as /proc shows it.
struct TreeProcess {
    var pid: pid_t
    var parent: pid_t
}

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

    let leader: pid_t
    private(set) var leaderIsReaped = false
    private(set) var userMicroseconds: UInt64 = 0
    private(set) var systemMicroseconds: UInt64 = 0
    private(set) var maxRSSBytes: UInt64 = 0

    private let launcher = getpid()
    private let buffer = ReadBuffer(capacity: 16384)
    private var passes = 0

    private static let reapBatch = 256
    /// Trees up to this size are killed without being stopped first.
    private static let smallTree = 16

    init(leader: pid_t) {
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
            if ended.pid == leader { _ = Glibc.kill(-leader, SIGKILL) }
            _ = unsafe clinux_wait(ended.pid, Int32(CLINUX_WAIT_NO_HANG), &ended)
            userMicroseconds += ended.user_microseconds
            systemMicroseconds += ended.system_microseconds
            maxRSSBytes = max(maxRSSBytes, ended.max_rss_bytes)
            guard ended.pid == leader else { continue }
            leaderIsReaped = true
            return .leader(ended.signaled ? .signaled(signal: ended.value) : .exited(code: ended.value))
        }
        return .busy
    }

    /// Whether the leader has ended and was not reaped yet.
    func leaderHasEnded() -> Bool {
        guard !leaderIsReaped else { return false }
        var ended = clinux_ended()
        let flags = Int32(CLINUX_WAIT_NO_HANG | CLINUX_WAIT_PEEK)
        return unsafe clinux_wait(leader, flags, &ended) == 0 && ended.pid == leader
    }

    /// The leader's entry in /proc, zombies included; nil once it is reaped.
    func leaderStat() -> ProcessStat? {
        leaderIsReaped ? nil : stat(of: leader)
    }

    /// Nanoseconds of processor time of the processes that live.
    func livingNanoseconds() -> UInt64 {
        let ticks = descendants().reduce(UInt64(0)) { $0 + (stat(of: $1.pid)?.cpuTicks ?? 0) }
        return ticks * (1_000_000_000 / UInt64(max(1, sysconf(Int32(_SC_CLK_TCK)))))
    }

    /// SIGTERM to each process once, and SIGCONT to those that are stopped, so that they can obey.
    func terminate() {
        if !leaderIsReaped { _ = Glibc.kill(-leader, SIGTERM) }
        for process in descendants() {
            guard let stat = stat(of: process.pid) else { continue }
            if stat.group != leader || leaderIsReaped { signal(process, SIGTERM) }
            if stat.isStopped { signal(process, SIGCONT) }
        }
    }

    /// One pass of SIGKILL over everything that is found.
    ///
    /// A tree that forks as fast as it is killed is stopped first: what is stopped forks no more, so that the
    /// passes converge.
    func kill() {
        if !leaderIsReaped { _ = Glibc.kill(-leader, SIGKILL) }
        var found = descendants()
        if passes > 0, found.count > Self.smallTree { found = stopAll(found) }
        for process in found { signal(process, SIGKILL) }
        passes += 1
    }

    /// How many processes are left.
    func survivors() -> Int { descendants().count }

    private func stopAll(_ first: [TreeProcess]) -> [TreeProcess] {
        var found = first
        var stopped: Set<pid_t> = []
        for _ in 0..<32 {
            let fresh = found.filter { !stopped.contains($0.pid) }
            guard !fresh.isEmpty else { break }
            for process in fresh {
                signal(process, SIGSTOP)
                stopped.insert(process.pid)
            }
            found = descendants()
        }
        return found
    }

    /// Signals a process of ours and no other.
    ///
    /// A child of the launcher keeps its number until the launcher reaps it. Any other may be reaped by its parent
    /// and its number given away: a pidfd holds the process, and its parent is looked at again after that.
    private func signal(_ process: TreeProcess, _ signal: Int32) {
        guard process.parent != launcher else {
            _ = Glibc.kill(process.pid, signal)
            return
        }
        let opened = clinux_pidfd_open(process.pid)
        guard opened >= 0 else { return }
        let held = Descriptor(opened)
        guard let parent = stat(of: process.pid)?.parent else { return }
        if parent == process.parent || parent == launcher {
            _ = clinux_pidfd_send_signal(held.number, signal)
        }
    }

    fileprivate func stat(of pid: pid_t) -> ProcessStat? {
        smallFile("/proc/\(pid)/stat", buffer).flatMap { ProcessStat($0[...]) }
    }
}

/// Finding the tree in /proc.
extension ProcessTree {
    /// Every descendant of the launcher, parents before children.
    fileprivate func descendants() -> [TreeProcess] {
        var found: [TreeProcess] = []
        var next = children(of: launcher)
        while let process = next.popLast() {
            found.append(process)
            next += children(of: process.pid)
        }
        return found
    }

    /// Children belong to the thread that forked them.
    private func children(of pid: pid_t) -> [TreeProcess] {
        guard kernelListsChildren else { return childrenByParent(pid) }
        return names(in: "/proc/\(pid)/task").flatMap { thread -> [TreeProcess] in
            guard let list = smallFile("/proc/\(pid)/task/\(thread)/children", buffer) else { return [] }
            return list.split(separator: UInt8(ascii: " ")).compactMap { word in
                pid_t(String(decoding: word, as: UTF8.self)).map { TreeProcess(pid: $0, parent: pid) }
            }
        }
    }

    /// For kernels that are built without CONFIG_PROC_CHILDREN.
    private func childrenByParent(_ pid: pid_t) -> [TreeProcess] {
        names(in: "/proc").compactMap { name in
            guard let candidate = pid_t(name), stat(of: candidate)?.parent == pid else { return nil }
            return TreeProcess(pid: candidate, parent: pid)
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
}
