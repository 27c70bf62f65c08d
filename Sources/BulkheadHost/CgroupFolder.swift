import CLinux
import Foundation

/// One control group, by the folder that stands for it.
struct CgroupFolder {
    let path: String

    func file(_ name: String) -> String { path + "/" + name }

    func has(_ name: String) -> Bool {
        (try? FileStatus.of(file(name))) != nil
    }

    func set(_ name: String, _ value: String) throws(SystemFailure) {
        try ProcFile.write(value, to: file(name))
    }

    /// Sets a value that some kernels have no file for.
    func setIfThere(_ name: String, _ value: String) throws(SystemFailure) {
        do throws(SystemFailure) {
            try set(name, value)
        } catch {
            guard error.number == ENOENT else { throw error }
        }
    }

    /// Processes in this group itself.
    var members: [Int32] {
        ProcFile.words(file("cgroup.procs")).compactMap { Int32($0) }
    }

    /// Makes it where it is missing.
    func make() throws(SystemFailure) {
        guard unsafe mkdir(path, 0o755) == 0 || errno == EEXIST else { throw SystemFailure(errno) }
    }

    /// The groups right below.
    var children: [CgroupFolder] {
        guard let folder = try? OpenDescriptor.open(path, O_RDONLY | O_DIRECTORY),
            var entries = try? FolderEntries(of: folder.number)
        else { return [] }
        var found: [CgroupFolder] = []
        while let name = entries.next() {
            let child = CgroupFolder(path: file(name.description))
            if let status = try? FileStatus.of(child.path), status.kind == .folder { found.append(child) }
        }
        return found
    }

    /// This group and all below it, the deepest last.
    var tree: [CgroupFolder] {
        var found = [self]
        var next = 0
        while next < found.count {
            found += found[next].children
            next += 1
        }
        return found
    }

    /// Sends SIGKILL to every process in this group and below it, once.
    func kill() {
        if (try? set("cgroup.kill", "1")) != nil { return }
        for folder in tree {
            for pid in folder.members where pid != getpid() { folder.kill(pid) }
        }
    }

    /// Kills a member: its pid is looked up again once we hold the process, lest it is somebody else's by now.
    private func kill(_ pid: Int32) {
        let handle = clinux_pidfd_open(pid)
        guard handle >= 0 else { return }
        let process = OpenDescriptor(owning: handle)
        guard members.contains(pid) else { return }
        _ = clinux_pidfd_send_signal(process.number, SIGKILL)
    }

    /// Removes it with all below it; fails while processes are in it.
    func remove() throws(SystemFailure) {
        for folder in tree.reversed() where unsafe rmdir(folder.path) != 0 && errno != ENOENT {
            throw SystemFailure(errno)
        }
    }
}
