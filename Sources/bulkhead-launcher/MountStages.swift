import BulkheadLaunch
import CLinux
import Glibc

/// Lays out the handler's view of files in a mount namespace that is new, step by step, never back.
struct MountStages {
    private let plan: ChildPlan
    private let spec: MountSpec
    /// The file and the folder that are shown in the places of what is masked, once they are there.
    private var masks: (file: CStrings, folder: CStrings)?

    private static let readOnly = UInt64(CLINUX_MOUNT_READ_ONLY)
    private static let noSetuid = UInt64(CLINUX_MOUNT_NO_SETUID)
    private static let noDevices = UInt64(CLINUX_MOUNT_NO_DEVICES)
    private static let noExec = UInt64(CLINUX_MOUNT_NO_EXEC)
    /// Bytes of a file system that holds nothing but folders and links.
    private static let emptyBytes: UInt64 = 1 << 20
    /// Entries of one.
    private static let emptyInodes: UInt64 = 4096

    init(plan: ChildPlan, spec: MountSpec) {
        self.plan = plan
        self.spec = spec
    }

    /// Runs every step, or reports the one that failed and ends the process.
    mutating func run() {
        step(.isolate, clinux_make_mounts_private())
        let sources = openSources()
        let proc = spec.steps.firstIndex(of: .proc).map { index in
            let kind = Self.noSetuid | Self.noDevices | Self.noExec
            return newFileSystem(.mount(index), "proc", [], spec.base == .host ? kind : kind | Self.readOnly)
        }
        makeRoot()
        for (index, mount) in spec.steps.enumerated() {
            run(mount, .mount(index), source: sources[index], proc: proc)
        }
        seal()
    }

    /// Copies what is to be shown while it can still be seen; with the rights of the handler's user, so that no
    /// path becomes reachable that its folders close, but for what the supervisor offers.
    private func openSources() -> [Int32] {
        if plan.spec.user != nil { step(.root, clinux_set_no_groups()) }
        let opened = spec.steps.indices.map { index -> Int32 in
            let (path, optional, user): (String, Bool, LaunchUser?)
            switch spec.steps[index] {
            case .bind(let shown, _, let mayLack): (path, optional, user) = (shown, mayLack, plan.spec.user)
            case .offer(let shown, _): (path, optional, user) = (shown, false, nil)
            default: return -1
            }
            if let user { clinux_set_file_ids(user.uid, user.gid) }
            let opened = unsafe clinux_openat(AT_FDCWD, path, clinux_open_path, 0)
            if user != nil { clinux_set_file_ids(geteuid(), getegid()) }
            if optional, opened < 0 { return -1 }
            step(.mount(index), opened)
            return opened
        }
        for (index, source) in opened.enumerated() where source >= 0 {
            guard let access = spec.steps[index].access else { continue }
            let copy = clinux_copy_mounts(source)
            step(.mount(index), copy)
            step(.mount(index), unsafe clinux_restrict_mounts(copy, "", Self.attributes(access), true))
            _ = clinux_duplicate_to(copy, source)
            _ = close(copy)
        }
        return opened
    }

    private static func attributes(_ access: BindAccess) -> UInt64 {
        switch access {
        case .read: noSetuid | noDevices | readOnly | noExec
        case .execute: noSetuid | noDevices | readOnly
        case .write: noSetuid | noDevices
        case .device: noSetuid | readOnly
        }
    }

    private func makeRoot() {
        switch spec.base {
        case .host:
            break
        case .readOnlyHost:
            let attributes = Self.readOnly | Self.noSetuid
            step(.root, unsafe clinux_restrict_mounts(AT_FDCWD, "/", attributes, true))
        case .empty:
            let root = empty(.root, mode: "755")
            step(.root, unsafe clinux_attach_mount(root, "/"))
            step(.root, clinux_become_root(root))
            _ = close(root)
        }
    }

    private mutating func run(_ mount: MountStep, _ step: NamespaceStep, source: Int32, proc: Int32?) {
        switch mount {
        case .link(let path, let target):
            makeFolder(above: path, step)
            let made = unsafe symlink(target, path)
            if made != 0, errno != EEXIST { plan.fail(step, errno) }
        case .bind(let path, _, _), .offer(let path, _):
            if source >= 0 { attach(source, path, isFolder: isFolder(source), step) }
        case .cover(let path):
            attach(empty(step, mode: "711"), path, isFolder: true, step)
        case .memory(let path, let bytes, let inodes, let isOwned):
            attach(memory(step, bytes, inodes, isOwned: isOwned), path, isFolder: true, step)
        case .proc:
            if let proc { attach(proc, "/proc", isFolder: true, step) }
        case .mask(let path, let isFolder):
            mask(path, isFolder: isFolder, step)
        }
    }

    /// The first masked folder is a file system of nothing but a file and a folder that nobody may open, and which are
    /// then shown in the places of the others: that costs far less than a file system for each.
    private mutating func mask(_ path: String, isFolder: Bool, _ step: NamespaceStep) {
        guard let masks else {
            if unsafe access(path, F_OK) != 0 { return }
            guard isFolder else { plan.fail(step, ENOTDIR) }
            return makeMasks(path, step)
        }
        let copy = unsafe clinux_copy_mount(isFolder ? masks.folder[0] : masks.file[0])
        self.step(step, copy)
        let attached = unsafe clinux_attach_mount(copy, path)
        // It need not be there: modules bring entries and take them away.
        if attached != -ENOENT { self.step(step, attached) }
        _ = close(copy)
    }

    private mutating func makeMasks(_ path: String, _ step: NamespaceStep) {
        let made = (file: CStrings([path + "/file"]), folder: CStrings([path + "/folder"]))
        attach(empty(step, mode: "0"), path, isFolder: true, step)
        let file = unsafe clinux_openat(AT_FDCWD, made.file[0], O_CREAT | O_EXCL | O_WRONLY, 0)
        self.step(step, file)
        _ = close(file)
        if unsafe mkdir(made.folder[0], 0) != 0 { plan.fail(step, errno) }
        self.step(step, unsafe clinux_restrict_mounts(AT_FDCWD, path, Self.readOnly, false))
        masks = made
    }

    /// What was written into to make it, and is not to be written again.
    private func seal() {
        if spec.base == .empty {
            step(.seal, unsafe clinux_restrict_mounts(AT_FDCWD, "/", Self.readOnly, false))
        }
        for case .cover(let path) in spec.steps {
            step(.seal, unsafe clinux_restrict_mounts(AT_FDCWD, path, Self.readOnly, false))
        }
    }
}

/// File systems, and places for them.
extension MountStages {
    private func empty(_ step: NamespaceStep, mode: String) -> Int32 {
        let options = ["size", "\(Self.emptyBytes)", "nr_inodes", "\(Self.emptyInodes)", "mode", mode]
        return newFileSystem(step, "tmpfs", options, Self.noSetuid | Self.noDevices | Self.noExec)
    }

    private func memory(_ step: NamespaceStep, _ bytes: UInt64, _ inodes: UInt64, isOwned: Bool) -> Int32 {
        let (uid, gid) = plan.spec.user.map { ($0.uid, $0.gid) } ?? (geteuid(), getegid())
        var options = ["size", "\(bytes)", "nr_inodes", "\(inodes)"]
        options += isOwned ? ["mode", "700", "uid", "\(uid)", "gid", "\(gid)"] : ["mode", "1777"]
        return newFileSystem(step, "tmpfs", options, Self.noSetuid | Self.noDevices)
    }

    private func newFileSystem(
        _ step: NamespaceStep,
        _ type: String,
        _ options: [String],
        _ attributes: UInt64
    ) -> Int32 {
        let texts = CStrings(options)
        let made = withExtendedLifetime(texts) {
            unsafe texts.pointers.withMemoryRebound(
                to: UnsafePointer<CChar>?.self,
                capacity: options.count + 1
            ) {
                unsafe clinux_new_file_system(type, $0, attributes)
            }
        }
        self.step(step, made)
        return made
    }

    /// Mounts what a descriptor means, which is closed.
    private func attach(_ source: Int32, _ path: String, isFolder: Bool, _ step: NamespaceStep) {
        if unsafe access(path, F_OK) != 0 { make(path, isFolder: isFolder, step) }
        self.step(step, unsafe clinux_attach_mount(source, path))
        _ = close(source)
    }

    private func make(_ path: String, isFolder: Bool, _ step: NamespaceStep) {
        makeFolder(above: path, step)
        if isFolder {
            if unsafe mkdir(path, 0o755) != 0 { plan.fail(step, errno) }
            return
        }
        let file = unsafe clinux_openat(AT_FDCWD, path, O_CREAT | O_EXCL | O_WRONLY, 0o444)
        self.step(step, file)
        _ = close(file)
    }

    private func makeFolder(above path: String, _ step: NamespaceStep) {
        // By bytes: a slash and a combining mark behind it are one character.
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), slash != path.startIndex else { return }
        let folder = String(path[..<slash])
        if unsafe access(folder, F_OK) != 0 { make(folder, isFolder: true, step) }
    }

    private func isFolder(_ descriptor: Int32) -> Bool {
        var found = CLinux.clinux_stat()
        let result = unsafe clinux_stat(descriptor, "", CLINUX_AT_EMPTY_PATH, &found)
        return result == 0 && UInt32(found.mode) & S_IFMT == S_IFDIR
    }

    private func step(_ step: NamespaceStep, _ result: Int32) {
        if result < 0 { plan.fail(step, -result) }
    }
}
